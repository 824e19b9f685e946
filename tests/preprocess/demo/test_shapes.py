"""The drawn dataset: VOC layout, exact boxes, the same bytes for a seed."""

import hashlib
import pathlib
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest

from preprocess.demo import painting, shapes
from yolo.cli import flags


def digest(folder) -> dict[str, str]:
    """The path and hash of every file in a folder."""
    paths = sorted(path for path in pathlib.Path(folder).rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder of 24 + 6 images."""
    path = tmp_path_factory.mktemp('shapes') / 'VOC'
    with pytest.raises(SystemExit) as status:
        flags.run(shapes.COMMAND, ['shapes', f'--out_dir={path}', '--num_train=24', '--num_test=6', '--seed=3'])
    assert status.value.code == 0
    return path


def test_layout_is_that_of_voc(folder):
    lists = {name: (folder / f'ImageSets/Main/{name}.txt').read_text().split() for name in ('trainval', 'test')}
    assert [len(ids) for ids in lists.values()] == [24, 6]
    ids = lists['trainval'] + lists['test']
    assert len(set(ids)) == 30
    assert {path.stem for path in (folder / 'Annotations').iterdir()} == set(ids)
    for image_id in ids:
        root = ET.parse(folder / f'Annotations/{image_id}.xml').getroot()
        height, width, depth = cv2.imread(str(folder / f'JPEGImages/{root.findtext("filename")}')).shape
        assert [int(root.findtext(f'size/{key}')) for key in ('width', 'height', 'depth')] == [width, height, depth]
        assert 1 <= len(root.findall('object')) <= 10
        for each in root.findall('object'):
            assert each.findtext('name') in shapes.CLASSES
            assert {each.findtext(key) for key in ('truncated', 'difficult')} <= {'0', '1'}
            box = [int(each.findtext(f'bndbox/{key}')) for key in ('xmin', 'ymin', 'xmax', 'ymax')]
            assert 1 <= box[0] < box[2] <= width
            assert 1 <= box[1] < box[3] <= height


def test_same_seed_same_bytes_and_more_images_change_none(folder, tmp_path):
    shapes.write_shapes(str(tmp_path / 'again'), 24, 6, 3)
    assert digest(tmp_path / 'again') == digest(folder)
    shapes.write_shapes(str(tmp_path / 'more'), 25, 6, 3)
    shapes.write_shapes(str(tmp_path / 'other'), 24, 6, 4)
    first, more, other = (digest(path) for path in (folder, tmp_path / 'more', tmp_path / 'other'))
    images = [path for path in first if path.startswith('JPEGImages')]
    assert all(first[path] == more[path] and first[path] != other[path] for path in images)
    assert len({first[path] for path in images}) == 30  # no two alike: nothing of test is in trainval


def test_boxes_and_flags_fit_the_pixels_that_are_seen(monkeypatch):
    # Each shape is painted in a red of its own, so that the image itself says where it can be seen. Grain is the same
    # in all channels, so that red less green is free of it.
    masks = []

    def flat(rng, image, alpha, colour, centre, radius):
        masks.append(alpha >= 0.5)
        image[masks[-1], 0] = 128 + 10 * len(masks)

    monkeypatch.setattr(painting, 'paint', flat)
    monkeypatch.setattr(painting, 'background', lambda rng, height, width: np.full((height, width, 3), 128, np.float32))
    num_hidden = num_difficult = num_truncated = 0
    for index in range(120):
        masks.clear()
        image, objects = shapes.draw_image(0, 0, index)
        red = image[..., 0].astype(int) - image[..., 1]
        expected, on_edge = [], []
        for k, mask in enumerate(masks):
            rows, columns = np.nonzero(np.abs(red - 10 * (k + 1)) <= 2)
            if len(rows) >= 0.1 * mask.sum():
                box = (columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1)
                expected.append((box, len(rows) < 0.4 * mask.sum()))
                on_edge.append(mask[[0, -1]].any() or mask[:, [0, -1]].any())
        assert [(each.box, each.difficult) for each in objects] == expected
        assert all(edge for each, edge in zip(objects, on_edge, strict=True) if each.truncated)
        num_hidden += len(masks) - len(objects)
        num_difficult += sum(each.difficult for each in objects)
        num_truncated += sum(each.truncated for each in objects)
    assert min(num_hidden, num_difficult, num_truncated) > 0  # every case was there


def test_shapes_are_of_all_sizes_classes_and_stand_out():
    sizes, names = [], set()
    for index in range(60):
        image, objects = shapes.draw_image(1, 0, index)
        assert image.dtype == np.uint8
        assert all(240 <= side <= 400 for side in image.shape[:2])
        names |= {each.name for each in objects}
        sizes += [max(each.box[2] - each.box[0], each.box[3] - each.box[1]) + 1 for each in objects]
    assert names == set(shapes.CLASSES)
    assert min(sizes) < 60
    assert max(sizes) > 150
    rng = np.random.default_rng(0)
    means = rng.uniform(40, 215, (200, 3))
    far = [np.linalg.norm(painting.contrasting(rng, mean, rng.random()) - mean) for mean in means]
    assert np.mean(np.array(far) > painting.MIN_CONTRAST) > 0.95


def test_a_folder_of_others_is_left_alone(tmp_path, capsys):
    (tmp_path / 'mine.txt').write_text('mine')
    with pytest.raises(SystemExit) as status:
        flags.run(shapes.COMMAND, ['shapes', f'--out_dir={tmp_path}', '--num_train=1', '--num_test=1'])
    assert status.value.code == 1
    assert 'not empty' in capsys.readouterr().err
    assert list(digest(tmp_path)) == ['mine.txt']


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ([], 'out_dir'),
        (['--out_dir=x', '--num_test=0'], 'num_test'),
        (['--out_dir=x', '--colour=red'], 'colour'),
        (['--out_dir=x', 'y'], 'y: not a flag'),
    ],
)
def test_bad_flags_are_a_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        flags.run(shapes.COMMAND, ['shapes', *words])
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_help_names_the_flags(capsys):
    with pytest.raises(SystemExit) as status:
        flags.run(shapes.COMMAND, ['shapes', '--help'])
    assert status.value.code == 0
    assert '--num_train' in capsys.readouterr().out
