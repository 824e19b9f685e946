"""Serialized records -> tensors."""

import tensorflow as tf

from yolo.data.records import BOX, DIFFICULT, IMAGE, IMAGE_ID, LABEL, PLACE, SIZE, Description


def parse_image(serialized: tf.Tensor) -> tf.Tensor:
    """The encoded image (scalar string) of one serialized record."""
    return tf.io.parse_single_example(serialized, {IMAGE: tf.io.FixedLenFeature((), tf.string)})[IMAGE]


def decode_image(image: tf.Tensor, description: Description) -> tf.Tensor:
    """The pixels (H, W, C) uint8 of a stored image (scalar string): RGB, or grey with C = 1."""
    shape = (*description.image_size, description.channels)
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


def parse_annotations(serialized: tf.Tensor, max_boxes: int) -> dict[str, tf.Tensor]:
    """Everything but the images of serialized records (B,), padded to `max_boxes` = N objects an image.

    image_id (B,) string; size (B, 2) int32 original height, width; boxes (B, N, 4) float32 xmin, ymin, xmax, ymax
    relative 0..1, padded with 0; labels (B, N) int32, padded with -1; difficult (B, N) bool; places (B, N, 3) int32
    row, column, anchor, padded with -1. InvalidArgumentError if an image has more than `max_boxes` objects.
    """
    features = {IMAGE_ID: tf.io.FixedLenFeature((), tf.string), SIZE: tf.io.FixedLenFeature((2,), tf.int64)}
    for name, dtype in ((BOX, tf.float32), (LABEL, tf.int64), (DIFFICULT, tf.int64), (PLACE, tf.int64)):
        features[name] = tf.io.RaggedFeature(dtype)
    parsed = tf.io.parse_example(serialized, features)
    most = tf.reduce_max(parsed[LABEL].row_lengths())
    message = 'a record has more objects than its dataset.json says; run `python -m preprocess` again'
    with tf.control_dependencies([tf.debugging.assert_less_equal(most, tf.cast(max_boxes, most.dtype), message)]):
        labels = parsed[LABEL].to_tensor(-1, shape=(None, max_boxes))
    boxes = parsed[BOX].to_tensor(0.0, shape=(None, 4 * max_boxes))
    places = parsed[PLACE].to_tensor(-1, shape=(None, 3 * max_boxes))
    difficult = parsed[DIFFICULT].to_tensor(0, shape=(None, max_boxes))
    return {
        'image_id': parsed[IMAGE_ID],
        'size': tf.cast(parsed[SIZE], tf.int32),
        'boxes': tf.reshape(boxes, (-1, max_boxes, 4)),
        'labels': tf.cast(labels, tf.int32),
        'difficult': difficult > 0,
        'places': tf.cast(tf.reshape(places, (-1, max_boxes, 3)), tf.int32),
    }
