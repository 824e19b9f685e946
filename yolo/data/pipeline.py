"""Records -> batches: one linear tf.data graph for training and one for evaluation.

A training batch is a function of (data, seed, step) alone, so that a resumed run sees the same batches.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from yolo.data import augment, copy_paste, damage, decoding, index, mosaic, parsing, reading, records
from yolo.data.order import read_order

SHUFFLE_MB = 2048  # of records that are shuffled together; all of VOC fits at 416 pixels, as JPEG


@dataclasses.dataclass(frozen=True)
class InputShard:
    """Which images of every batch an input pipeline makes: the `index`-th of `count` equal parts."""

    index: int = 0
    count: int = 1

    def size(self, batch_size: int, group: int = 1) -> int:
        """How many images of a batch that is; ValueError if parts are not equal, or not of whole groups of images."""
        if batch_size % self.count or batch_size // self.count % group:
            groups = f' of whole groups of {group}, as mosaics and copy-paste need' if group > 1 else ''
            raise ValueError(f'batches of {batch_size} images cannot be divided into {self.count} parts{groups}')
        return batch_size // self.count

    def images(self, num_images: int) -> range:
        """The numbers of the images of a split that these are, where each is read once: an equal share, in order."""
        return range(num_images * self.index // self.count, num_images * (self.index + 1) // self.count)

    def rows(self, batch_size: int) -> slice:
        """The images of a batch that these are."""
        size = batch_size // self.count
        return slice(self.index * size, (self.index + 1) * size)


def training_batches(
    data_dir: str,
    split: str,
    batch_size: int,
    seed: int,
    ranges: augment.Ranges | None = None,
    start: int = 0,
    shard: InputShard = InputShard(),
    shuffle_mb: int = SHUFFLE_MB,
    repeats: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Endless batches of a split, from step `start` on; every record once an epoch, each epoch in another order.

    ranges: how far to augment, None for not at all; shard: which images of each batch, all by default (B =
    batch_size / shard.count); shuffle_mb: how many MB of records are shuffled together, on which the order depends if
    the split has more; repeats, numbers: as of `order.read_order`. A batch holds image (B, H, W, C) uint8, RGB or grey,
    as stored or composed of them; boxes (B, N, 4) float32 xmin, ymin, xmax, ymax relative 0..1; labels (B, N) int32, -1
    for padding. Without `ranges` also places (B, N, 3) int32 row, column, anchor of the responsible cell and anchor, as
    stored; with it warp (B, 4) and colour (B, 3) float32, what `augment_images` has to do to the pixels (boxes are
    moved already). A split with ignore regions has regions (B, R, 4) too, as boxes, padded with 0.
    ValueError if the split is empty or missing, its index is damaged, or a batch cannot be divided so.
    """
    description = records.read_description(data_dir)
    size = shard.size(batch_size, group=_group(ranges))  # B
    order = read_order(data_dir, split, batch_size, seed, shuffle_mb, repeats, numbers)
    serialized = reading.shuffled_records(order, start * batch_size, shard.rows(batch_size))
    steps = tf.data.Dataset.range(start, tf.int64.max)
    weights = copy_paste.class_weights(description, split) if ranges and ranges.copy_paste else None

    def assemble(step: tf.Tensor, batch: tuple) -> dict[str, tf.Tensor]:
        image, serialized = batch
        parsed = parsing.parse_annotations(serialized, description.max_boxes, description.padded_regions(split))
        more = [*(['regions'] if 'regions' in parsed else []), *(['size'] if ranges and ranges.around_photo else [])]
        out = {'image': image, **{name: parsed[name] for name in ('boxes', 'labels', 'places', *more)}}
        out = {name: _with_batch_size(value, size) for name, value in out.items()}
        return out if ranges is None else _augment(out, ranges, weights, _step_seed(seed, step), batch_size, shard)

    images = _images(serialized, steps, description, split, ranges, batch_size, seed, shard)
    return tf.data.Dataset.zip(steps, images).map(assemble, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _group(ranges: augment.Ranges | None) -> int:
    """How many consecutive images of a batch have to stay together."""
    return mosaic.GROUP if ranges and (ranges.mosaic or ranges.copy_paste) else 1


def _images(
    serialized: tf.data.Dataset,
    steps: tf.data.Dataset,
    description: records.Description,
    split: str,
    ranges: augment.Ranges | None,
    batch_size: int,
    seed: int,
    shard: InputShard,
) -> tf.data.Dataset:
    """Batches of the images (B, H, W, C) uint8 of a shard, mosaics composed, and of their records (B,)."""
    size, decode = shard.size(batch_size), decoding.decode(description, split)  # B
    if ranges is None or not ranges.mosaic:
        return serialized.map(decode, tf.data.AUTOTUNE).batch(size, drop_remainder=True)
    draw = functools.partial(_mosaics, ranges, description.stored_size(split), batch_size, shard)
    mosaics = steps.map(lambda step: draw(_step_seed(seed, step))).unbatch().batch(mosaic.GROUP)
    return decoding.compose(serialized, mosaics, decode, size)


def _step_seed(seed: int, step: tf.Tensor) -> tf.Tensor:
    """The seed (2,) of the random numbers of a step."""
    return tf.stack([tf.cast(seed, tf.int64), step])


def _mosaics(
    ranges: augment.Ranges, size: tuple[int, int], batch_size: int, shard: InputShard, seed: tf.Tensor
) -> mosaic.Mosaics:
    """The mosaics of a shard of a batch; they are drawn for all of it, so as not to depend on how it is divided."""
    return mosaic.random_mosaics(batch_size, ranges.mosaic, size, seed).of(shard.rows(batch_size))


def _augment(
    batch: dict[str, tf.Tensor],
    ranges: augment.Ranges,
    weights: tf.Tensor | None,
    seed: tf.Tensor,
    batch_size: int,
    shard: InputShard,
) -> dict[str, tf.Tensor]:
    """A shard of a batch, its mosaics composed already, with its boxes moved, and warp and colour for its pixels.

    Random numbers are those of the whole batch, so that they do not depend on how it is divided. Where the shape of
    the photos is jittered around, the batch has their size (B, 2): height, width. weights (C,): of classes in
    copy-paste.
    """
    image, boxes, labels = (batch[name] for name in ('image', 'boxes', 'labels'))
    regions, shapes = batch.get('regions'), batch.get('size')
    size, rows = tuple(image.shape[1:3]), shard.rows(batch_size)
    aspects = None if shapes is None else augment.relative_aspects(shapes, size)
    if ranges.mosaic:
        mosaics = _mosaics(ranges, size, batch_size, shard, seed)
        aspects = None if aspects is None else tf.where(mosaics.chosen, 1.0, aspects)  # of four photos, in no shape
        boxes, labels = mosaic.mosaic_boxes(boxes, labels, mosaics, size)
        regions = None if regions is None else mosaic.mosaic_regions(regions, mosaics, size)
    if ranges.copy_paste:
        draws = copy_paste.draw_objects(batch_size, boxes.shape[1], ranges.copy_paste, seed, rows)
        image, boxes, labels = copy_paste.paste_objects(image, boxes, labels, weights, draws, regions)
    warp, colour = augment.random_augmentation(batch_size, ranges, seed, rows, aspects)
    boxes, labels = augment.warp_boxes(boxes, labels, warp)
    out = {'image': image, 'boxes': boxes, 'labels': labels, 'warp': warp, 'colour': colour}
    return out if regions is None else {**out, 'regions': augment.warp_regions(regions, warp)}


def training_ids(
    data_dir: str, split: str, batch_size: int, seed: int, step: int, shuffle_mb: int = SHUFFLE_MB, **chosen: Any
) -> list[str]:
    """The image ids of the training batch of a step; reads these records again. chosen: as of `order.read_order`."""
    order = read_order(data_dir, split, batch_size, seed, shuffle_mb, **chosen)
    serialized = reading.read_records(order.index, reading.numbers_of(order, step * batch_size, batch_size))
    return [image_id.decode() for image_id in parsing.parse_ids(serialized).numpy()]


def evaluation_batches(
    data_dir: str,
    split: str,
    batch_size: int,
    shard: InputShard = InputShard(),
    numbers: np.ndarray | None = None,
    size: tuple[int, int] | None = None,
) -> tf.data.Dataset:
    """Every record of a split once, in order; the last batch is filled up with black images.

    shard: of the split, not of each batch; its records alone are read. numbers (n,): of the records to take in place of
    all; size: height, width of the images, by default those of the network: what is stored at another one is resized
    once more. A batch holds what `parsing.parse_annotations` returns, image (B, H, W, C) uint8, RGB or grey, and real
    (B,) bool, False for the images that fill it up.
    """
    description = records.read_description(data_dir)
    decode = decoding.decode(description, split, size or description.image_size)
    images = _share(data_dir, split, description, shard, numbers).map(decode, tf.data.AUTOTUNE)

    def assemble(image: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        most = description.max_boxes, description.padded_regions(split)
        out = {'image': image, **parsing.parse_annotations(serialized, *most)}
        out['real'] = tf.ones(tf.shape(image)[:1], tf.bool)
        missing = batch_size - tf.shape(image)[0]
        out = {name: tf.pad(value, [[0, missing]] + [[0, 0]] * (len(value.shape) - 1)) for name, value in out.items()}
        return {name: _with_batch_size(value, batch_size) for name, value in out.items()}

    return images.batch(batch_size).map(assemble, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _share(
    data_dir: str, split: str, description: records.Description, shard: InputShard, chosen: np.ndarray | None
) -> tf.data.Dataset:
    """The serialized records of a shard of a split, or of some of its records, in order."""
    if chosen is not None:
        own = shard.images(len(chosen))
        found = index.read_index(data_dir, split, description)
        return reading.chosen_records(found, chosen[own.start : own.stop])
    if shard.count == 1:
        return tf.data.TFRecordDataset(records.shard_paths(data_dir, split, description))
    numbers = shard.images(description.split(split).num_images)
    return reading.consecutive_records(index.read_index(data_dir, split, description), numbers)


@contextlib.contextmanager
def naming_damage(data_dir: str, split: str) -> Iterator[None]:
    """Raises ValueError, with file, record and way out, for TensorFlow's error about a damaged record of a split.

    Looks for that record only then.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        found = damage.describe(data_dir, split) if 'IteratorGetNext' in error.message else ''
        if not found:  # the error is not about records
            raise
        raise ValueError(found) from error


def augment_images(batch: dict[str, tf.Tensor], size: tuple[int, int]) -> tf.Tensor:
    """The images of a training batch as the network takes them: (B, *size, C) float32 0..1, RGB or grey.

    Warped and recoloured as the batch's warp and colour say; without these only resized to `size` = height, width.
    Runs on the accelerator.
    """
    images = tf.cast(batch['image'], tf.float32) / 255
    if 'warp' in batch:
        return augment.warp_images(augment.distort_colours(images, batch['colour']), batch['warp'], size)
    if tuple(images.shape[1:3]) == tuple(size):
        return images
    return augment.warp_images(images, tf.tile(augment.IDENTITY, (images.shape[0], 1)), size)


def _with_batch_size(value: tf.Tensor, batch_size: int) -> tf.Tensor:
    return tf.ensure_shape(value, (batch_size, *value.shape[1:]))
