"""Names of drawings: one for each image, whatever the images are called."""

import os
import unicodedata

import pytest

from yolo.prediction.names import annotation_paths, drawn_paths


def test_a_name_that_one_image_has_stays_and_others_are_those_of_the_whole_path():
    assert drawn_paths('out', ['a/x.jpg', 'b/x.jpg', 'b/y.jpg']) == {
        'a/x.jpg': 'out/a_x.jpg.png',
        'b/x.jpg': 'out/b_x.jpg.png',
        'b/y.jpg': 'out/y.jpg.png',
    }


@pytest.mark.parametrize(
    'paths',
    [
        ['a_b/c/x.jpg', 'a/b_c/x.jpg'],
        ['a/x.jpg', '../a/x.jpg', '/a/x.jpg'],
        ['a/x.jpg', 'b/x.jpg', 'c/a_x.jpg'],
        ['a/x.jpg', 'b/x.jpg', 'c/b_x.jpg', 'd/b_x.jpg', 'b_x.jpg-2', 'e/b/x.jpg'],
        ['a/x.jpg', 'a/X.JPG'],
        ['a/é.jpg', 'b/' + unicodedata.normalize('NFD', 'é.jpg')],
        ['a/sheet', 'b/sheet', 'Sheet', 'x.jpg'],
        [os.fsdecode(b'a/\xe9.jpg'), 'a/\\xe9.jpg', 'b/\\xe9.jpg'],
        ['a/' + 'x' * 251 + '.jpg', 'b/' + 'x' * 251 + '.jpg', 'c/' + 'é' * 125 + '.png', 'y' * 255],
    ],
)
def test_no_two_images_are_drawn_to_one_file_on_any_file_system(paths):
    drawn = drawn_paths('out', paths)
    assert list(drawn) == paths
    names = [unicodedata.normalize('NFC', path).casefold() for path in drawn.values()]
    assert len(set(names)) == len(paths)
    for path in drawn.values():
        assert os.path.dirname(path) == 'out'
        assert path != 'out/sheet.png'
        assert len(os.path.basename(path).encode('utf-8', 'strict')) <= 255 - len('.partial')


def test_no_image_is_overwritten_by_a_drawing(tmp_path):
    (tmp_path / 'x.jpg').write_bytes(b'')
    (tmp_path / 'x.jpg.png').write_bytes(b'')
    (tmp_path / 'link').symlink_to(tmp_path)
    paths = [f'{tmp_path}/x.jpg', f'{tmp_path}/x.jpg.png']
    for folder in (tmp_path, tmp_path / 'link', tmp_path / 'link' / '..' / tmp_path.name):
        with pytest.raises(ValueError, match=r'x\.jpg\.png would be overwritten, which is one of the sources'):
            drawn_paths(str(folder), paths)
    assert drawn_paths(str(tmp_path), paths[:1]) == {paths[0]: paths[1]}


def test_annotations_have_the_name_of_the_photo_where_it_is_its_own():
    paths = ['a/x.jpg', 'b/x.jpg', 'a/y.jpeg', 'a/z.jpg', 'a/z.png', 'a/classes.jpg', 'a.b/w']
    assert annotation_paths('out', paths, '.txt', ['classes']) == {
        'a/x.jpg': 'out/a_x.jpg.txt',
        'b/x.jpg': 'out/b_x.jpg.txt',
        'a/y.jpeg': 'out/y.txt',
        'a/z.jpg': 'out/a_z.jpg.txt',
        'a/z.png': 'out/a_z.png.txt',
        'a/classes.jpg': 'out/a_classes.jpg.txt',
        'a.b/w': 'out/w.txt',
    }
