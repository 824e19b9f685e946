"""YOLO datasets, as Ultralytics, Roboflow and LabelImg lay them out."""

import pytest
from annotated_sets import CLASSES, check, draw, is_said, notes, preprocess, read_objects, write, yolo_text
from conftest import turned_photo

from preprocess.sources import data_yaml, yolo

ULTRALYTICS = """\
# a comment
path: ../datasets/photos  # dataset root dir
train: images/train
val:
  - images/val
  - more/images
test: # optional

names:
  0: cat
  1: dog
  2: no

download: |
  from x import y
  names: [wrong]
"""
ROBOFLOW = """\
train: ../train/images
val: ../valid/images
test: ../test/images

nc: 3
names: ['cat', 'dog', 'no']

roboflow:
  workspace: me
  names: wrong
"""


def write_split(folder, photos, prefix='p'):
    """Photos in FOLDER/images or FOLDER, with texts in labels; folder: a path with images in it."""
    labels = type(folder)(str(folder).replace('/images', '/labels'))
    for i, photo in enumerate(photos):
        write(folder / f'{prefix}{i}.jpg', photo.data)
        write(labels / f'{prefix}{i}.txt', yolo_text(photo))


def test_ultralytics(capfd, tmp_path):
    photos, root = draw(5), tmp_path / 'datasets/photos'
    write(tmp_path / 'yaml/photos.yaml', ULTRALYTICS)
    write_split(root / 'images/train', photos[:2])
    write_split(root / 'images/val', photos[2:4])
    write_split(root / 'more/images', photos[4:])
    status, text = preprocess(capfd, tmp_path / 'out', f'--yolo={tmp_path}/yaml/photos.yaml')
    assert status == 0, text
    written = read_objects(tmp_path / 'out')
    assert list(written) == ['train', 'val']
    check(written['train'], {f'images/train/p{i}': photos[i] for i in range(2)})
    check(written['val'], {'images/val/p0': photos[2], 'images/val/p1': photos[3], 'more/images/p0': photos[4]})


@pytest.mark.parametrize('how', ['file', 'folder', 'auto'])
def test_a_roboflow_export_as_it_was_unzipped(capfd, tmp_path, how):
    photos = draw(3)
    write(tmp_path / 'zip/data.yaml', ROBOFLOW)
    write_split(tmp_path / 'zip/train/images', photos[:2])
    write_split(tmp_path / 'zip/valid/images', photos[2:])
    write(tmp_path / 'zip/README.dataset.txt', 'exported')
    words = {'file': f'--yolo={tmp_path}/zip/data.yaml', 'folder': f'--yolo={tmp_path}/zip'}
    status, text = preprocess(capfd, tmp_path / 'out', words.get(how, f'--images_dir={tmp_path}/zip'))
    assert status == 0, text
    assert ('was taken for a YOLO dataset: it has data.yaml and 3 texts with names of images, such as ' in text) == (
        how == 'auto'
    )
    written = read_objects(tmp_path / 'out')
    check(written['train'], {f'train/images/p{i}': photos[i] for i in range(2)})
    check(written['val'], {'valid/images/p0': photos[2]})
    assert is_said(notes(tmp_path / 'out'), r'data.yaml: test: .*test/images is not there: left out')
    status, text = preprocess(capfd, tmp_path / 'no', f'--yolo={tmp_path}/zip', '--splits=train,test')
    assert status == 1
    assert 'test/images is not there' in text


def test_labelimg_that_saves_yolo(capfd, tmp_path):
    photos = draw(4)
    write(tmp_path / 'raw/classes.txt', '\n'.join(CLASSES) + '\n')
    for i, photo in enumerate(photos):
        write(tmp_path / f'raw/{i}.JPG', photo.data)
        if i:
            write(tmp_path / f'raw/{i}.txt', yolo_text(photo))
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/raw')
    assert status == 0, text
    assert 'it has classes.txt and 3 texts with names of images, such as 1.txt' in text
    written = read_objects(tmp_path / 'out')['all']
    assert written.pop('0')[0] == ()
    check(written, {str(i): photos[i] for i in range(1, 4)})
    assert is_said(
        notes(tmp_path / 'out'), r"1 of 4 images have no annotation \('0'\): written as images without objects"
    )


def test_lists_of_images_and_empty_texts(capfd, tmp_path):
    photos = draw(3)
    write(tmp_path / 'data.yaml', f'names: [{", ".join(CLASSES)}]\ntrain: train.txt\n')
    write_split(tmp_path / 'images', photos)
    write(tmp_path / 'labels/p1.txt', '')
    write(tmp_path / 'train.txt', f'./images/p0.jpg\n\nimages/p1.jpg\n{tmp_path}/images/p2.jpg\n')
    status, text = preprocess(capfd, tmp_path / 'out', f'--yolo={tmp_path}/data.yaml')
    assert status == 0, text
    written = read_objects(tmp_path / 'out')['train']
    assert written.pop('images/p1')[0] == ()
    check(written, {'images/p0': photos[0], 'images/p2': photos[2]})
    assert notes(tmp_path / 'out') == []  # an empty text is an annotation


def test_boxes_are_of_the_photo_as_it_is_seen(capfd, tmp_path):
    """As Ultralytics reads photos that EXIF turns; without a text they are the same photo."""
    from yolo.data import images

    photo = draw(1)[0]
    stored = images.decode(photo.data)
    write(tmp_path / 'images/a.jpg', turned_photo(stored, 6))
    write(tmp_path / 'labels/a.txt', '0 0.5 0.25 0.5 0.25')
    write(tmp_path / 'data.yaml', 'names: [cat]\ntrain: images')
    assert preprocess(capfd, tmp_path / 'out', f'--yolo={tmp_path}/data.yaml')[0] == 0
    names, boxes = read_objects(tmp_path / 'out')['train']['images/a']
    assert names == ('cat',)
    assert abs(boxes - [0.25, 0.125, 0.75, 0.375]).max() < 1e-6


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ("names: [a, \"b, c\", 'it''s', no, 01]", ['a', 'b, c', "it's", 'no', '01']),
        ('names: [a,\n  b,  # two\n  c]', ['a', 'b', 'c']),
        ('names: [\n  a,\n]', ['a']),
        ('names:\n- a b\n- "c # d"  # e', ['a b', 'c # d']),
        ('names:\n  - a\n  - b', ['a', 'b']),
        ('names: {0: a, 1: "b: c"}', {'0': 'a', '1': 'b: c'}),
        ("names:\n  0: a\n  '1': don't\nother:\n  2: c", {'0': 'a', '1': "don't"}),
        ('"names": a', 'a'),
        ('names:', ''),
        ('names: ~', ''),
        ('other: [[{', None),
    ],
)
def test_what_is_read_of_yaml(text, value):
    assert data_yaml.read(text, ['names']).get('names') == value


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('\nnames: [a', r'line 2: the \] is missing'),
        ('names: [[a]]', 'a list in a list'),
        ('names: [a] b', "'b' stands behind the ]"),
        ('names: |\n  a', 'over several lines'),
        ('names: {a}', '`key: text` is expected'),
        ('{path: ., names: [a]}', 'write each key at the beginning of a line of its own'),
        ('names:\n  0:\n    a: b', 'are expected below it'),
    ],
)
def test_what_is_not_read_of_yaml(text, message):
    with pytest.raises(ValueError, match=message):
        data_yaml.read(text, ['names'])


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('train: images', 'it has no names of classes'),
        ('names: [a, a]\ntrain: images', 'a name of a class is there twice'),
        ('names: {0: a, 2: b}\ntrain: images', 'the numbers of the classes are 0, 2, not 0, 1, 2'),
        ('names: [a]', 'names no images'),
        ('names: [a]\ntrain: none', 'train: .*none is not there'),
        (
            'names: [a]\ntrain: images',
            "none of the 1 images has a YOLO text \\('.*images/p.jpg'\\): none beside it, nor in labels",
        ),
    ],
)
def test_data_that_does_not_fit(tmp_path, text, message):
    write(tmp_path / 'images/p.jpg', b'')
    write(tmp_path / 'data.yaml', text)
    with pytest.raises(ValueError, match=message):
        yolo.find(str(tmp_path / 'data.yaml'), None, 'background')


def test_folders_that_do_not_fit(tmp_path):
    write(tmp_path / 'a.jpg', b'')
    with pytest.raises(ValueError, match=r'neither a data\.yaml nor names of classes \(classes\.txt, '):
        yolo.find(str(tmp_path), None, 'background')
    write(tmp_path / 'classes.txt', 'cat\n\ndog')
    with pytest.raises(ValueError, match='a class has no name'):
        yolo.find(str(tmp_path), None, 'background')
    write(tmp_path / 'classes.txt', 'cat')
    with pytest.raises(ValueError, match='has 1 images, and no YOLO text with the name of one of them'):
        yolo.find(str(tmp_path), None, 'background')
    write(tmp_path / 'one.yaml', '')
    write(tmp_path / 'two.yaml', '')
    with pytest.raises(ValueError, match=r'has one\.yaml, two\.yaml: give one of them, or of their folders, by --yolo'):
        yolo.find(str(tmp_path), None, 'background')
