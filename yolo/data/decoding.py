"""Serialized records -> batches of their images: decoded, brought to another size, composed to mosaics."""

from collections.abc import Callable

import tensorflow as tf

from yolo.data import images, mosaic, parsing, records

Decode = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def decode(description: records.Description, split: str, size: tuple[int, int] | None = None) -> Decode:
    """A function: serialized record -> image (H, W, C) uint8, and the record, whose rest is parsed in batches.

    size: height, width; images that are stored at another one are resized, by the function that preprocessing and
    prediction resize photos with. None: as stored.
    """
    stored = description.stored_size(split)
    wanted = size or stored

    def as_stored(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return parsing.decode_image(parsing.parse_image(serialized), description, stored), serialized

    def resized(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, _ = as_stored(serialized)
        image = tf.numpy_function(lambda pixels: images.resize(pixels, wanted), [image], tf.uint8, stateful=False)
        return tf.ensure_shape(image, (*wanted, description.channels)), serialized

    return as_stored if wanted == stored else resized


def compose(serialized: tf.data.Dataset, mosaics: tf.data.Dataset, decode: Decode, batch_size: int) -> tf.data.Dataset:
    """Batches of images (B, H, W, C) uint8, those that are chosen composed of four, and of their records (B,).

    mosaics: those of every group of four images; B = `batch_size` is a multiple of four.
    """

    def compose_group(serialized: tf.Tensor, group: mosaic.Mosaics) -> tuple[tf.Tensor, tf.Tensor]:
        decoded = [decode(record)[0] for record in tf.unstack(serialized, mosaic.GROUP)]
        return mosaic.compose(decoded, group), serialized

    def join(images: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.reshape(images, (batch_size, *images.shape[2:])), tf.reshape(serialized, (batch_size,))

    groups = tf.data.Dataset.zip(serialized.batch(mosaic.GROUP, drop_remainder=True), mosaics)
    composed = groups.map(compose_group, tf.data.AUTOTUNE)
    return composed.batch(batch_size // mosaic.GROUP, drop_remainder=True).map(join)
