"""Serialized records -> tensors."""

import tensorflow as tf

from yolo.data.records import (
    BOX,
    DIFFICULT,
    IMAGE,
    IMAGE_ID,
    LABEL,
    PLACE,
    REGION,
    REGION_LABEL,
    SIZE,
    Description,
)

NO_REGION = -2  # pads the labels of ignore regions, where -1 is any class


def parse_image(serialized: tf.Tensor) -> tf.Tensor:
    """The encoded image (scalar string) of one serialized record."""
    return tf.io.parse_single_example(serialized, {IMAGE: tf.io.FixedLenFeature((), tf.string)})[IMAGE]


def decode_image(image: tf.Tensor, description: Description, size: tuple[int, int]) -> tf.Tensor:
    """The pixels (*size, C) uint8 of a stored image (scalar string) of height, width `size`: RGB, or grey (C = 1)."""
    shape = (*size, description.channels)
    if description.image_format == 'raw':
        return tf.reshape(tf.io.decode_raw(image, tf.uint8), shape)
    if description.image_format == 'png':
        return tf.ensure_shape(tf.io.decode_png(image, description.channels), shape)
    # The accurate transform is the one that OpenCV and Darknet use; TensorFlow's default is up to 9 levels off.
    pixels = tf.io.decode_jpeg(image, description.channels, dct_method='INTEGER_ACCURATE')
    return tf.ensure_shape(pixels, shape)


def parse_ids(serialized: tf.Tensor) -> tf.Tensor:
    """The image ids (B,) string of serialized records (B,)."""
    return tf.io.parse_example(serialized, {IMAGE_ID: tf.io.FixedLenFeature((), tf.string)})[IMAGE_ID]


def parse_annotations(serialized: tf.Tensor, max_boxes: int, max_regions: int = 0) -> dict[str, tf.Tensor]:
    """Everything but the images of serialized records (B,), padded to `max_boxes` = N objects an image.

    image_id (B,) string; size (B, 2) int32 original height, width; boxes (B, N, 4) float32 xmin, ymin, xmax, ymax
    relative 0..1, padded with 0; labels (B, N) int32, padded with -1; difficult (B, N) bool; places (B, N, 3) int32
    row, column, anchor, padded with -1. With `max_regions` = R > 0 also regions (B, R, 4), as boxes, and region_labels
    (B, R) int32, -1 for any class, padded with NO_REGION. InvalidArgumentError if an image has more than `max_boxes`
    objects, or more than `max_regions` ignore regions.
    """
    features = {IMAGE_ID: tf.io.FixedLenFeature((), tf.string), SIZE: tf.io.FixedLenFeature((2,), tf.int64)}
    for name, dtype in ((BOX, tf.float32), (LABEL, tf.int64), (DIFFICULT, tf.int64), (PLACE, tf.int64)):
        features[name] = tf.io.RaggedFeature(dtype)
    if max_regions:
        features |= {REGION: tf.io.RaggedFeature(tf.float32), REGION_LABEL: tf.io.RaggedFeature(tf.int64)}
    parsed = tf.io.parse_example(serialized, features)
    labels = _padded(parsed[LABEL], max_boxes, -1, 'objects')
    boxes = parsed[BOX].to_tensor(0.0, shape=(None, 4 * max_boxes))
    places = parsed[PLACE].to_tensor(-1, shape=(None, 3 * max_boxes))
    difficult = parsed[DIFFICULT].to_tensor(0, shape=(None, max_boxes))
    out = {
        'image_id': parsed[IMAGE_ID],
        'size': tf.cast(parsed[SIZE], tf.int32),
        'boxes': tf.reshape(boxes, (-1, max_boxes, 4)),
        'labels': labels,
        'difficult': difficult > 0,
        'places': tf.cast(tf.reshape(places, (-1, max_boxes, 3)), tf.int32),
    }
    if max_regions:
        regions = parsed[REGION].to_tensor(0.0, shape=(None, 4 * max_regions))
        out['regions'] = tf.reshape(regions, (-1, max_regions, 4))
        out['region_labels'] = _padded(parsed[REGION_LABEL], max_regions, NO_REGION, 'ignore regions')
    return out


def _padded(values: tf.RaggedTensor, most: int, padding: int, what: str) -> tf.Tensor:
    """Labels (B, most) int32 of what an image has; InvalidArgumentError for more than `most`."""
    longest = tf.reduce_max(values.row_lengths())
    message = f'a record has more {what} than its dataset.json says; run `python -m preprocess` again'
    with tf.control_dependencies([tf.debugging.assert_less_equal(longest, tf.cast(most, longest.dtype), message)]):
        return tf.cast(values.to_tensor(padding, shape=(None, most)), tf.int32)
