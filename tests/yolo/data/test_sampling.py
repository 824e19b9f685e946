import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from conftest import CLASSES, write_records
from test_order import WHOLE, epoch_of, make_index, small_blocks, windows_of  # noqa: F401

from yolo.data import index, label_reading, order, records, sampling, tfrecord


def random_objects(num_images: int = 40, num_classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Owners and labels of objects, of which the last class has none and some images have none."""
    rng = np.random.default_rng(seed)
    owners = np.sort(rng.integers(0, num_images, 60))
    return owners, np.minimum(rng.geometric(0.5, 60) - 1, num_classes - 2)


@pytest.mark.parametrize('threshold', [None, 0.001, 0.2, 1.0])
def test_factors_are_those_of_the_formula(threshold):
    owners, labels = random_objects()
    shares = sampling.class_shares(owners, labels, 40, 5)
    factors = sampling.repeat_factors(owners, labels, 40, sampling.class_factors(shares, threshold))
    images_with = {k: {i for i, label in zip(owners, labels, strict=True) if label == k} for k in range(5)}
    f = {k: len(images) / 40 for k, images in images_with.items()}
    present = [share for share in f.values() if share]
    t = sum(present) / len(present) if threshold is None else threshold
    for i in range(40):
        of_classes = [max(1, math.sqrt(t / f[k])) for k in range(5) if i in images_with[k]]
        assert factors[i] == pytest.approx(max(of_classes, default=1), rel=1e-12)
    assert (factors.max() > 1) == (threshold != 0.001)


def test_a_split_without_objects_has_nothing_to_repeat():
    nothing = np.zeros(0, np.int64)
    factors = sampling.class_factors(sampling.class_shares(nothing, nothing, 3, 2))
    assert sampling.repeat_factors(nothing, nothing, 3, factors).tolist() == [1, 1, 1]


def make_order(window_bytes: int, num_records: int = 300, seed: int = 3, factors: np.ndarray | None = None):
    """An order of records of which every seventh comes 4.3 times, the others from once to 1.9 times."""
    if factors is None:
        factors = np.where(np.arange(num_records) % 7 == 0, 4.3, 1 + np.arange(num_records) % 10 / 10)
    return order.Order(make_index(num_records), 8, seed, window_bytes, sampling.in_units(factors))


@pytest.mark.parametrize('window_bytes', [WHOLE, 20_000])
def test_an_epoch_repeats_each_record_by_its_factor_rounded(small_blocks, window_bytes):  # noqa: F811
    made = make_order(window_bytes)
    assert (made.num_windows > 5) == (window_bytes != WHOLE)
    factors, num_epochs = made.repeats / sampling.ONE, 40 if window_bytes == WHOLE else 6
    counts = np.array([np.bincount(epoch_of(made, epoch), minlength=300) for epoch in range(num_epochs)])
    assert set(counts.sum(1)) == {made.epoch_length} == {math.ceil(made.repeats.sum() / sampling.ONE)}
    assert (counts >= np.floor(factors)).all()
    assert (counts <= np.ceil(factors) + 1).all()
    assert (counts > np.ceil(factors)).sum() <= num_epochs  # of the last one in each epoch, which fills it up
    deviation = 0.5 / math.sqrt(num_epochs)  # at most, of the mean of what is rounded
    np.testing.assert_allclose(counts.mean(0), factors, atol=5 * deviation)
    np.testing.assert_allclose(counts[:, ::7].mean(), 4.3, atol=0.05)
    assert len({tuple(count) for count in counts}) == num_epochs  # each epoch repeats others


def test_expected_repeats_over_many_epochs():
    """The mean of 1,000 epochs is the factor, to 5 standard deviations of it."""
    made = make_order(WHOLE, num_records=6, factors=np.array([1, 1.5, 2.25, 1.1, 3.9, 1.25]))
    seeds = tf.stack([tf.fill([1000], tf.constant(5, tf.int64)), tf.range(1000, dtype=tf.int64)], 1)
    counts = tf.function(lambda: tf.map_fn(made._counts, seeds))().numpy()
    assert made.epoch_length == 11
    np.testing.assert_allclose(counts.mean(0), made.repeats / sampling.ONE, atol=5 * 0.5 / math.sqrt(1000))


@pytest.mark.parametrize('window_bytes', [WHOLE, 20_000, 9000])
def test_factors_of_one_are_the_uniform_order(small_blocks, window_bytes):  # noqa: F811
    uniform = order.Order(make_index(300), 8, 3, window_bytes)
    ones = make_order(window_bytes, factors=np.ones(300))
    for epoch in (0, 7):
        assert windows_of(ones, epoch) == windows_of(uniform, epoch)


def test_an_epoch_does_not_depend_on_those_before(small_blocks):  # noqa: F811
    for window_bytes in (WHOLE, 40_000):
        last = epoch_of(make_order(window_bytes), 1000)
        assert last == epoch_of(make_order(window_bytes), 1000)
        assert last != epoch_of(make_order(window_bytes, seed=4), 1000)


def test_windows_follow_each_other_and_have_equal_lengths(small_blocks):  # noqa: F811
    made, expected = make_order(20_000), 0
    for number in range(2 * made.num_windows):
        numbers, position = made.window(tf.constant(number, tf.int64))
        assert position == expected
        expected += len(numbers)
    assert expected == 2 * made.epoch_length
    for epoch in range(2):
        lengths = [made.index.num_bytes[window].sum() for window in windows_of(made, epoch)]
        most_of_a_block = 5 * (order.BLOCK_BYTES + 1000)  # all of whose records come 5 times
        assert max(lengths) <= 1.05 * 20_000 + most_of_a_block
        assert np.mean(lengths) <= 1.05 * 20_000


def test_labels_are_read_without_the_images(tmp_path):
    folder = write_records(tmp_path, num_images=11)
    description = records.read_description(folder)
    expected: list[tuple[int, int]] = []
    boxes: list[list[float]] = []
    number = 0
    for path in records.shard_paths(folder, 'train', description):
        data = pathlib.Path(path).read_bytes()
        with open(path, 'rb') as file:
            for serialized in tfrecord.unframe(file, path):
                record = records.deserialize(serialized)
                expected += [(number, int(label)) for label in record.labels]
                boxes += record.boxes.tolist()
                data = data.replace(record.image, bytes(len(record.image)))  # of which nothing can be read
                number += 1
        pathlib.Path(path).write_bytes(data)
    owners, labels = label_reading.read_labels(folder, 'train')
    assert number == 11
    assert list(zip(owners.tolist(), labels.tolist(), strict=True)) == expected
    assert label_reading.read_objects(folder, 'train')[2].tolist() == boxes
    repeats, of_classes = label_reading.read_repeats(folder, 'train', threshold=1.0)
    shares = [len({i for i, label in expected if label == k}) / 11 for k in range(2)]
    np.testing.assert_allclose(of_classes, [math.sqrt(1 / share) for share in shares])
    assert repeats[0] == sampling.ONE  # has no objects
    assert repeats.max() == round(max(of_classes) * sampling.ONE)


@pytest.mark.parametrize('order_of_names', [sorted, lambda names: sorted(names, reverse=True)])
def test_labels_of_records_whose_features_are_in_another_order(tmp_path, order_of_names):
    image = bytes(range(256)) * 9
    record = records.Record('one', image, (5, 6), np.zeros((3, 4)), np.array([1, 0, 1]), np.zeros(3), np.zeros((3, 3)))
    features = tf.train.Example.FromString(records.serialize(record)).features.feature
    parts = [tf.train.Features(feature={name: features[name]}) for name in order_of_names(features)]
    inner = b''.join(part.SerializeToString() for part in parts)
    serialized = b'\x0a' + bytes([len(inner) & 0x7F | 0x80, len(inner) >> 7]) + inner
    assert records.deserialize(serialized).image == image
    (tmp_path / 'file').write_bytes(b'before' + tfrecord.frame(serialized))
    with open(tmp_path / 'file', 'rb') as file:
        assert label_reading._objects_of(file, 6, 16 + len(serialized)) == ([1, 0, 1], [0.0] * 12)


def test_objects_without_a_box_each_are_refused():
    with pytest.raises(ValueError, match='2 objects have boxes of 4 numbers'):
        label_reading._check([0, 1], [0.0, 0.0, 1.0, 1.0], 2)


def test_damage_is_named_with_its_record(tmp_path):
    folder = write_records(tmp_path, num_images=6)
    path = pathlib.Path(records.shard_path(folder, 'train', 1, 2))
    found = index.read_index(folder, 'train', records.read_description(folder))
    whole, begin = path.read_bytes(), int(found.offsets[4]) + 12
    index.write_indices(folder, {'train': (found.num_bytes - 16).tolist()})
    for at in (0, 1, 3, 4):  # tags and lengths of all features and of the first
        path.write_bytes(whole[: begin + at] + b'\xff' + whole[begin + at + 1 :])
        with pytest.raises(ValueError, match=rf'{path}, record 1: .*preprocess verify'):
            label_reading.read_labels(folder, 'train')


def test_a_label_that_is_no_class_is_named(tmp_path):
    folder = write_records(tmp_path, num_images=6)
    description = records.read_description(folder)
    records.write_description(folder, fewer_classes(description))
    with pytest.raises(ValueError, match=r'00002, record \d: the label 1 is not one of the 1 classes'):
        label_reading.read_labels(folder, 'train')


def fewer_classes(description: records.Description) -> records.Description:
    """A description that knows the first class alone."""
    fields = vars(description) | {'classes': CLASSES[:1]}
    splits = {
        name: records.Split(**{**vars(split), 'objects_per_class': {CLASSES[0]: split.num_objects}})
        for name, split in description.splits.items()
    }
    return records.Description(**{**fields, 'splits': splits})
