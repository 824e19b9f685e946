"""Ignore regions in the input graph: parsed and padded, moved as the pixels are, and cut without being dropped."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from conftest import write_records
from regions import add_regions, random_regions
from test_mosaic import SIZE, all_mosaics, parts

from yolo.data import augment, mosaic, parsing, pipeline, records, tfrecord


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> str:
    """Records of which those of `train` have regions."""
    return add_regions(write_records(tmp_path_factory.mktemp('regions') / 'data'), 'train', random_regions)


def stored(folder: str, split: str) -> dict[str, records.Record]:
    found = {}
    for path in records.shard_paths(folder, split, records.read_description(folder)):
        with open(path, 'rb') as file:
            found |= {each.image_id: each for each in map(records.deserialize, tfrecord.unframe(file, path))}
    return found


def take(dataset, count):
    return [{name: value.numpy() for name, value in batch.items()} for batch in itertools.islice(dataset, count)]


def random_boxes(rng, *shape) -> np.ndarray:
    low = rng.uniform(0, 0.8, (*shape, 2))
    return np.concatenate([low, low + rng.uniform(0.02, 0.3, low.shape)], -1).clip(0, 1).astype(np.float32)


def test_evaluation_batches_hold_what_is_stored_and_padding_that_is_known(folder):
    expected, most = stored(folder, 'train'), records.read_description(folder).max_regions
    assert most == 3
    seen = 0
    for batch in take(pipeline.evaluation_batches(folder, 'train', 3), 9):
        assert batch['regions'].shape == (3, most, 4)
        for i in np.flatnonzero(batch['real']):
            record = expected[batch['image_id'][i].decode()]
            num = len(record.regions)
            np.testing.assert_array_equal(batch['regions'][i, :num], record.regions)
            assert batch['region_labels'][i].tolist() == [
                *record.region_labels.tolist(),
                *[parsing.NO_REGION] * (most - num),
            ]
            assert not batch['regions'][i, num:].any()
            seen += num
    assert seen == records.read_description(folder).split('train').num_regions > 5


@pytest.mark.slow
def test_a_split_without_regions_has_the_graph_that_it_had(folder):
    assert 'regions' not in take(pipeline.training_batches(folder, 'test', 4, 0), 1)[0]
    assert not {'regions', 'region_labels'} & set(take(pipeline.evaluation_batches(folder, 'test', 4), 1)[0])


@pytest.mark.slow
@pytest.mark.parametrize('ranges', [None, augment.Ranges(), augment.Ranges(mosaic=0.5)])
def test_everything_else_in_a_batch_is_as_without_regions(folder, tmp_path, ranges):
    plain = take(pipeline.training_batches(write_records(tmp_path / 'plain'), 'train', 4, 3, ranges), 3)
    for batch, other in zip(take(pipeline.training_batches(folder, 'train', 4, 3, ranges), 3), plain, strict=True):
        assert set(batch) - set(other) == {'regions'}
        for name in other:
            np.testing.assert_array_equal(batch[name], other[name])


@pytest.mark.slow
def test_training_without_augmentation_has_them_as_stored(folder):
    by_image = {np.asarray(each.boxes).tobytes(): each for each in stored(folder, 'train').values()}
    num = 0
    for batch in take(pipeline.training_batches(folder, 'train', 4, 0), 2):
        for boxes, labels, regions in zip(batch['boxes'], batch['labels'], batch['regions'], strict=True):
            if (labels >= 0).any():
                record = by_image[boxes[labels >= 0].tobytes()]
                np.testing.assert_array_equal(regions[: len(record.regions)], record.regions)
                assert not regions[len(record.regions) :].any()
                num += len(record.regions)
    assert num > 3


def test_more_regions_than_described_are_an_error(folder):
    paths = records.shard_paths(folder, 'train', records.read_description(folder))
    serialized = tf.stack(list(tf.data.TFRecordDataset(paths)))
    with pytest.raises(tf.errors.InvalidArgumentError, match='more ignore regions'):
        parsing.parse_annotations(serialized, 4, 1)


def slow_clip(box, window):
    """What is left of a box in a window; zeros where nothing is."""
    left = [max(box[0], window[0]), max(box[1], window[1]), min(box[2], window[2]), min(box[3], window[3])]
    return left if left[2] > left[0] and left[3] > left[1] else [0, 0, 0, 0]


@pytest.mark.parametrize('in_graph', [False, True])
def test_warped_regions_are_cut_and_keep_what_remains(in_graph):
    """By a loop over corners; also the sliver of 5 % that an object would lose its label for."""
    regions = random_boxes(np.random.default_rng(0), 64, 5)
    regions[0, 0], regions[0, 1] = (0.0, 0.2, 0.5, 0.7), 0
    warp = augment.random_augmentation(64, augment.Ranges(jitter=0.8, scale=(0.4, 1.8)), tf.constant([0, 1], tf.int64))
    warp = np.array(warp[0])
    warp[0] = (1, 1, -0.475, 0)
    call = tf.function(augment.warp_regions) if in_graph else augment.warp_regions
    got = call(tf.constant(regions), tf.constant(warp)).numpy()
    for i, (scale_x, scale_y, shift_x, shift_y) in enumerate(warp.tolist()):
        for n, (x0, y0, x1, y1) in enumerate(regions[i].tolist()):
            xs = sorted((x0 * scale_x + shift_x, x1 * scale_x + shift_x))
            expected = slow_clip([xs[0], y0 * scale_y + shift_y, xs[1], y1 * scale_y + shift_y], (0, 0, 1, 1))
            np.testing.assert_allclose(got[i, n], expected, atol=1e-6)
    np.testing.assert_allclose(got[0, 0], [0, 0.2, 0.025, 0.7], atol=1e-6)
    labels = augment.warp_boxes(tf.constant(regions), tf.zeros((64, 5), tf.int32), tf.constant(warp))[1].numpy()
    assert labels[0, 0] == -1
    assert not got[0, 1].any()


def test_regions_go_with_the_parts_of_a_mosaic():
    regions = random_boxes(np.random.default_rng(1), 8, 3)
    regions[2, 1:] = 0
    mosaics = all_mosaics(share=0.5)
    got = mosaic.mosaic_regions(tf.constant(regions), mosaics, SIZE).numpy()
    assert got.shape == (8, 12, 4)
    scale, kept = np.array([SIZE[1], SIZE[0]] * 2), 0
    assert 0 < mosaics.chosen.numpy().sum() < 8
    for i in range(8):
        if not mosaics.chosen[i]:
            np.testing.assert_array_equal(got[i], np.concatenate([regions[i], np.zeros((9, 4))]))
            continue
        for k, (source, (top, bottom, left, right), (y0, _, x0, _)) in enumerate(parts(mosaics, i)):
            for n in range(3):
                whole = regions[source, n] * scale + [left - x0, top - y0, left - x0, top - y0]
                expected = slow_clip(
                    whole.tolist() if regions[source, n].any() else [0] * 4, (left, top, right, bottom)
                )
                np.testing.assert_allclose(got[i, 3 * k + n] * scale, expected, atol=1e-3)
                kept += any(expected)
    assert kept > 15
