"""Records whose first split is stored larger than the network's images: what training and evaluation make of them."""

import dataclasses
import itertools
import re
import shutil

import cv2
import numpy as np
import pytest
import tensorflow as tf
from conftest import ANCHORS, SMALL, write_manifest, write_records
from objects_in_place import check_objects
from training_runs import make_small_config, one_device, run_steps

from yolo import recipes as recipe_values
from yolo.data import augment, damage, images, pipeline, records, tfrecord
from yolo.evaluation import inference, record_pictures, resized
from yolo.export import calibration
from yolo.geometry.targets import encode_targets
from yolo.training import batches, gradients, memory, recipes, resolve, settings_summary

SIZE, STORED = (96, 96), (144, 144)
GRID = (3, 3)


def rewrite(path: str, size: tuple[int, int]) -> None:
    """Makes the images of a file as large as `size`, and places those of the grid of the network."""
    with open(path, 'rb') as file:
        found = [records.deserialize(each) for each in tfrecord.unframe(file, path)]
    with open(path, 'wb') as file:
        for record in found:
            image = images.resize(images.decode(record.image), size)
            data = images.encode_stored(np.ascontiguousarray(image[..., ::-1]), 'png', 95)
            places = encode_targets(record.boxes, record.labels, ANCHORS, GRID).numpy()
            file.write(tfrecord.frame(records.serialize(dataclasses.replace(record, image=data, places=places))))


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> str:
    """Records for a network of 96 x 96 pixels; `train` holds images of 144 x 144."""
    folder = write_records(tmp_path_factory.mktemp('stored') / 'data', size=192)
    description = records.read_description(folder)
    for split, size in (('train', STORED), ('test', SIZE)):
        for path in records.shard_paths(folder, split, description):
            rewrite(path, size)
    splits = {**description.splits, 'train': dataclasses.replace(description.split('train'), stored_size=STORED)}
    about = dataclasses.replace(description, image_size=SIZE, image_format='png', splits=splits)
    records.write_description(folder, about)
    write_manifest(folder)
    return folder


def take(dataset, count):
    return [{name: value.numpy() for name, value in batch.items()} for batch in itertools.islice(dataset, count)]


def cut_slowly(image: np.ndarray, warp: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The image (H, W, 3) 0..1 after a warp (4,) at another size, by OpenCV, and which pixels are inside of it."""
    scale = np.array([size[1] / image.shape[1], size[0] / image.shape[0], size[1], size[0]])
    sx, sy, dx, dy = warp * scale
    matrix = np.array([[sx, 0, dx + sx / 2 - 0.5], [0, sy, dy + sy / 2 - 0.5]])
    inside = cv2.warpAffine(np.ones(image.shape[:2], np.float32), matrix, size[::-1]) == 1
    return cv2.warpAffine(image, matrix, size[::-1], flags=cv2.INTER_LINEAR), cv2.erode(
        inside.astype(np.uint8), np.ones((3, 3))
    ) == 1


SLOW = pytest.mark.slow


@pytest.mark.parametrize('size', [SIZE, pytest.param((64, 64), marks=SLOW), pytest.param(STORED, marks=SLOW)])
def test_every_training_size_is_cut_from_the_larger_pixels_at_once(folder, size):
    ranges = augment.Ranges(hue=0.0, saturation=1.0, exposure=1.0)
    (batch,) = take(pipeline.training_batches(folder, 'train', 8, 0, ranges), 1)
    assert batch['image'].shape == (8, *STORED, 3)
    got = pipeline.augment_images({name: tf.constant(value) for name, value in batch.items()}, size).numpy()
    for image, warp, pixels in zip(batch['image'] / np.float32(255), batch['warp'], got, strict=True):
        expected, inside = cut_slowly(image, warp, size)
        assert inside.mean() > 0.3
        np.testing.assert_allclose(pixels[inside], expected[inside], atol=0.03)
        twice, _ = cut_slowly(cv2.resize(image, SIZE, interpolation=cv2.INTER_LINEAR), warp, size)
        assert np.abs(twice[inside] - expected[inside]).mean() > 3 * np.abs(pixels[inside] - expected[inside]).mean()


@SLOW
def test_mosaics_are_of_the_stored_size_and_have_their_boxes_on_their_objects(folder):
    hits = 0
    for batch in take(pipeline.training_batches(folder, 'train', 8, 0, augment.Ranges(mosaic=1.0)), 4):
        assert batch['image'].shape == (8, *STORED, 3)
        cut = pipeline.augment_images({name: tf.constant(value) for name, value in batch.items()}, SIZE).numpy()
        hits += check_objects(batch, cut)
    assert hits > 10


def test_stored_places_are_those_of_the_network_whatever_the_stored_size(folder, tmp_path):
    (batch,) = take(pipeline.training_batches(folder, 'train', 8, 0), 1)
    config = make_small_config(folder, tmp_path, augment=False)
    assert gradients._stored_places(config, batch, SIZE) is batch['places']
    assert gradients._stored_places(config, batch, STORED) is None
    expected = encode_targets(batch['boxes'], batch['labels'], ANCHORS, GRID).numpy()
    np.testing.assert_array_equal(batch['places'], expected)


def test_evaluation_resizes_as_preprocessing_does_and_only_where_it_has_to(folder):
    (stored,) = take(pipeline.evaluation_batches(folder, 'train', 8, size=STORED), 9)
    (resized,) = take(pipeline.evaluation_batches(folder, 'train', 8), 9)
    (small,) = take(pipeline.evaluation_batches(folder, 'train', 8, size=(64, 64)), 9)
    (of_test,) = take(pipeline.evaluation_batches(folder, 'test', 8), 9)
    assert stored['image'].shape[1:3] == STORED
    for i in range(8):
        np.testing.assert_array_equal(resized['image'][i], images.resize(stored['image'][i], SIZE))
        np.testing.assert_array_equal(small['image'][i], images.resize(stored['image'][i], (64, 64)))
    assert of_test['image'].shape[1:3] == SIZE
    shown = record_pictures.read(folder, 'train', [5])[5][0]
    np.testing.assert_array_equal(shown[..., ::-1], stored['image'][5])


def test_detections_of_both_splits_are_in_the_pixels_of_the_photos(folder, caplog):
    caplog.set_level('INFO')

    def answer(batch):
        """One detection of each image, over its upper left quarter."""
        assert batch.shape[1:3] == SIZE
        boxes = np.tile(np.float32([0, 0, 0.5, 0.5]), (len(batch), 1, 1))
        ones = np.ones((len(batch), 1))
        return {'boxes': boxes, 'scores': ones, 'classes': ones.astype(int), 'count': np.ones(len(batch), int)}

    for split in ('train', 'test'):
        result, about, _ = inference.run_inference(answer, folder, split, 4, inference.Thresholds())
        np.testing.assert_allclose(result.detections.boxes, np.tile([1, 1, 288, 192], (8, 1)))  # of 576 x 384
        assert about['image_size'] == [96, 96]
    assert not [line for line in caplog.messages if 'resized' in line]  # once for a run, not at every evaluation


@pytest.mark.parametrize(
    ('split', 'size', 'expected'),
    [
        ('test', SIZE, ''),
        ('train', STORED, ''),
        ('train', SIZE, 'stored at 144 x 144 pixels and resized once more, to 96 x 96; .* --image_size=96$'),
        ('train', (96, 144), 'stored at 144 x 144 pixels and resized once more, to 144 x 96; .* --image_size=144x96$'),
        ('train', (96, 160), 'stored at 144 x 144 pixels and enlarged to 160 x 96,.* --image_size=160x96$'),
        ('test', (128, 96), 'stored at 96 x 96 pixels and enlarged to 96 x 128,.* --image_size=96x128$'),
    ],
)
def test_what_is_not_as_prediction_sees_it_is_said(folder, caplog, split, size, expected):
    with caplog.at_level('INFO'):
        resized.say(records.read_description(folder), split, size)
    assert len(caplog.messages) == bool(expected)
    assert all(re.search(f'the images of {split} are {expected}', line) for line in caplog.messages)


@pytest.mark.parametrize(
    ('split', 'sizes', 'expected'),
    [
        (
            'train',
            ((96, 96), (160, 128)),
            r'larger than the stored 144 x 144 are enlarged; .*--store_size=160 stores larger ones\)',
        ),
        (
            'test',
            ((96, 96), (128, 128)),
            r'stored 96 x 96 .*--store_size=128 .* of the first split; that is train, not test\)',
        ),
        ('test', ((96, 96),), r'96 x 96 pixels, 3 anchors'),
    ],
)
def test_the_summary_says_what_is_enlarged_and_what_helps(folder, tmp_path, split, sizes, expected):
    given = {'train_split': split, 'sizes': sizes}
    config = make_small_config(folder, tmp_path, **given)
    config = dataclasses.replace(config, stored_size=STORED if split == 'train' else ())
    assert re.search(expected, settings_summary.summarize_settings(config, one_device(), 8)[1])


def test_damage_and_calibration_know_the_size(folder):
    assert damage.find(folder, 'train') == damage.find(folder, 'test') == ''
    for split, size in (('train', STORED), ('test', SIZE)):
        (stored,) = take(pipeline.evaluation_batches(folder, split, 8, size=size), 9)
        read = calibration.read_images(folder, split, 8, (*SIZE, 3), 'stretch', 2)
        np.testing.assert_array_equal(read, [images.resize(image, SIZE) for image in stored['image']])


def test_a_run_records_the_size_counts_its_memory_and_says_what_it_cuts(folder, records_dir, tmp_path):
    given = {'train_split': 'train', 'model_dir': str(tmp_path), 'model': SMALL, 'batch_size': 8, 'num_steps': 4}
    config, usual = (
        resolve.resolve(recipes.apply('yolov2-voc', data_dir=each, **given)) for each in (folder, records_dir)
    )
    assert (config.image_size, config.stored_size, usual.stored_size) == (SIZE, STORED, ())
    more = memory.estimate(config, 8).likely - memory.estimate(usual, 8).likely
    ready, recoloured = 4 * 3 * (144 * 144 - 96 * 96), 2 * 4 * 3 * (144 * 144 - 128 * 128)  # in four batches; as floats
    assert more == 8 * (ready + recoloured)
    line = settings_summary.summarize_settings(config, one_device(), 8)[1]
    assert 'in training 64 to 128 (cut from stored images of 144 x 144)' in line
    alone = resolve.resolve(recipes.apply('notebook', data_dir=folder, **given))
    line = settings_summary.summarize_settings(alone, one_device(), 8)[1]
    assert '96 x 96 pixels (cut from stored images of 144 x 144), 3 anchors' in line


@pytest.mark.parametrize('recipe', recipe_values.NAMES)
def test_preprocessing_knows_the_largest_size_of_each_recipe(records_dir, tmp_path, recipe):
    given = {'data_dir': records_dir, 'train_split': 'train', 'model_dir': str(tmp_path), 'model': SMALL}
    config = resolve.resolve(recipes.apply(recipe, **given))
    assert config.sizes[-1] == recipe_values.largest_size(recipe, config.image_size)


@SLOW
def test_steps_at_every_size_have_the_losses_of_images_that_are_stored_at_that_size(folder, tmp_path):
    """To what the pixels differ: each stored image is a square, resized, with its boxes."""
    description = records.read_description(folder)
    for size, is_compiled in ((SIZE, True), ((160, 160), False)):
        same = str(tmp_path / f'of_{size[0]}')
        shutil.copytree(folder, same)
        for path in records.shard_paths(same, 'train', description):
            rewrite(path, size)
        stored = dataclasses.replace(description.split('train'), stored_size=size if size != SIZE else ())
        about = dataclasses.replace(description, splits={**description.splits, 'train': stored})
        records.write_description(same, about)
        write_manifest(same)
        losses = []
        for data in (folder, same):
            config = make_small_config(data, tmp_path, augment=False, jit_compile=is_compiled)
            metrics, _ = run_steps(config, one_device(), size=size)
            losses.append(np.array(metrics['loss']))
        np.testing.assert_allclose(*losses, rtol=0.001)


@SLOW
def test_a_part_that_was_left_out_is_resized_as_the_whole_split(folder, tmp_path):
    config = make_small_config(folder, tmp_path, folds=3, fold=1)
    trained, (num, split) = batches.trained_on(config), (8, 'train')
    left_out = np.setdiff1d(np.arange(num), trained)
    assert len(left_out) in (2, 3)
    (stored,) = take(pipeline.evaluation_batches(folder, split, num, size=STORED), 9)
    (held_out,) = take(pipeline.evaluation_batches(folder, split, num, numbers=left_out), 9)
    for image, number in zip(held_out['image'], left_out, strict=False):
        np.testing.assert_array_equal(image, images.resize(stored['image'][number], SIZE))
    (batch,) = take(pipeline.training_batches(folder, split, len(trained), 0, numbers=trained), 1)
    assert batch['image'].shape[1:3] == STORED
    expected = sorted(image.tobytes() for image in stored['image'][trained])
    assert sorted(image.tobytes() for image in batch['image']) == expected
