"""Records -> batches: one linear tf.data graph for training and one for evaluation.

A training batch is a function of (data, seed, step) alone, so that a resumed run sees the same batches.
"""

import contextlib
import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from yolo.data import augment, damage, mosaic, parsing, records

WINDOW_BYTES = 2 << 30  # of serialized records that are shuffled together; all of VOC fits


@dataclasses.dataclass(frozen=True)
class InputShard:
    """Which images of every batch an input pipeline makes: the `index`-th of `count` equal parts."""

    index: int = 0
    count: int = 1

    def size(self, batch_size: int, group: int = 1) -> int:
        """How many images of a batch that is; ValueError if parts are not equal, or not of whole groups of images."""
        if batch_size % self.count or batch_size // self.count % group:
            groups = f' of whole groups of {group}, as mosaics need' if group > 1 else ''
            raise ValueError(f'batches of {batch_size} images cannot be divided into {self.count} parts{groups}')
        return batch_size // self.count

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
) -> tf.data.Dataset:
    """Endless batches of a split, from step `start` on; every record once an epoch, each epoch in another order.

    ranges: how far to augment, None for not at all; shard: which images of each batch, all by default (B =
    batch_size / shard.count). A batch holds image (B, H, W, 3) uint8 RGB, as stored or composed of stored ones; boxes
    (B, N, 4) float32 xmin, ymin, xmax, ymax relative 0..1; labels (B, N) int32, -1 for padding. Without `ranges` also
    places (B, N, 3) int32 row, column, anchor of the responsible cell and anchor, as stored; with it warp (B, 4) and
    colour (B, 3) float32, what `augment_images` has to do to the pixels (boxes are moved already). ValueError if the
    split is empty or missing, or a batch cannot be divided so.
    """
    description = records.read_description(data_dir)
    size = shard.size(batch_size, group=4 if ranges and ranges.mosaic else 1)  # B
    serialized = _training_records(data_dir, split, description, seed, start * batch_size)
    if shard.count > 1:
        rows = shard.rows(batch_size)
        serialized = serialized.batch(batch_size, drop_remainder=True).map(lambda batch: batch[rows]).unbatch()
    images = serialized.map(_decode(description), tf.data.AUTOTUNE).batch(size, drop_remainder=True)

    def assemble(step: tf.Tensor, batch: tuple) -> dict[str, tf.Tensor]:
        image, serialized = batch
        parsed = parsing.parse_annotations(serialized, description.max_boxes)
        out = {'image': image, **{name: parsed[name] for name in ('boxes', 'labels', 'places')}}
        out = {name: _with_batch_size(value, size) for name, value in out.items()}
        if ranges is None:
            return out
        return _augment(out, ranges, tf.stack([tf.cast(seed, tf.int64), step]), batch_size, shard)

    batches = tf.data.Dataset.zip(tf.data.Dataset.range(start, tf.int64.max), images)
    return batches.map(assemble, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _augment(
    batch: dict[str, tf.Tensor], ranges: augment.Ranges, seed: tf.Tensor, batch_size: int, shard: InputShard
) -> dict[str, tf.Tensor]:
    """A shard of a batch with its mosaics composed, its boxes moved, and warp and colour for its pixels.

    Random numbers are those of the whole batch, so that they do not depend on how it is divided.
    """
    image, boxes, labels = batch['image'], batch['boxes'], batch['labels']
    rows = shard.rows(batch_size)
    if ranges.mosaic:
        size = tuple(image.shape[1:3])
        whole = mosaic.random_mosaics(batch_size, ranges.mosaic, size, seed)
        mosaics = mosaic.Mosaics(whole.chosen[rows], whole.cut[rows], whole.origins[rows])
        boxes, labels = mosaic.mosaic_boxes(boxes, labels, mosaics, size)
        image = mosaic.mosaic_images(image, mosaics)
    warp, colour = (values[rows] for values in augment.random_augmentation(batch_size, ranges, seed))
    boxes, labels = augment.warp_boxes(boxes, labels, warp)
    return {'image': image, 'boxes': boxes, 'labels': labels, 'warp': warp, 'colour': colour}


def training_ids(data_dir: str, split: str, batch_size: int, seed: int, step: int) -> list[str]:
    """The image ids of the training batch of a step; reads the records of the epoch again."""
    description = records.read_description(data_dir)
    serialized = _training_records(data_dir, split, description, seed, step * batch_size)
    batch = next(iter(serialized.batch(batch_size).take(1)))
    return [image_id.decode() for image_id in parsing.parse_ids(batch).numpy()]


def evaluation_batches(data_dir: str, split: str, batch_size: int) -> tf.data.Dataset:
    """Every record of a split once, in order; the last batch is filled up with black images.

    A batch holds what `parsing.parse_annotations` returns, image (B, H, W, 3) uint8 RGB, and real (B,) bool, False for
    the images that fill it up.
    """
    description = records.read_description(data_dir)
    paths = records.shard_paths(data_dir, split, description)
    images = tf.data.TFRecordDataset(paths).map(_decode(description), tf.data.AUTOTUNE)

    def assemble(image: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        out = {'image': image, **parsing.parse_annotations(serialized, description.max_boxes)}
        out['real'] = tf.ones(tf.shape(image)[:1], tf.bool)
        missing = batch_size - tf.shape(image)[0]
        out = {name: tf.pad(value, [[0, missing]] + [[0, 0]] * (len(value.shape) - 1)) for name, value in out.items()}
        return {name: _with_batch_size(value, batch_size) for name, value in out.items()}

    return images.batch(batch_size).map(assemble, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


@contextlib.contextmanager
def naming_damage(data_dir: str, split: str) -> Iterator[None]:
    """Raises ValueError, with file, record and way out, for TensorFlow's error about a damaged record of a split.

    Looks for that record only then.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        found = damage.find(data_dir, split) if 'IteratorGetNext' in error.message else ''
        if not found:  # the error is not about records
            raise
        raise ValueError(
            f'{found}; `python -m preprocess verify --data_dir={data_dir}` checks all records, `python -m preprocess` '
            'with --overwrite writes them again'
        ) from error


def augment_images(batch: dict[str, tf.Tensor], size: tuple[int, int]) -> tf.Tensor:
    """The images of a training batch as the network takes them: (B, *size, 3) float32 RGB 0..1.

    Warped and recoloured as the batch's warp and colour say; without these only resized to `size` = height, width.
    Runs on the accelerator.
    """
    images = tf.cast(batch['image'], tf.float32) / 255
    if 'warp' in batch:
        return augment.warp_images(augment.distort_colours(images, batch['colour']), batch['warp'], size)
    if tuple(images.shape[1:3]) == tuple(size):
        return images
    return augment.warp_images(images, tf.tile(augment.IDENTITY, (images.shape[0], 1)), size)


def _training_records(
    data_dir: str, split: str, description: records.Description, seed: int, position: int
) -> tf.data.Dataset:
    """Endless serialized records of a split, from the `position`-th on, each epoch in another order.

    The order is a function of (seed, epoch) alone; that of `Dataset.shuffle` would depend on the global seed too.
    """
    shards = records.shard_files(data_dir, split, description)
    paths = list(shards)
    num_images = description.split(split).num_images
    if not num_images:
        raise ValueError(f'split {split!r} of {data_dir!r} has no images to train on')

    num_bytes = sum(shard.num_bytes for shard in shards.values())
    window = max(1, min(num_images, WINDOW_BYTES * num_images // num_bytes))

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.stack([tf.cast(seed, tf.int64), number])
        ordered = tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(paths, order))
        serialized = ordered.interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(16, len(paths)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        windows = serialized.batch(window).map(lambda window: tf.random.experimental.stateless_shuffle(window, order))
        return windows.unbatch()

    return tf.data.Dataset.range(position // num_images, tf.int64.max).flat_map(epoch).skip(position % num_images)


def _decode(description: records.Description):
    """A function: serialized record -> image (H, W, 3) uint8 RGB, and the record, whose rest is parsed in batches."""

    def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return parsing.decode_image(parsing.parse_image(serialized), description), serialized

    return decode


def _with_batch_size(value: tf.Tensor, batch_size: int) -> tf.Tensor:
    return tf.ensure_shape(value, (batch_size, *value.shape[1:]))
