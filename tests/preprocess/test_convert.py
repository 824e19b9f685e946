"""`python -m preprocess` from end to end, on a small folder with dirt of each kind."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
from conftest import REALDATA, ROOT, encode_jpeg

from preprocess import convert, verify
from preprocess.settings import Settings
from yolo.data import images, index, parsing, records, voc_folder
from yolo.data.problems import LEFT_OUT_BOX, LEFT_OUT_IMAGE, NOTED, REPAIRED
from yolo.geometry import letterbox
from yolo.geometry.targets import encode_targets

WRITTEN = ['good', 'none', 'png', 'flat', 'wide', 'turned', 'renamed']
LEFT_OUT = {
    'cut': 'the image is damaged: Premature end of JPEG file',
    'broken': 'not an image',
    'noxml': 'no annotation',
    'badxml': 'malformed',
    'noimage': 'no image noimage.jpg',
    'bomb': 'document type',
}


def command(*flags):
    """Exit status, what was printed, and what went to stderr of a real `python -m preprocess`."""
    done = subprocess.run(
        [sys.executable, '-m', 'preprocess', *flags],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'Traceback' not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def picture(width, height, seed=0):
    """A smooth picture whose left half is red, so that a swap of colours or sides is seen."""
    image = np.full((height, width, 3), 60 + 5 * (seed % 5), np.uint8)
    image[:, : width // 2, 0] = 220
    return image


def xml(objects=(), size=(100, 80), filename='nothing.jpg'):
    text = ''.join(
        f'<object><name>{name}</name><difficult>{hard}</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>'
        f'<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>'
        for name, hard, x0, y0, x1, y1 in objects
    )
    return (
        f'<annotation><filename>{filename}</filename><size><width>{size[0]}</width><height>{size[1]}</height>'
        f'</size>{text}</annotation>'
    )


def put(folder, image_id, objects=(), suffix='.jpg', **keywords):
    """One good image of 100 x 80 with its XML."""
    image = picture(100, 80, len(image_id))
    data = images.encode_png(image) if suffix == '.png' else encode_jpeg(image, 95)
    (folder / 'JPEGImages' / f'{image_id}{suffix}').write_bytes(data)
    (folder / 'Annotations' / f'{image_id}.xml').write_text(xml(objects, **keywords))


def write_voc(folder: pathlib.Path) -> pathlib.Path:
    """Splits `trainval` with dirt of each kind, and a clean `test` with the same id's neighbours."""
    for name in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (folder / name).mkdir(parents=True)
    put(folder, 'good', [('cat', 0, 11, 9, 60, 48), ('dog', 1, 51, 41, 100, 80)])
    put(folder, 'none')
    put(folder, 'png', [('cat', 0, 1, 1, 50, 40)], suffix='.png')
    put(folder, 'flat', [('cat', 0, 20, 20, 20, 60), ('dog', 0, 1, 1, 25, 20), ('dog', 0, 'nan', 1, 25, 20)])
    put(folder, 'wide', [('cat', 0, 51, 1, 140, 80)])
    put(folder, 'turned', [('dog', 0, 1, 1, 50, 80)], size=(80, 100))
    put(folder, 'renamed', [('cat', 0, 1, 1, 20, 20)], filename='photo.jpg')
    (folder / 'JPEGImages/renamed.jpg').rename(folder / 'JPEGImages/photo.jpg')
    for image_id in ('cut', 'broken', 'noxml', 'badxml', 'noimage', 'bomb'):
        put(folder, image_id, [('cat', 0, 1, 1, 30, 30)])
    cut = encode_jpeg(np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8), 95)
    (folder / 'JPEGImages/cut.jpg').write_bytes(cut[: len(cut) // 2])
    (folder / 'JPEGImages/broken.jpg').write_bytes(b'not a picture')
    (folder / 'Annotations/noxml.xml').unlink()
    (folder / 'Annotations/badxml.xml').write_text('<annotation><object>')
    (folder / 'JPEGImages/noimage.jpg').unlink()
    (folder / 'Annotations/bomb.xml').write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>')
    trainval = [*WRITTEN[:6], 'good', 'renamed', *LEFT_OUT]
    lines = [f'{image_id}  {i % 3 - 1}' for i, image_id in enumerate(trainval)]  # VOC's flag behind every id
    (folder / 'ImageSets/Main/trainval.txt').write_text('\n\n'.join(lines))
    for i in range(5):
        put(folder, f'test_{i}', [('dog', 0, 1 + i, 1 + i, 30 + 9 * i, 40 + 5 * i)] * i)
    (folder / 'ImageSets/Main/test.txt').write_text(''.join(f'test_{i}\n' for i in range(5)))
    return folder


def read(out_dir, split):
    """The description, the parsed annotations and the decoded images of a split."""
    description = records.read_description(str(out_dir))
    raw = list(tf.data.TFRecordDataset(records.shard_paths(str(out_dir), split, description)).as_numpy_iterator())
    parsed = parsing.parse_annotations(tf.constant(raw), description.max_boxes)
    pixels = [images.decode(parsing.parse_image(one).numpy()) for one in raw]
    return description, {key: value.numpy() for key, value in parsed.items()}, pixels


def digests(out_dir):
    paths = pathlib.Path(out_dir).iterdir()
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope='module')
def voc_dir(tmp_path_factory):
    return write_voc(tmp_path_factory.mktemp('dirty') / 'VOC')


@pytest.fixture(scope='module')
def ran(voc_dir, tmp_path_factory):
    """The folder, exit status, stdout and stderr of one run over the dirty folder."""
    out_dir = tmp_path_factory.mktemp('out') / 'data'
    return out_dir, *command(
        f'--voc_dir={voc_dir}',
        f'--out_dir={out_dir}',
        '--image_size=96x64',
        '--anchors=kmeans:2',
        '--num_shards=3',
        '--workers=1',
    )


def test_status_and_last_line_tell_what_was_left_out(ran):
    _, status, stdout, _ = ran
    assert status == 1
    last = stdout.strip().splitlines()[-1]
    assert last.startswith('6 images were left out')
    assert '--allow_errors=6' in last
    assert '--overwrite' in last
    assert all(f'trainval {image_id}: ' in stdout for image_id in LEFT_OUT)


def test_report_names_every_problem_once(ran):
    report = json.loads((ran[0] / 'report.json').read_text())
    assert all(set(problem) == {'split', 'image_id', 'kind', 'reason'} for problem in report['problems'])
    # The others: these pictures are alike.
    of_images = [problem for problem in report['problems'] if problem['image_id']]
    found = sorted((problem['image_id'], problem['kind']) for problem in of_images)
    expected = [(image_id, LEFT_OUT_IMAGE) for image_id in LEFT_OUT]
    expected += [('flat', LEFT_OUT_BOX)] * 2
    expected += [('wide', REPAIRED), ('turned', NOTED), ('good', NOTED)]
    assert found == sorted(expected)
    reasons = {problem['image_id']: problem['reason'] for problem in report['problems']}
    for image_id, reason in LEFT_OUT.items():
        assert reason in reasons[image_id]
    assert 'more than once' in reasons['good']
    assert '80 x 100, the image is 100 x 80' in reasons['turned']


def test_description_counts_what_was_written(ran):
    description = records.read_description(str(ran[0]))
    assert description.classes == ('cat', 'dog')
    assert description.image_size == (64, 96)
    assert len(description.anchors) == 2
    assert description.anchors_from == 'kmeans:2'
    assert 0.5 < description.anchors_mean_iou <= 1
    assert description.max_boxes == 4
    assert description.split('trainval') == records.Split(7, 3, 7, 1, {'cat': 4, 'dog': 3}, 2, 6, 2)
    assert description.split('test') == records.Split(5, 3, 10, 0, {'cat': 0, 'dog': 10}, 4, 0, 0)


def test_records_read_back(ran):
    description, found, pixels = read(ran[0], 'trainval')
    assert [image_id.decode() for image_id in found['image_id']] == WRITTEN  # the order of the list, none twice
    np.testing.assert_array_equal(found['size'], [[80, 100]] * 7)
    boxes = {image_id: found['boxes'][i][found['labels'][i] >= 0] for i, image_id in enumerate(WRITTEN)}
    np.testing.assert_allclose(boxes['good'], [[0.1, 0.1, 0.6, 0.6], [0.5, 0.5, 1, 1]], atol=1e-6)
    assert boxes['none'].shape == (0, 4)
    np.testing.assert_allclose(boxes['flat'], [[0, 0, 0.25, 0.25]], atol=1e-6)
    np.testing.assert_allclose(boxes['wide'], [[0.5, 0, 1, 1]], atol=1e-6)
    np.testing.assert_allclose(boxes['turned'], [[0, 0, 0.5, 1]], atol=1e-6)  # of the image, not of the XML
    np.testing.assert_allclose(boxes['renamed'], [[0, 0, 0.2, 0.25]], atol=1e-6)
    assert found['labels'][0, :2].tolist() == [0, 1]
    assert found['difficult'][0, :2].tolist() == [False, True]
    assert not found['difficult'][1:].any()
    places = encode_targets(found['boxes'], found['labels'], description.anchors, description.grid).numpy()
    np.testing.assert_array_equal(found['places'], places)
    assert (found['places'][found['labels'] >= 0] >= 0).all()
    for image in pixels:
        assert image.shape == (64, 96, 3)
        assert image[32, 20, 0] > 200  # red on the left
        assert image[32, 80].max() < 100


def test_page_shows_every_image_that_was_changed_or_left_out(ran):
    text = (ran[0] / 'report.html').read_text()
    for image_id, reason in LEFT_OUT.items():
        assert re.search(f'<b>trainval {image_id}</b><br>[^<]*{reason}', text), image_id
    assert text.count('<div class="none">') == sum(image_id in ('cut', 'broken', 'noimage') for image_id in LEFT_OUT)
    assert 'trainval wide</b><br>repaired: object 1' in text
    assert 'listed more than once' in text
    assert text.count('<svg') == 7
    assert '<td>cat</td>' in text
    assert 'http' not in text.replace('http://www.w3.org/2000/svg', '')  # nothing from elsewhere


def test_pixels_are_the_plain_resize(ran, voc_dir):
    _, _, pixels = read(ran[0], 'trainval')
    source = images.decode((voc_dir / 'JPEGImages/good.jpg').read_bytes())
    expected = cv2.resize(source, (96, 64), interpolation=cv2.INTER_LINEAR)
    assert np.abs(pixels[0].astype(int) - expected).mean() < 2


@pytest.mark.slow
def test_workers_change_no_byte(ran, voc_dir, tmp_path):
    status, _, _ = command(
        f'--voc_dir={voc_dir}',
        f'--out_dir={tmp_path}',
        '--image_size=96x64',
        '--anchors=kmeans:2',
        '--num_shards=3',
        '--workers=2',
        '--allow_errors=6',
    )
    assert status == 0
    assert digests(tmp_path) == digests(ran[0])
    assert len(digests(tmp_path)) == 15  # seven descriptions, 2 indices and 2 x 3 shards, nothing partial


def settings(voc_dir, out_dir, **keywords):
    source = voc_folder.Source(str(voc_dir / 'Annotations'), str(voc_dir / 'JPEGImages'))
    splits = {'test': str(voc_dir / 'ImageSets/Main/test.txt')}
    given = {
        'labels': None,
        'image_size': (64, 64),
        'resize': 'stretch',
        'anchors': 'voc',
        'num_shards': 0,
        'image_format': 'jpeg',
        'strict': False,
        **keywords,
    }
    return Settings(source, splits, str(out_dir), jpeg_quality=90, workers=1, **given)


def test_building_again_replaces_only_what_it_wrote(voc_dir, tmp_path):
    (tmp_path / 'their-test.tfrecord-00000-of-00002').write_bytes(b'theirs')
    convert.convert(settings(voc_dir, tmp_path, num_shards=3))
    (tmp_path / 'test.tfrecord-00004-of-00009.partial').write_bytes(b'of a killed run')
    with pytest.raises(ValueError, match=r'num_shards: \{"test": 3\} there, \{"test": 2\} now; --overwrite'):
        convert.convert(settings(voc_dir, tmp_path, num_shards=2))
    convert.convert(settings(voc_dir, tmp_path, num_shards=2), overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'dataset.json',
        'dataset_info.json',
        'features.json',
        'manifest.json',
        'objects-label.labels.txt',
        'report.html',
        'report.json',
        'test.index',
        'test.tfrecord-00000-of-00002',
        'test.tfrecord-00001-of-00002',
        'their-test.tfrecord-00000-of-00002',
    ]


def test_the_index_is_that_of_the_records(voc_dir, tmp_path):
    description, _ = convert.convert(settings(voc_dir, tmp_path, num_shards=2))
    written = index.read_index(str(tmp_path), 'test', description)
    assert verify.verify(str(tmp_path), 1)[1] == []
    lengths = index.read_lengths(str(tmp_path), 'test').tolist()
    (tmp_path / 'test.index').unlink()
    for name, value in vars(index.read_index(str(tmp_path), 'test', description)).items():
        np.testing.assert_array_equal(value, vars(written)[name])
    assert verify.verify(str(tmp_path), 1)[1] == []  # as in version 0.1
    index.write_indices(str(tmp_path), {'test': lengths[::-1]})
    assert verify.verify(str(tmp_path), 1)[1] == [f"{tmp_path}/test.index is not the index of the records of 'test'"]
    (tmp_path / 'test.index').write_bytes(b'damaged')
    assert 'test.index is damaged; remove it' in verify.verify(str(tmp_path), 1)[1][0]


@pytest.mark.parametrize('wrong', [{'anchors': 'kmeans:99'}, {'anchors': 'coco'}])
def test_settings_that_do_not_fit_leave_the_old_records(voc_dir, tmp_path, wrong):
    convert.convert(settings(voc_dir, tmp_path))
    before = digests(tmp_path)
    with pytest.raises(ValueError, match='--anchors'):
        convert.convert(settings(voc_dir, tmp_path, **wrong), overwrite=True)
    assert digests(tmp_path) == before


def test_labels_choose_and_order_the_classes(voc_dir, tmp_path):
    description, summaries = convert.convert(settings(voc_dir, tmp_path, labels=('zebra', 'dog')))
    assert description.classes == ('zebra', 'dog')
    assert description.split('test').objects_per_class == {'zebra': 0, 'dog': 10}
    convert.convert(settings(voc_dir, tmp_path, labels=('cat',)), overwrite=True)
    description, found, _ = read(tmp_path, 'test')
    assert len(found['image_id']) == 5  # images stay, without objects
    assert description.split('test').boxes_left_out == 10
    assert (found['labels'] == -1).all()
    assert summaries['test'].count(LEFT_OUT_BOX) == 0


def test_more_shards_than_images_are_not_written(voc_dir, tmp_path):
    description, _ = convert.convert(settings(voc_dir, tmp_path, num_shards=50))
    assert description.split('test').num_shards == 5
    assert len(read(tmp_path, 'test')[1]['image_id']) == 5


def test_a_size_that_the_xml_does_not_tell_is_that_of_the_image(voc_dir, tmp_path):
    folder = write_voc(tmp_path / 'VOC')
    for i in range(5):
        path = folder / f'Annotations/test_{i}.xml'
        path.write_text(path.read_text().replace('<width>100</width>', '<width>inf</width>'))
    with_size, _ = convert.convert(settings(voc_dir, tmp_path / 'a', anchors='kmeans:3'))
    without, _ = convert.convert(settings(folder, tmp_path / 'b', anchors='kmeans:3'))
    assert without == with_size


def test_letterboxed_records_are_whole_images_with_bars(voc_dir, tmp_path):
    stretched, _ = convert.convert(settings(voc_dir, tmp_path / 's', labels=('cat', 'dog'), image_size=(96, 96)))
    boxed, _ = convert.convert(
        settings(
            voc_dir, tmp_path / 'l', labels=('cat', 'dog'), image_size=(96, 96), resize='letterbox', anchors='kmeans:1'
        )
    )
    assert (stretched.resize, boxed.resize) == ('stretch', 'letterbox')
    _, plain, _ = read(tmp_path / 's', 'test')
    description, found, pixels = read(tmp_path / 'l', 'test')
    assert description.resize == 'letterbox'
    real = found['labels'] >= 0
    sizes = np.broadcast_to(found['size'][:, None], (*real.shape, 2))[real]
    back = letterbox.from_canvas(found['boxes'][real], sizes, (96, 96), 'letterbox')
    np.testing.assert_allclose(back, plain['boxes'][real], atol=1e-5)
    assert not np.allclose(found['boxes'][real], plain['boxes'][real], atol=0.01)
    places = encode_targets(found['boxes'], found['labels'], description.anchors, description.grid).numpy()
    np.testing.assert_array_equal(found['places'], places)
    for image in pixels:  # of 100 x 80: ten rows of grey above and below
        np.testing.assert_allclose(image[:8].astype(int), images.BAR, atol=3)
        np.testing.assert_allclose(image[-8:].astype(int), images.BAR, atol=3)
        assert abs(int(image[48, 20, 0]) - images.BAR) > 30
    assert boxed.anchors_mean_iou > 0.5


def test_split_files_and_other_folders(voc_dir, tmp_path):
    (tmp_path / 'b.txt').write_text('test_3\ntest_1\n')
    status, stdout, _ = command(
        f'--annotations_dir={voc_dir}/Annotations',
        f'--images_dir={voc_dir}/JPEGImages',
        f'--out_dir={tmp_path}/out',
        f'--split_files=train={voc_dir}/ImageSets/Main/test.txt,val={tmp_path}/b.txt',
        '--anchors=1,2, 3,4',
        '--labels=cat,dog',
        '--image_size=64',
    )
    assert status == 0, stdout
    description, found, _ = read(tmp_path / 'out', 'val')
    assert found['image_id'].tolist() == [b'test_3', b'test_1']
    assert description.anchors == ((1, 2), (3, 4))
    assert description.splits.keys() == {'train', 'val'}


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (('frobnicate',), "no command 'frobnicate'; there are show, verify, shapes"),
        (('--voc_dir={voc}', '--out_dir={out}', '--image_size=100'), '--image_size=100: not a multiple of 32'),
        (('--voc_dir={voc}', '--out_dir={out}', '--splits=val'), 'val.txt; this folder has test.txt, trainval.txt'),
        (('--voc_dir={voc}', '--out_dir={out}', '--labels=no/names.txt'), 'no such file'),
        (('--voc_dir={voc}', '--out_dir=/proc/nowhere/x'), '/proc/nowhere'),
    ],
)
def test_bad_settings_are_one_line(voc_dir, tmp_path, flags, message):
    status, _, stderr = command(*(flag.format(voc=voc_dir, out=tmp_path / 'out') for flag in flags))
    assert status != 0
    assert message in stderr
    assert not (tmp_path / 'out' / 'dataset.json').exists()


def test_records_are_not_replaced_unasked(ran, voc_dir):
    before = digests(ran[0])
    status, _, stderr = command(f'--voc_dir={voc_dir}', f'--out_dir={ran[0]}')
    assert status != 0
    assert '--overwrite' in stderr
    assert digests(ran[0]) == before
    status, _, stderr = command(f'--voc_dir={voc_dir}', f'--out_dir={ran[0]}', '--overwrite', '--anchors=kmeans:99')
    assert status != 0
    assert 'needs 99 boxes' in stderr
    assert digests(ran[0]) == before  # asked, but nothing could take their place


@pytest.mark.realdata
def test_bccd(tmp_path):
    status, _, _ = command(f'--voc_dir={REALDATA}/bccd', f'--out_dir={tmp_path}', '--image_size=128')
    assert status == 0
    problems = json.loads((tmp_path / 'report.json').read_text())['problems']
    (note,) = (problem['reason'] for problem in problems if problem['kind'] == NOTED)
    assert "'BloodImage_00037' and 'BloodImage_00038'" in note  # nearly the same
    problems = [problem for problem in problems if problem['kind'] != NOTED]
    assert [problem['kind'] for problem in problems] == [LEFT_OUT_BOX] * 2
    assert all('no area' in problem['reason'] for problem in problems)
    description = records.read_description(str(tmp_path))
    assert description.classes == ('Platelets', 'RBC', 'WBC')
    assert sum(split.num_images for split in description.splits.values()) == 364
    assert sum(split.num_objects for split in description.splits.values()) == 4888 - 2


@pytest.mark.realdata
def test_raccoon(tmp_path):
    folder = REALDATA / 'raccoon'
    status, stdout, _ = command(
        f'--annotations_dir={folder}/annotations',
        f'--images_dir={folder}/images',
        f'--out_dir={tmp_path}',
        f'--split_files=train={folder}/splits/train.txt,test={folder}/splits/test.txt',
        '--image_size=128',
    )
    assert status == 0, stdout
    description = records.read_description(str(tmp_path))
    assert description.classes == ('raccoon',)
    assert sum(split.num_images for split in description.splits.values()) == 200
    assert sum(split.num_objects for split in description.splits.values()) == 217


def test_starts_without_tensorflow():
    code = 'import sys, preprocess.__main__; sys.exit("tensorflow" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=False).returncode == 0
