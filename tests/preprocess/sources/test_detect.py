"""Exports one folder down, names of splits as people write them, and lists other than the usual ones."""

import os

import pytest
from annotated_sets import (
    CLASSES,
    check,
    coco_json,
    draw,
    is_said,
    notes,
    preprocess,
    read_objects,
    voc_xml,
    write,
    yolo_text,
)

from preprocess.sources import files, voc


@pytest.mark.parametrize(('second', 'split'), [('Valid', 'valid'), ('dev', 'dev')])
@pytest.mark.parametrize('around', ['', 'my.v1.coco/'])
def test_each_coco_json_is_a_split(capfd, tmp_path, second, split, around):
    photos = dict(zip((second, 'train'), draw(2), strict=True))
    for folder, photo in photos.items():
        write(tmp_path / 'zip' / around / folder / 'a.jpg', photo.data)
        write(tmp_path / 'zip' / around / folder / '_annotations.coco.json', coco_json({'a.jpg': photo}))
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/zip')
    assert status == 0, text
    written = read_objects(tmp_path / 'out')
    assert list(written) == ['train', split]
    check(written['train'], {f'{around}train/a': photos['train']})
    check(written[split], {f'{around}{second}/a': photos[second]})


@pytest.mark.parametrize('kind', ['yaml', 'labels', 'split', 'different'])
def test_names_of_yolo_classes_deeper(capfd, tmp_path, kind):
    photos = dict(zip(('train', 'valid'), draw(2), strict=True))
    for name, photo in photos.items():
        write(tmp_path / f'zip/in/{name}/images/a.jpg', photo.data)
        write(tmp_path / f'zip/in/{name}/labels/a.txt', yolo_text(photo))
        if kind in ('split', 'different'):
            names = CLASSES if kind == 'split' or name == 'train' else CLASSES[::-1]
            write(tmp_path / f'zip/in/{name}/labels/classes.txt', '\n'.join(names))
    if kind == 'yaml':
        write(tmp_path / 'zip/in/data.yaml', f'train: train/images\nval: valid/images\nnames: [{", ".join(CLASSES)}]')
    elif kind == 'labels':
        write(tmp_path / 'zip/in/labels/classes.txt', '\n'.join(CLASSES))
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/zip')
    if kind == 'different':
        assert status == 1
        assert 'zip has in/train/labels/classes.txt, in/valid/labels/classes.txt: give one of them' in text
        return
    assert status == 0, text
    first, second = read_objects(tmp_path / 'out').values()
    around = '' if kind == 'yaml' else 'in/'
    check(first, {f'{around}train/images/a': photos['train']})
    check(second, {f'{around}valid/images/a': photos['valid']})


def write_voc(folder, lists):
    photos = {str(i): photo for i, photo in enumerate(draw(4))}
    for name, photo in photos.items():
        write(folder / f'JPEGImages/{name}.jpg', photo.data)
        write(folder / f'Annotations/{name}.xml', voc_xml(photo))
    for name, ids in lists.items():
        write(folder / f'ImageSets/Main/{name}.txt', '\n'.join(ids))
    return photos


@pytest.mark.parametrize('flag', ['--images_dir', '--voc_dir'])
def test_lists_other_than_the_usual_ones(capfd, tmp_path, flag):
    photos = write_voc(tmp_path / 'VOC', {'val': '3', 'train': '012', 'cat_train': '0'})
    status, text = preprocess(capfd, tmp_path / 'out', f'{flag}={tmp_path}/VOC')
    assert status == 0, text
    written = read_objects(tmp_path / 'out')
    assert list(written) == ['train', 'val']
    check(written['train'], {name: photos[name] for name in '012'})
    assert is_said(notes(tmp_path / 'out'), 'of the lists in .*VOC, train, val were taken: --splits takes others')


@pytest.mark.parametrize(
    ('names', 'chosen'),
    [
        (['test', 'trainval', 'train', 'val'], ('trainval', 'test')),
        (['train', 'trainval', 'val', 'cat_val'], ('trainval',)),
        (['test', 'train'], ('train', 'test')),
        (['default'], ('default',)),
        (['a', 'b'], None),
    ],
)
def test_which_lists_are_the_splits(names, chosen):
    if chosen is None:
        with pytest.raises(ValueError, match='VOC has the lists a, b: say by --splits=NAME,'):
            voc.usual_lists('VOC', names, ('trainval', 'test'))
    else:
        assert voc.usual_lists('VOC', names, ('trainval', 'test')) == chosen


@pytest.mark.parametrize('flag', ['--images_dir', '--voc_dir'])
def test_no_lists_in_their_folder(capfd, tmp_path, flag):
    photos = write_voc(tmp_path / 'VOC', {})
    os.makedirs(tmp_path / 'VOC/ImageSets/Main')
    status, text = preprocess(capfd, tmp_path / 'out', f'{flag}={tmp_path}/VOC')
    assert status == 0, text
    check(read_objects(tmp_path / 'out')['all'], photos)


def test_a_voc_folder_two_folders_down(capfd, tmp_path):
    photos = write_voc(tmp_path / 'zip/VOCdevkit/VOC2012', {'trainval': '01'})
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/zip')
    assert status == 0, text
    check(read_objects(tmp_path / 'out')['trainval'], {name: photos[name] for name in '01'})
    write_voc(tmp_path / 'zip/VOCdevkit/VOC2007', {'trainval': '01'})
    status, text = preprocess(capfd, tmp_path / 'no', f'--images_dir={tmp_path}/zip')
    assert status == 1
    assert 'Main and VOCdevkit/VOC2012/ImageSets/Main; give one of these folders by --voc_dir' in text


def test_what_is_there_is_named_where_nothing_is_known(capfd, tmp_path):
    write(tmp_path / 'zip/a.jpg', draw(1)[0].data)
    write(tmp_path / 'zip/a.txt', '0 .5 .5 .5 .5')
    write(tmp_path / 'zip/instances.json', '{}')
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/zip')
    assert status == 1
    assert 'It has 1 texts, such as a.txt, but no names of their classes: write classes.txt' in text
    assert 'It has instances.json: if that is COCO, give it by --coco' in text


def test_splits_beside_lists_are_refused(capfd, tmp_path):
    write_voc(tmp_path / 'VOC', {'train': '01'})
    words = [
        f'--voc_dir={tmp_path}/VOC',
        '--splits=val',
        f'--split_files=train={tmp_path}/VOC/ImageSets/Main/train.txt',
    ]
    status, text = preprocess(capfd, tmp_path / 'out', *words)
    assert status == 1
    assert '--splits=val: --split_files names the splits; leave --splits out' in text


@pytest.mark.parametrize('layout', ['VOC', 'beside'])
def test_a_folder_is_searched_once(capfd, tmp_path, monkeypatch, layout):
    """Where listing is slow, as in gs://, that is most of the time before the first image."""
    write_voc(tmp_path / 'VOC', {})
    if layout == 'beside':
        for i in range(4):
            os.rename(tmp_path / f'VOC/Annotations/{i}.xml', tmp_path / f'VOC/JPEGImages/{i}.xml')
        os.rmdir(tmp_path / 'VOC/Annotations')
    walked, walk = [], files.walk
    monkeypatch.setattr(files, 'walk', lambda folder: walked.append(folder) or walk(folder))
    status, text = preprocess(capfd, tmp_path / 'out', f'--images_dir={tmp_path}/VOC')
    assert status == 0, text
    assert walked == [f'{tmp_path}/VOC']
