"""Which text is that of which image of a data.yaml, and what is said of those that are of none."""

import pytest
from annotated_sets import CLASSES, check, draw, is_said, notes, preprocess, read_objects, write, yolo_text

from preprocess.sources import yolo

YAML = f'names: [{", ".join(CLASSES)}]\ntrain: images\n'


@pytest.mark.parametrize('layout', ['data.yaml', 'classes.txt'])
def test_texts_whose_names_differ_a_little(capfd, tmp_path, layout):
    photos = draw(4)
    places = {'a 1.jpg': 'a_1.txt', 'b.jpg': 'b.TXT', 'c.jpg': 'c.jpg.txt', 'd.jpg': 'd.txt'}
    for photo, (image, text) in zip(photos, places.items(), strict=True):
        write(tmp_path / 'ds/images' / image, photo.data)
        write(tmp_path / 'ds/labels' / text, yolo_text(photo))
    write(tmp_path / 'ds/labels/lost.txt', yolo_text(photos[0]))
    write(tmp_path / 'ds/labels/README.txt', 'read me')
    write(tmp_path / 'ds' / layout, YAML if layout == 'data.yaml' else '\n'.join(CLASSES))
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/ds')
    assert status == 0, text
    [written] = read_objects(tmp_path / 'out').values()
    check(written, {f'images/{name}': photo for name, photo in zip(('a 1', 'b', 'c', 'd'), photos, strict=True)})
    assert is_said(
        notes(tmp_path / 'out'),
        r"1 annotations have no image, or more than one \('labels/lost\.txt'\): left out",
        "2 annotations have another name than their image, such as 'labels/a_1.txt' for 'images/a 1.jpg'",
    )


def test_a_list_names_some_of_the_images(capfd, tmp_path):
    """The text of another image is not taken for that of a listed one, and it is not lonely."""
    photos = draw(3)
    for name, photo in zip(('a_1', 'b'), photos, strict=False):
        write(tmp_path / f'images/{name}.jpg', photo.data)
        write(tmp_path / f'labels/{name}.txt', yolo_text(photo))
    write(tmp_path / 'images/a 1.jpg', photos[2].data)
    write(tmp_path / 'train.txt', 'images/b.jpg\nimages/a 1.jpg')
    write(tmp_path / 'data.yaml', YAML.replace('images', 'train.txt'))
    status, text = preprocess(capfd, tmp_path / 'out', f'--yolo={tmp_path}/data.yaml')
    assert status == 0, text
    written = read_objects(tmp_path / 'out')['train']
    assert written.pop('images/a 1')[0] == ()
    check(written, {'images/b': photos[1]})
    assert len(notes(tmp_path / 'out')) == 1  # that one image has no annotation


@pytest.mark.parametrize('texts', ['images/ds', 'images/ds/labels', 'labels/ds'])
def test_a_folder_images_above_the_dataset(tmp_path, texts):
    images = 'images/ds/images' if texts.endswith('ds/labels') else 'images/ds'
    write(tmp_path / images / 'a.jpg', b'')
    write(tmp_path / texts / 'a.txt', '')
    write(tmp_path / 'images/ds/data.yaml', YAML.replace('train: images', f'train: {images[10:] or "."}'))
    samples = yolo.find(str(tmp_path / 'images/ds'), None, 'background').source.samples
    assert [sample.annotation_path for sample in samples.values()] == [f'{tmp_path}/{texts}/a.txt']


def test_roboflows_paths_are_of_its_own_folder(tmp_path):
    for place in ('train', 'ds/train'):
        write(tmp_path / place / 'images/a.jpg', b'')
        write(tmp_path / place / 'labels/a.txt', '')
    write(tmp_path / 'ds/data.yaml', YAML.replace('images', '../train/images'))
    found = yolo.find(str(tmp_path / 'ds'), None, 'background')
    assert [sample.image_path for sample in found.source.samples.values()] == [f'{tmp_path}/ds/train/images/a.jpg']
    [(split, note)] = found.notes
    assert split == 'train'
    assert f'train: ../train/images was taken for {tmp_path}/ds/train/images, not for {tmp_path}/train/images' in note


def test_a_split_without_images(tmp_path):
    for name in ('train', 'val', 'test'):
        write(tmp_path / f'images/{name}/a.jpg', b'')
        write(tmp_path / f'labels/{name}/a.txt', '')
    lines = ''.join(f'{name}: images\\{name}\n' for name in ('train', 'val', 'test'))  # as on Windows
    write(tmp_path / 'data.yaml', YAML.replace('train: images\n', lines))
    (tmp_path / 'images/test/a.jpg').unlink()
    found = yolo.find(str(tmp_path), None, 'background')
    assert list(found.splits) == ['train', 'val']
    assert [note for _, note in found.notes if note.endswith('images/test has no images: left out')]
    with pytest.raises(ValueError, match=r'test: .*images/test has no images; paths in it are taken from '):
        yolo.find(str(tmp_path), ['test'], 'background')
    (tmp_path / 'images/train/a.jpg').unlink()
    with pytest.raises(ValueError, match=r'train: .*images/train has no images'):
        yolo.find(str(tmp_path), None, 'background')
    assert list(yolo.find(str(tmp_path), ['val'], 'background').splits) == ['val']
