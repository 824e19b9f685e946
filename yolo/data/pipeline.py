"""Records -> batches: one linear tf.data graph for training and one for evaluation.

A training batch is a function of (data, seed, step) alone, so that a run can go on where it stopped.
"""

import dataclasses

import tensorflow as tf

from yolo.data import augment, mosaic, parsing, records

WINDOW_BYTES = 2 << 30  # serialized records that are shuffled together: a VOC whole


@dataclasses.dataclass(frozen=True)
class Part:
    """The share of every batch that one of several input pipelines makes, the `index`-th of `count`."""

    index: int = 0
    count: int = 1


def training_batches(
    data_dir: str,
    split: str,
    batch_size: int,
    seed: int,
    ranges: augment.Ranges | None = None,
    start: int = 0,
    part: Part = Part(),
) -> tf.data.Dataset:
    """Endless batches of a split, from step `start` on; every record once an epoch, in another order each.

    ranges: how far to augment, None for not at all; part: which images of each batch, all by default (B =
    batch_size / part.count). A batch holds image (B, H, W, 3) uint8 RGB, as stored or put together from stored ones;
    boxes (B, N, 4) float32 xmin, ymin, xmax, ymax relative 0..1; labels (B, N) int32, -1 for padding. Without `ranges`
    also places (B, N, 3) int32 row, column, anchor, as stored; with it warp (B, 4) and colour (B, 3) float32, what
    `augment_images` is to do to the pixels (boxes are already moved). ValueError if the split is empty or not there,
    or a batch cannot be divided so.
    """
    description = records.read_description(data_dir)
    own = batch_size // part.count
    if batch_size % part.count or (ranges is not None and ranges.mosaic and own % 4):
        raise ValueError(
            f'batches of {batch_size} images cannot be divided into {part.count} parts'
            f'{" of whole groups of 4, as mosaics need" if ranges and ranges.mosaic else ""}'
        )
    steps = tf.data.Dataset.range(start, tf.int64.max)
    serialized = _training_records(data_dir, split, description, seed, start * batch_size)
    if part.count > 1:
        mine = slice(part.index * own, (part.index + 1) * own)
        serialized = serialized.batch(batch_size, drop_remainder=True).map(lambda batch: batch[mine]).unbatch()
    images = serialized.map(_decode(description), tf.data.AUTOTUNE)
    batches = tf.data.Dataset.zip(steps, images.batch(own, drop_remainder=True))

    def assemble(step: tf.Tensor, batch: tuple) -> dict[str, tf.Tensor]:
        image, serialized = batch
        parsed = parsing.parse_annotations(serialized, description.max_boxes)
        out = {'image': image, **{name: parsed[name] for name in ('boxes', 'labels', 'places')}}
        out = {name: _with_batch_size(value, own) for name, value in out.items()}
        if ranges is None:
            return out
        return _augment(out, ranges, tf.stack([tf.cast(seed, tf.int64), step]), batch_size, part)

    return batches.map(assemble, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _augment(
    batch: dict[str, tf.Tensor], ranges: augment.Ranges, seed: tf.Tensor, batch_size: int, part: Part
) -> dict[str, tf.Tensor]:
    """A part of a batch with mosaics made, boxes moved, and what is to be done to the pixels.

    Random numbers are drawn for the whole batch, so that they do not depend on how it is divided.
    """
    image, boxes, labels = batch['image'], batch['boxes'], batch['labels']
    own = image.shape[0]
    mine = slice(part.index * own, (part.index + 1) * own)
    if ranges.mosaic:
        size = tuple(image.shape[1:3])
        drawn = mosaic.draw_mosaics(batch_size, ranges.mosaic, size, seed)
        mosaics = mosaic.Mosaics(drawn.chosen[mine], drawn.cut[mine], drawn.origins[mine])
        boxes, labels = mosaic.mosaic_boxes(boxes, labels, mosaics, size)
        image = mosaic.mosaic_images(image, mosaics)
    warp, colour = (drawn[mine] for drawn in augment.draw(batch_size, ranges, seed))
    boxes, labels = augment.warp_boxes(boxes, labels, warp)
    return {'image': image, 'boxes': boxes, 'labels': labels, 'warp': warp, 'colour': colour}


def training_ids(data_dir: str, split: str, batch_size: int, seed: int, step: int) -> list[str]:
    """The image ids of the training batch of a step, found by reading the records again."""
    description = records.read_description(data_dir)
    serialized = _training_records(data_dir, split, description, seed, step * batch_size)
    batch = next(iter(serialized.batch(batch_size).take(1)))
    return [image_id.decode() for image_id in parsing.parse_ids(batch).numpy()]


def evaluation_batches(data_dir: str, split: str, batch_size: int) -> tf.data.Dataset:
    """Every record of a split once, in order; the last batch is filled up with blank images.

    A batch holds what `parsing.parse_annotations` gives, image (B, H, W, 3) uint8 RGB, and real (B,) bool, False for
    the fill.
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


def augment_images(batch: dict[str, tf.Tensor], size: tuple[int, int]) -> tf.Tensor:
    """The images of a training batch as the network takes them: (B, *size, 3) 0..1, warped and recoloured if asked.

    Runs on the accelerator; without warp in the batch the images are only brought to that size.
    """
    images = tf.cast(batch['image'], tf.float32) / 255
    if 'warp' in batch:
        return augment.warp_images(augment.distort_colours(images, batch['colour']), batch['warp'], size)
    if tuple(images.shape[1:3]) == tuple(size):
        return images
    return augment.warp_images(images, tf.tile(augment.UNMOVED, (images.shape[0], 1)), size)


def _training_records(
    data_dir: str, split: str, description: records.Description, seed: int, position: int
) -> tf.data.Dataset:
    """Serialized records of a split for ever, from the `position`-th on, each epoch in an order of its own.

    The order is a function of (seed, epoch) alone; `Dataset.shuffle` depends on the global seed as well.
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
    """Serialized record -> image (H, W, 3) uint8 RGB, and the record again for what is parsed by the batch."""

    def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return parsing.decode_image(parsing.parse_image(serialized), description), serialized

    return decode


def _with_batch_size(value: tf.Tensor, batch_size: int) -> tf.Tensor:
    return tf.ensure_shape(value, (batch_size, *value.shape[1:]))
