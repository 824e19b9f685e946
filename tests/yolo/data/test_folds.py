import numpy as np
import pytest
from conftest import write_records

from yolo.data import folds, pipeline

NUM = 22


@pytest.mark.parametrize('count', [2, 3, 22])
def test_each_image_is_in_one_part(count):
    parts = [folds.held_out(NUM, fold, count, seed=1) for fold in range(count)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(NUM))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for fold, part in enumerate(parts):
        others = folds.trained_on(NUM, fold, count, seed=1)
        assert sorted([*part, *others]) == list(range(NUM))
        assert len(others) == folds.num_trained_on(NUM, fold, count)
        assert (np.diff(part) > 0).all()
    other = [folds.held_out(NUM, fold, count, seed=2).tolist() for fold in range(count)]
    assert other != [part.tolist() for part in parts]


def test_without_parts_nothing_is_left_out():
    assert not len(folds.held_out(NUM, 0, 1, 0))
    assert folds.num_trained_on(NUM, 0, 1) == len(folds.trained_on(NUM, 0, 1, 0)) == NUM


@pytest.mark.parametrize(('fold', 'count', 'message'), [(3, 3, '--fold=3'), (0, 23, '--folds=23')])
def test_parts_that_there_are_not(fold, count, message):
    with pytest.raises(ValueError, match=message):
        folds.held_out(NUM, fold, count, 0)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp('folds') / 'data', num_images=NUM)


def ids_of(folder, numbers=None):
    batches = pipeline.evaluation_batches(folder, 'train', 4, numbers=numbers)
    return [i.decode() for batch in batches for i in batch['image_id'].numpy()[batch['real'].numpy()]]


def test_evaluation_takes_the_chosen_records_alone_in_their_order(folder):
    every = ids_of(folder)
    assert len(every) == NUM
    for numbers in (np.array([0, 1, 2, 7, 10, 11, 12, 21]), np.array([5]), np.array([4, 3, 20])):
        assert ids_of(folder, numbers) == [every[number] for number in numbers]


@pytest.mark.parametrize('windows', [False, True])
def test_training_takes_the_other_records_once_an_epoch(folder, windows, monkeypatch):
    if windows:
        monkeypatch.setitem(pipeline.read_order.__globals__, 'BLOCK_BYTES', 20_000)
    every = ids_of(folder)
    numbers = folds.trained_on(NUM, 1, 2, seed=0)  # 11 of 22
    steps = [pipeline.training_ids(folder, 'train', 11, 0, step, numbers=numbers) for step in range(2)]
    for ids in steps:
        assert sorted(ids) == sorted(every[number] for number in numbers)
    batches = iter(pipeline.training_batches(folder, 'train', 11, 0, numbers=numbers))
    whole = dict(zip(every, labels_of(folder), strict=True))
    for ids in steps:
        labels = next(batches)['labels'].numpy().tolist()
        assert labels == [whole[image_id] for image_id in ids]


def labels_of(folder):
    batches = pipeline.evaluation_batches(folder, 'train', 4)
    return [row for batch in batches for row in batch['labels'].numpy()[batch['real'].numpy()].tolist()]
