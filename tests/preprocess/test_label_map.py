"""--label_map: names of annotations are renamed, merged and dropped, for every source, before --labels."""

import dataclasses

import numpy as np
import pytest
from annotated_sets import Photo, draw, is_said, notes, preprocess, read_objects
from sources.test_same_objects import write_all

from preprocess import label_rules
from yolo.data import records


def mapped(photo: Photo, names: dict[str, str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and relative boxes that a record should hold, by a loop."""
    height, width = photo.size
    kept_names, boxes = [], []
    for name, box in zip(photo.names, photo.boxes.tolist(), strict=True):
        if names[name]:
            kept_names.append(names[name])
            boxes.append([(box[0] - 1) / width, (box[1] - 1) / height, box[2] / width, box[3] / height])
    return tuple(kept_names), np.array(boxes).reshape(-1, 4)


@pytest.mark.parametrize('kind', ['voc', 'labelimg', 'coco', 'yolo'])
def test_every_source(capfd, tmp_path, kind):
    """cat and dog are merged, no is dropped and counted, --labels sees the new names."""
    photos = {f'p{i}': photo for i, photo in enumerate(draw(10))}
    splits = {'train': [f'p{i}' for i in range(7)], 'val': [f'p{i}' for i in range(7, 10)]}
    words = write_all(tmp_path, photos, splits)[kind]
    words += ['--label_map=cat=pet,dog=pet,no=', '--labels=pet', '--strict']
    status, text = preprocess(capfd, tmp_path / 'out', *words)
    assert status == 0, text
    assert records.read_description(str(tmp_path / 'out')).classes == ('pet',)
    for split, written in read_objects(tmp_path / 'out').items():
        for image_id, (names, boxes) in written.items():
            expected = mapped(photos[image_id.split('/')[-1]], {'cat': 'pet', 'dog': 'pet', 'no': ''})
            assert names == expected[0]
            np.testing.assert_allclose(boxes, expected[1], atol=2e-7)
        dropped = sum(photos[name].names.count('no') for name in splits[split])
        assert dropped
        assert f"{split}: {dropped} objects 'no' were dropped, as --label_map says" in notes(tmp_path / 'out')
        assert f"{dropped} objects 'no' were dropped" in text


def test_an_object_that_is_dropped_is_no_problem_whatever_its_box(capfd, tmp_path):
    photos = {f'p{i}': photo for i, photo in enumerate(draw(4))}
    photos['p0'].boxes[0] = (50, 50, 40, 40)
    words = write_all(tmp_path, photos, {'train': list(photos)})['voc']
    other = ','.join(f'{name}=' for name in set(photos['p0'].names[:1]))
    status, text = preprocess(capfd, tmp_path / 'out', *words, f'--label_map={other}')
    assert status == 0, text
    assert 'no area' not in text


def test_names_that_do_not_occur_are_said_with_those_that_do(capfd, tmp_path):
    photos = {f'p{i}': photo for i, photo in enumerate(draw(6))}
    words = write_all(tmp_path, photos, {'train': list(photos)})['voc']
    status, text = preprocess(capfd, tmp_path / 'out', *words, '--label_map=catt=cat,dog=cat')
    assert status == 0, text
    number = sum(photo.names.count('cat') for photo in photos.values())
    assert is_said([text], rf"--label_map names 'catt', which no annotation has; there are .*'cat' \({number}\)")
    assert "'dog'," not in text


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--label_map=cat=,dog='], '--label_map: no object is left'),
        (['--ignore_labels=cat,dog'], '--ignore_labels: no object is left'),
        (['--label_map=dog=', '--ignore_labels=cat'], '--label_map and --ignore_labels: no object is left'),
    ],
)
def test_rules_that_leave_no_object_are_named_with_the_counts(capfd, tmp_path, words, said):
    photo = dataclasses.replace(draw(1)[0], names=('cat', 'dog', 'cat'), boxes=np.array([[2, 2, 30, 30]] * 3))
    given = write_all(tmp_path, {'p0': photo}, {'train': ['p0']})['voc']
    status, text = preprocess(capfd, tmp_path / 'out', *given, *words)
    assert status == 1
    assert is_said([text], rf"{said}, 'cat' \(2\), 'dog' \(1\) are all dropped or ignored")


@pytest.mark.parametrize(('rule', 'became'), [('dog=', 'dropped'), ('dog=animal', "'animal'")])
def test_an_ignored_name_that_the_map_takes_away_is_said_with_what_became_of_it(capfd, tmp_path, rule, became):
    photo = dataclasses.replace(draw(1)[0], names=('cat', 'dog'), boxes=np.array([[2, 2, 30, 30]] * 2))
    given = write_all(tmp_path, {'p0': photo}, {'train': ['p0']})['voc']
    status, text = preprocess(capfd, tmp_path / 'out', *given, f'--label_map={rule}', '--ignore_labels=dog')
    assert status == 0, text
    there = "'cat' (1)" if became == 'dropped' else "'animal' (1), 'cat' (1)"
    said = f"--ignore_labels names 'dog' ({became} by --label_map), which no annotation has after --label_map"
    assert f'{said}; there are {there}' in text


def test_an_object_that_another_name_leaves_out_is_said_with_both(capfd, tmp_path):
    photo = draw(1)[0]
    photo = Photo(photo.data, photo.size, ('dog', 'cat'), np.array([[2, 2, 30, 30], [9, 9, 40, 40]]))
    words = write_all(tmp_path, {'p0': photo}, {'train': ['p0']})['voc']
    given = '--label_map=dog=animal', '--labels=cat,dog'
    status, text = preprocess(capfd, tmp_path / 'out', *words, *given)
    assert status == 0, text
    said = r"object 1 'dog' \(2, 2, 30, 30\): 'animal' by --label_map: its name is not among the labels"
    assert is_said([text], said)


def test_the_map_is_a_setting_of_the_records(capfd, tmp_path):
    words = write_all(tmp_path, {'p0': draw(1)[0]}, {'train': ['p0']})['voc']
    first, same = '--label_map=cat=pet,dog=pet', '--label_map=dog=pet, cat=pet'
    assert preprocess(capfd, tmp_path / 'out', *words, first)[0] == 0
    status, text = preprocess(capfd, tmp_path / 'out', *words, same)
    assert (status, 'holds these records already' in text) == (0, True)
    status, text = preprocess(capfd, tmp_path / 'out', *words)
    assert status == 1
    assert is_said([text], 'label_map: .* there, null now.*--overwrite')


def test_one_step_no_chain():
    rules = label_rules.LabelRules(dict(label_rules.read_map('a=b,b=c,c=a,x=')))
    assert [rules.rename(name) for name in ('a', 'b', 'c', 'd', 'x', '')] == ['b', 'c', 'a', 'd', '', '']


def test_a_file_takes_commas_and_with_a_tab_equal_signs(tmp_path):
    (tmp_path / 'map').write_text('\ufeffa,b = c\n\nx=y\t\nu=v\tw=\n k =\n', 'utf-8')
    pairs = label_rules.read_map(str(tmp_path / 'map'))
    assert pairs == (('a,b', 'c'), ('k', ''), ('u=v', 'w='), ('x=y', ''))


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('a', 'neither old=new'),
        ('no/such/file', 'neither old=new'),
        ('a=b=c', "'a=b=c' is not old=new.*tab"),
        ('=b', 'is not old=new'),
        (',=,', 'is not old=new'),
        ('a=b,a=c', "'a' is mapped twice"),
        ('a=b/c', 'it has a /'),
    ],
)
def test_what_is_no_map(text, said):
    with pytest.raises(ValueError, match=f'--label_map=.*{said}'):
        label_rules.read_map(text)


def test_a_line_of_a_file_is_named(tmp_path):
    (tmp_path / 'map').write_text('a=b\nc\n')
    with pytest.raises(ValueError, match="map, line 2: 'c' is not old=new"):
        label_rules.read_map(str(tmp_path / 'map'))
    (tmp_path / 'map').write_bytes(b'a=\xff')
    with pytest.raises(ValueError, match=r'--label_map=.*map is not text in UTF-8'):
        label_rules.read_map(str(tmp_path / 'map'))
