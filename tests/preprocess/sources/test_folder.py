"""Folders as LabelImg and Roboflow leave them, and lists as people write them."""

import json
import os
import subprocess
import sys
import time

import pytest
from annotated_sets import check, draw, is_said, notes, preprocess, read_objects, voc_xml, write
from conftest import ROOT

from preprocess.sources import detect, files, found, lists, pairing, split_folders
from yolo.data.voc_folder import Source


def test_labelimg_beside_the_images(capfd, tmp_path):
    photos = draw(6)
    raw, out = tmp_path / 'raw', tmp_path / 'out'
    places = {
        'IMG_1.JPG': 'IMG_1.xml',
        'IMG 2.jpg': 'IMG_2.xml',
        'deep/er/c.v1.Jpeg': 'deep/er/c.v1.xml',
        'Photo.jpg': 'photo.XML',
        'other/e.jpg': 'xml/e.xml',
    }
    for photo, (image, xml) in zip(photos, places.items(), strict=False):
        write(raw / image, photo.data)
        write(raw / xml, voc_xml(photo))
    write(raw / 'moved.jpg', photos[5].data)
    write(raw / 'xml/17.xml', voc_xml(photos[5], 'D:\\photos\\moved.jpg'))
    write(raw / '.ipynb_checkpoints/IMG_1.JPG', photos[0].data)
    write(raw / '__MACOSX/._IMG_1.xml', b'\0')
    status, text = preprocess(capfd, out, f'--images_dir={raw}')
    assert status == 0, text
    assert f'{raw} was taken for images with VOC XML: it has 6 XML files, such as ' in text
    assert (
        'Splits: all (no folders train, valid or test divide it; keep some images for a test by --make_splits)' in text
    )
    ids = ['IMG_1', 'IMG 2', 'deep/er/c.v1', 'Photo', 'other/e', 'moved']
    check(read_objects(out)['all'], dict(zip(ids, photos, strict=True)))
    assert notes(out) == [
        "all: 3 annotations have another name than their image, such as 'IMG_2.xml' for 'IMG 2.jpg'",
        "all: 1 annotations have another folder than their image, such as 'xml/e.xml' for 'other/e.jpg'",
    ]


@pytest.mark.parametrize('flag', ['', '--unlabelled=background', '--unlabelled=leave_out'])
def test_images_without_annotation_are_told_either_way(capfd, tmp_path, flag):
    photos = draw(3)
    for i, photo in enumerate(photos):
        write(tmp_path / f'raw/{i}.jpg', photo.data)
        if i:
            write(tmp_path / f'raw/{i}.xml', voc_xml(photo))
    write(tmp_path / 'raw/none.xml', voc_xml(photos[0]))
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/raw', *filter(None, [flag]))
    assert status == 0, text
    written = read_objects(tmp_path / 'out')['all']
    lonely = r"all: 1 annotations have no image, or more than one \('none\.xml'\): left out"
    if 'background' in flag:
        assert sorted(written) == ['0', '1', '2']
        assert written['0'][0] == ()
        said = r"all: 1 of 3 images have no annotation \('0'\): written as images without objects"
    else:
        assert sorted(written) == ['1', '2']
        said = r"all: 1 of 3 images have no annotation \('0'\): left out; --unlabelled=background"
    assert is_said(notes(tmp_path / 'out'), said, lonely)
    assert '1 of 3 images have no annotation' in text


def test_a_listed_image_without_annotation_can_be_background(capfd, tmp_path):
    photos = draw(4)
    for i, photo in enumerate(photos):
        write(tmp_path / f'VOC/JPEGImages/{i}.jpg', photo.data)
        if i > 1:
            write(tmp_path / f'VOC/Annotations/{i}.xml', voc_xml(photo))
    write(tmp_path / 'VOC/ImageSets/Main/train.txt', '0\n1\n2\n3\n')
    status, text = preprocess(capfd, tmp_path / 'out', f'--voc_dir={tmp_path}/VOC', '--splits=train')
    assert status == 1
    assert 'no annotation' in text
    words = [f'--voc_dir={tmp_path}/VOC', '--splits=train', '--unlabelled=background']
    status, text = preprocess(capfd, tmp_path / 'out', *words)
    assert 'unlabelled: null there, "background" now; --overwrite' in text
    status, text = preprocess(capfd, tmp_path / 'out', *words, '--overwrite')
    assert status == 0, text
    assert sorted(read_objects(tmp_path / 'out')['train']) == ['0', '1', '2', '3']
    [note] = notes(tmp_path / 'out')
    assert note.startswith("train: 2 images have no annotation (such as '0'): written as images without objects")


def test_a_voc_folder_without_lists(capfd, tmp_path):
    photos = draw(3)
    for i, photo in enumerate(photos):
        write(tmp_path / f'VOC/JPEGImages/{i}.jpg', photo.data)
        write(tmp_path / f'VOC/SegmentationClass/{i}.png', b'a mask')
        write(tmp_path / f'VOC/Annotations/{i}.xml', voc_xml(photo))
    status, text = preprocess(capfd, tmp_path / 'out', f'--voc_dir={tmp_path}/VOC')
    assert status == 0, text
    check(read_objects(tmp_path / 'out')['all'], {str(i): photo for i, photo in enumerate(photos)})
    status, text = preprocess(capfd, tmp_path / 'no', f'--voc_dir={tmp_path}/VOC', '--splits=train')
    assert status == 1
    assert '--splits=train: ' in text
    assert 'has no lists, and its splits are all; give one of these, or lists by --split_files' in text


def write_roboflow(folder, photos):
    """As Roboflow's VOC export is unzipped."""
    expected = {}
    for i, photo in enumerate(photos):
        split = ('train', 'train', 'train', 'valid', 'test')[i]
        name = f'photo-{i}_jpg.rf.{i}ab'
        write(folder / split / f'{name}.jpg', photo.data)
        write(folder / split / f'{name}.xml', voc_xml(photo, f'{name}.jpg'))
        expected.setdefault(split, {})[f'{split}/{name}'] = photo
    write(folder / 'README.roboflow.txt', 'exported')
    return expected


@pytest.mark.parametrize('flag', ['--images_dir', '--voc_dir'])
def test_folders_are_splits(capfd, tmp_path, flag):
    expected = write_roboflow(tmp_path / 'zip', draw(5))
    status, text = preprocess(capfd, tmp_path / 'out', f'{flag}={tmp_path}/zip')
    assert status == 0, text
    written = read_objects(tmp_path / 'out')
    assert list(written) == ['train', 'valid', 'test']
    for split, photos in expected.items():
        check(written[split], photos)
    assert notes(tmp_path / 'out') == []
    assert ('Splits: train, valid, test\n' in text) == (flag == '--images_dir')
    status, _ = preprocess(capfd, tmp_path / 'two', f'{flag}={tmp_path}/zip', '--splits=test,train')
    assert list(read_objects(tmp_path / 'two')) == ['test', 'train']


def test_images_beside_the_folders_of_splits_are_told(capfd, tmp_path):
    write_roboflow(tmp_path / 'zip', draw(5))
    write(tmp_path / 'zip/more.jpg', draw(1)[0].data)
    assert preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/zip')[0] == 0
    assert notes(tmp_path / 'out') == [
        "train: 1 images are in none of the folders train, valid, test ('more'): left out"
    ]


@pytest.mark.parametrize(
    ('paths', 'splits'),
    [
        (['a', 'b/c'], {'all': ['a', 'b/c']}),
        (['Train/a', 'VAL/b', 'c'], {'train': ['Train/a'], 'val': ['VAL/b'], '': ['c']}),
        (['images/train/a', 'images/test/b'], {'train': ['images/train/a'], 'test': ['images/test/b']}),
        (['test/a', 'kitchen/b'], {'all': ['test/a', 'kitchen/b']}),
        (['x/train/a', 'x/train/b'], {'train': ['x/train/a', 'x/train/b']}),
        (['my.v1/Train/a', 'my.v1/Val/b'], {'train': ['my.v1/Train/a'], 'val': ['my.v1/Val/b']}),
        (['test/a', 'valid/b', 'c'], {'valid': ['valid/b'], 'test': ['test/a'], '': ['c']}),
        (['valid/a'], {'valid': ['valid/a']}),
        ([], {'all': []}),
    ],
)
def test_which_folders_are_splits(paths, splits):
    assert split_folders.split_by_folder(paths) == splits


@pytest.mark.parametrize(
    ('images', 'annotations', 'pairs'),
    [
        (['a.jpg', 'a.png'], ['a.xml'], {'a.jpg': 'a.xml'}),
        (['a 1.jpg', 'a_1.jpg'], ['A_1.xml'], {}),  # whose is it?
        (['a 1.jpg', 'b.jpg'], ['x/a%201.xml', 'x/B.xml'], {'a 1.jpg': 'x/a%201.xml', 'b.jpg': 'x/B.xml'}),
        (
            ['train/images/1.jpg', 'test/images/1.jpg'],
            ['train/labels/1.xml', 'test/labels/1.xml'],
            {'train/images/1.jpg': 'train/labels/1.xml', 'test/images/1.jpg': 'test/labels/1.xml'},
        ),
        (['a/1.jpg'], ['b/1.xml', 'c/1.xml'], {}),
        (['a/1.jpg', 'c/1.jpg'], ['b/1.xml'], {}),
        (['v1.2.jpg'], ['v1.3.xml'], {}),
        (
            ['a.jpg', 'a.png', 'b.png'],
            ['a.jpg.xml', 'a.png.xml', 'B.png.xml'],
            {'a.jpg': 'a.jpg.xml', 'a.png': 'a.png.xml', 'b.png': 'B.png.xml'},
        ),
        (['test/b.jpg', 'c.jpg'], ['train/b.xml', 'train/c.xml'], {'c.jpg': 'train/c.xml'}),  # test/b has no annotation
        (['val/1.jpg'], ['labels/validation/1.xml'], {'val/1.jpg': 'labels/validation/1.xml'}),
        (
            ['cafe\u0301.jpg'],
            ['caf\u00e9.xml'],
            {'cafe\u0301.jpg': 'caf\u00e9.xml'},
        ),  # one way to write é, and the other
    ],
)
def test_which_annotation_is_whose(images, annotations, pairs):
    assert pairing.pair(images, annotations) == pairs


def test_a_thousand_files_of_one_name_are_told_apart_by_their_folders_without_comparing_all():
    images = [f'images/scene{i}/rgb.png' for i in range(5000)]
    annotations = [f'annotations/scene{i}/rgb.xml' for i in range(4999)]
    start = time.process_time()
    pairs = pairing.pair(images, annotations)
    assert time.process_time() - start < 5  # comparing each with each takes minutes
    assert pairs == dict(zip(images, annotations, strict=False))  # and the last image, which has none, takes none


LINES = [
    'IMG_1.JPG',
    'IMG_2.xml',
    './images/IMG_3.jpg',
    '/home/me/raw/IMG_4.jpg',
    'IMG 5',
    'C:\\raw\\img_6.jpg',
    'IMG_7',
]


def write_listed(tmp_path, number=7):
    photos = draw(number)
    for i, photo in enumerate(photos, 1):
        write(tmp_path / f'raw/images/IMG_{i}.jpg', photo.data)
        write(tmp_path / f'raw/xml/IMG_{i}.xml', voc_xml(photo))
    write(tmp_path / 'train.txt', '\n'.join([*LINES, 'IMG_99.jpg']))
    return {f'IMG_{i}': photo for i, photo in enumerate(photos, 1)}


@pytest.mark.parametrize('layout', ['two folders', 'VOC', 'one folder'])
def test_lines_of_lists_are_understood(capfd, tmp_path, layout):
    photos = write_listed(tmp_path)
    words = [f'--images_dir={tmp_path}/raw']
    if layout == 'VOC':
        os.rename(tmp_path / 'raw/images', tmp_path / 'raw/JPEGImages')
        os.rename(tmp_path / 'raw/xml', tmp_path / 'raw/Annotations')
        words = [f'--voc_dir={tmp_path}/raw']
    elif layout == 'two folders':
        words = [f'--images_dir={tmp_path}/raw/images', f'--annotations_dir={tmp_path}/raw/xml']
    words += [f'--split_files=train={tmp_path}/train.txt']
    status, text = preprocess(capfd, tmp_path / 'out', *words, '--allow_errors=1')
    assert status == 0, text
    prefix = 'xml/' if layout == 'one folder' else ''
    check(read_objects(tmp_path / 'out')['train'], {prefix + image_id: photo for image_id, photo in photos.items()})
    number = 7 if layout == 'one folder' else 6
    assert is_said(notes(tmp_path / 'out'), rf'train: {number} lines of .*train\.txt were understood as other names')
    assert 'train IMG_99.jpg: image left out: no annotation' in text


def test_a_list_of_plain_ids_stays_as_it_is(tmp_path):
    write_listed(tmp_path)
    write(tmp_path / 'plain.txt', 'IMG_1\nIMG_2\n')
    source = Source(str(tmp_path / 'raw/xml'), str(tmp_path / 'raw/images'))
    result = lists.understand(source, {'train': str(tmp_path / 'plain.txt')})
    assert result == found.Found(source, {'train': str(tmp_path / 'plain.txt')})


def test_circles_of_links_and_too_many_other_files_end(tmp_path, monkeypatch):
    write(tmp_path / 'a/b/x.jpg', b'')
    for name in ('one', 'two', 'three'):
        (tmp_path / f'a/b/{name}').symlink_to(tmp_path)
    assert list(files.walk(str(tmp_path))) == ['a/b/x.jpg']
    monkeypatch.setattr(files, 'MOST_OTHERS', 3)
    with pytest.raises(ValueError, match='more than 3 files and folders that are neither images nor annotations'):
        list(files.walk(str(tmp_path)))


def test_a_coordinate_of_0_is_said_once_and_is_nothing_to_repair(capfd, tmp_path):
    for i, photo in enumerate(draw(4)):
        write(tmp_path / f'raw/{i}.jpg', photo.data)
        write(tmp_path / f'raw/{i}.xml', voc_xml(photo).replace('<xmin>1<', '<xmin>0<').replace('<ymin>1<', '<ymin>0<'))
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/raw', '--strict')
    assert status == 0, text
    check(read_objects(tmp_path / 'out')['all'], {str(i): photo for i, photo in enumerate(draw(4))})
    problems = json.loads((tmp_path / 'out/report.json').read_text())['problems']
    assert [(p['image_id'], p['kind']) for p in problems] == [('', 'noted')]
    number = sum(int((photo.boxes[:, :2] == 1).any(1).sum()) for photo in draw(4))
    said = f"{number} boxes in 4 images begin at 0, where the first pixel of VOC is 1 (such as '0')"
    assert said in problems[0]['reason']
    xml = tmp_path / 'raw/0.xml'
    xml.write_text(xml.read_text().replace('<xmin>0<', '<xmin>-1<'))
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/raw', '--strict', '--overwrite')
    assert status == 1
    assert 'all 0: image left out: --strict: object 1' in text


def test_a_class_that_is_not_among_the_labels_is_said_once(capfd, tmp_path):
    photos = draw(9)
    for i, photo in enumerate(photos):
        write(tmp_path / f'raw/{i}.jpg', photo.data)
        write(tmp_path / f'raw/{i}.xml', voc_xml(photo))
    number = sum(photo.names.count('no') for photo in photos)
    images = [i for i, photo in enumerate(photos) if 'no' in photo.names]
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/raw', '--labels=cat,dog')
    assert status == 0, text
    assert len(images) > 2
    line = f"  {number} x box left out: 'no': its name is not among the labels"
    line += f'; in {len(images)} images, such as all {images[0]}'
    assert [each for each in text.splitlines() if 'among the labels' in each] == [line]
    problems = json.loads((tmp_path / 'out/report.json').read_text())['problems']
    assert len(problems) == number  # each with its box


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ((), 'give one of --images_dir, --voc_dir, --coco, --yolo and --tfds'),
        (('--voc_dir={0}', '--images_dir={0}'), 'give one of'),
        (('--annotations_dir={0}', '--voc_dir={0}'), 'is for VOC XML, with --images_dir'),
        (('--images_dir={0}/none',), 'none is not a folder'),
        (('--images_dir={0}',), 'has 1 images and no annotations that are known'),
        (('--images_dir={0}', '--format=xml'), 'has 1 images, and'),
        (('--voc_dir={0}',), 'has 1 images, and'),
        (('--voc_dir={0}', '--format=xml'), '--format=xml says what --images_dir alone is'),
        (('--yolo={0}', '--split_files=a=b'), '--split_files is for VOC XML'),
    ],
)
def test_what_does_not_fit_is_one_line(capfd, tmp_path, words, message):
    write(tmp_path / 'raw/a.jpg', draw(1)[0].data)
    status, text = preprocess(capfd, tmp_path / 'out', *(word.format(tmp_path / 'raw') for word in words))
    assert status == 1
    assert message in text
    assert len(text.strip().splitlines()) == 1


def test_what_a_folder_is_taken_for(tmp_path):
    write_roboflow(tmp_path, draw(5))
    write(tmp_path / 'compose.yaml', 'services: none')
    assert detect.look(str(tmp_path)).kind == 'xml'  # no text is of an image
    write(tmp_path / 'train/photo-0_jpg.rf.0ab.txt', '0 .5 .5 .5 .5')
    both = r'more than one thing; say which it is by --format=xml: it has 5 XML files.*; --format=yolo: it has compose'
    with pytest.raises(ValueError, match=both):
        detect.look(str(tmp_path))


@pytest.mark.slow
def test_workers_get_the_places_of_their_images(tmp_path):
    """The samples reach the workers, and a second run knows that the records are there."""
    for i, photo in enumerate(draw(40)):
        write(tmp_path / f'raw/{i % 7}/IMG {i}.JPG', photo.data)
        write(tmp_path / f'raw/{i % 7}/IMG_{i}.xml', voc_xml(photo))
    words = [sys.executable, '-m', 'preprocess', f'--images_dir={tmp_path}/raw', f'--out_dir={tmp_path}/out']
    words += ['--image_size=64', '--workers=2', '--num_shards=5']
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = {f'{i % 7}/IMG {i}': photo for i, photo in enumerate(draw(40))}
    check(read_objects(tmp_path / 'out')['all'], expected)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 'holds these records already, whole' in done.stdout


def test_a_folder_to_which_two_links_lead_is_read_once(tmp_path):
    write(tmp_path / 'photos/b/x.jpg', b'')
    write(tmp_path / 'elsewhere/y.jpg', b'')
    for name in ('a1', 'a2'):
        (tmp_path / f'photos/{name}').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'photos/again').symlink_to(tmp_path / 'photos/b')
    assert list(files.walk(str(tmp_path / 'photos'))) == ['b/x.jpg', 'a1/y.jpg']
