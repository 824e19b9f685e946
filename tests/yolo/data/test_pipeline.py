import itertools

import numpy as np
import pytest
import tensorflow as tf
from conftest import ANCHORS, CLASSES, write_records
from objects_in_place import check_objects

from yolo.data import augment, index, parsing, pipeline, records
from yolo.geometry.targets import encode_targets


def take(dataset, count):
    return [{name: value.numpy() for name, value in batch.items()} for batch in itertools.islice(dataset, count)]


def test_the_description_comes_back(records_dir):
    description = records.read_description(records_dir)
    assert description.classes == CLASSES
    assert description.anchors == ANCHORS
    assert description.grid == (3, 3)
    assert description.max_boxes == 4
    assert description.split('train').num_images == 8


def test_bad_folders_are_refused_with_the_way_out(records_dir, tmp_path):
    with pytest.raises(ValueError, match=r'no dataset.json.*python -m preprocess'):
        records.read_description(str(tmp_path))
    with pytest.raises(ValueError, match=r"no split 'val'.*test, train"):
        pipeline.training_batches(records_dir, 'val', 2, 0)
    (tmp_path / 'dataset.json').write_text('{"classes": 3}')
    with pytest.raises(ValueError, match='not a description'):
        records.read_description(str(tmp_path))
    folder = write_records(tmp_path / 'broken')
    (tmp_path / 'broken' / 'train.tfrecord-00001-of-00002').unlink()
    with pytest.raises(ValueError, match=r'train.tfrecord-00001-of-00002 is missing'):
        pipeline.training_batches(folder, 'train', 2, 0)


def test_more_objects_than_described_are_not_cut_off(records_dir):
    paths = records.shard_paths(records_dir, 'train', records.read_description(records_dir))
    serialized = list(tf.data.TFRecordDataset(paths))
    with pytest.raises(tf.errors.InvalidArgumentError, match='more objects'):
        parsing.parse_annotations(tf.stack(serialized), 2)


def test_batches_are_a_function_of_seed_and_step(records_dir):
    ranges = augment.Ranges()
    whole = take(pipeline.training_batches(records_dir, 'train', 3, 5, ranges), 9)
    tf.random.set_seed(17)  # the global seed is none of its business
    again = take(pipeline.training_batches(records_dir, 'train', 3, 5, ranges, start=4), 5)
    for a, b in zip(whole[4:], again, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    other = take(pipeline.training_batches(records_dir, 'train', 3, 6, ranges), 1)[0]
    assert not np.array_equal(other['image'], whole[0]['image'])


def test_every_image_once_an_epoch(records_dir):
    epochs = [
        [i for step in (2 * e, 2 * e + 1) for i in pipeline.training_ids(records_dir, 'train', 4, 0, step)]
        for e in range(3)
    ]
    for epoch in epochs:
        assert sorted(epoch) == [f'train_{i}' for i in range(8)]
    assert epochs[0] != epochs[1] != epochs[2]


def test_ids_are_those_of_the_batch(records_dir):
    stored = {}
    for batch in take(pipeline.evaluation_batches(records_dir, 'train', 8), 1):
        stored = {image_id.decode(): image for image_id, image in zip(batch['image_id'], batch['image'], strict=True)}
    for step, batch in enumerate(take(pipeline.training_batches(records_dir, 'train', 3, 1), 6)):
        ids = pipeline.training_ids(records_dir, 'train', 3, 1, step)
        for image_id, image in zip(ids, batch['image'], strict=True):
            np.testing.assert_array_equal(stored[image_id], image)


def test_without_augmentation_the_record_comes_as_it_is(records_dir):
    for batch in take(pipeline.training_batches(records_dir, 'train', 4, 0), 4):
        assert batch['image'].dtype == np.uint8
        assert set(batch) == {'image', 'boxes', 'labels', 'places'}
        np.testing.assert_array_equal(batch['places'], encode_targets(batch['boxes'], batch['labels'], ANCHORS, (3, 3)))
        images = pipeline.augment_images({name: tf.constant(value) for name, value in batch.items()}, (96, 96))
        np.testing.assert_allclose(images * 255, batch['image'], atol=1e-4)


def test_augmented_boxes_lie_on_the_augmented_objects(records_dir):
    hits = 0
    for batch in take(pipeline.training_batches(records_dir, 'train', 4, 0, augment.Ranges()), 8):
        images = pipeline.augment_images({name: tf.constant(value) for name, value in batch.items()}, (96, 96)).numpy()
        for i, n in np.argwhere(batch['labels'] >= 0):
            later = batch['labels'][i, n + 1 :]
            if (later >= 0).any():
                continue  # maybe covered by a later one
            x0, y0, x1, y1 = np.round(batch['boxes'][i, n] * 96).astype(int)
            inside = images[i, y0 + 2 : y1 - 2, x0 + 2 : x1 - 2]
            if inside.size:
                assert (inside.mean() > 0.5) == (batch['labels'][i, n] == 0)
                hits += 1
    assert hits > 10


def test_evaluation_has_every_record_once_and_fills_up(records_dir):
    batches = take(pipeline.evaluation_batches(records_dir, 'test', 3), 99)
    assert [batch['real'].tolist() for batch in batches] == [[True] * 3, [True] * 3, [True, True, False]]
    ids = [image_id.decode() for batch in batches for image_id in batch['image_id'][batch['real']]]
    assert sorted(ids) == [f'test_{i}' for i in range(8)]
    assert (batches[0]['size'] == [192, 288]).all()
    assert (
        sum((batch['labels'][batch['real']] >= 0).sum() for batch in batches)
        == records.read_description(records_dir).split('test').num_objects
    )


@pytest.mark.parametrize('num_shards', [1, 3])
def test_processes_share_the_records_of_an_evaluation(tmp_path, num_shards):
    folder = write_records(tmp_path, num_shards=num_shards)
    (whole,) = take(pipeline.evaluation_batches(folder, 'test', 8), 2)
    for count in (3, 11):
        shards = [pipeline.InputShard(number, count) for number in range(count)]
        batches = [
            batch for shard in shards for batch in take(pipeline.evaluation_batches(folder, 'test', 2, shard), 9)
        ]
        for name in ('image_id', 'image', 'boxes', 'labels', 'size'):
            together = np.concatenate([batch[name][batch['real']] for batch in batches])
            np.testing.assert_array_equal(together, whole[name], err_msg=name)


def test_nothing_is_read_before_the_own_records(tmp_path):
    folder = write_records(tmp_path, num_shards=1)
    found = index.read_index(folder, 'test', records.read_description(folder))
    index.write_indices(folder, {'test': (found.num_bytes - 16).tolist()})
    (expected,) = take(pipeline.evaluation_batches(folder, 'test', 8, pipeline.InputShard(1, 2)), 2)
    with open(found.paths[0], 'r+b') as file:
        file.write(bytes(int(found.offsets[4])))
    (own,) = take(pipeline.evaluation_batches(folder, 'test', 8, pipeline.InputShard(1, 2)), 2)
    assert own['real'].sum() == 4
    np.testing.assert_array_equal(own['image_id'], expected['image_id'])
    with pytest.raises(tf.errors.DataLossError):
        take(pipeline.evaluation_batches(folder, 'test', 8, pipeline.InputShard(0, 2)), 2)


@pytest.mark.slow
def test_parts_put_together_are_the_batch(records_dir):
    """Whatever the number of processes that make a batch, mosaics and pasted objects included."""
    ranges = augment.Ranges(mosaic=0.5, copy_paste=2)
    args = records_dir, 'train', 8, 3, ranges, 2
    wholes = take(pipeline.training_batches(*args), 3)
    parts = [take(pipeline.training_batches(*args, pipeline.InputShard(i, 2)), 3) for i in range(2)]
    for whole, *halves in zip(wholes, *parts, strict=True):
        for name, value in whole.items():
            np.testing.assert_array_equal(np.concatenate([half[name] for half in halves]), value)
    plain = take(pipeline.training_batches(*args[:4], augment.Ranges(), 2), 1)[0]
    assert not np.array_equal(wholes[0]['image'], plain['image'])
    with pytest.raises(ValueError, match='batches of 8 images cannot be divided into 3 parts'):
        pipeline.training_batches(*args, pipeline.InputShard(0, 3))
    with pytest.raises(ValueError, match='8 images cannot be divided into 4 parts of whole groups of 4'):
        pipeline.training_batches(*args, pipeline.InputShard(0, 4))


def test_mosaics_have_their_boxes_on_their_objects(records_dir):
    hits = 0
    for batch in take(pipeline.training_batches(records_dir, 'train', 8, 0, augment.Ranges(mosaic=1.0)), 4):
        images = pipeline.augment_images({name: tf.constant(value) for name, value in batch.items()}, (96, 96)).numpy()
        hits += check_objects(batch, images)
    assert hits > 10
