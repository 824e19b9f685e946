"""A network as a SavedModel that takes photos of any size and needs nothing of this project: for TensorFlow Serving.

Its signatures: `serving_default` takes uint8 images, `float_images` and `image_bytes` what their names say. In the
JSON of TensorFlow Serving, encoded images are posted as {"b64": ...}.
"""

import dataclasses
import posixpath
from collections.abc import Callable

import tensorflow as tf

from yolo import storage
from yolo.data import labels
from yolo.detection import decode, exported, nms
from yolo.detection.exported import Exported, Tensor
from yolo.export import canonical, resizing
from yolo.export.quiet import quiet
from yolo.geometry.box_convention import VOC
from yolo.geometry.letterbox import COLOUR, STRETCH
from yolo.models import spec
from yolo.models.folding import FoldedNetwork, build_folded

DEFAULT, FLOATS, ENCODED = exported.SERVING, 'float_images', 'image_bytes'
# For `yolo.load_detector`: images of the network's size, boxes relative to them, unclipped.
NETWORK = exported.NETWORK_IMAGES
IMAGES = exported.PHOTOS  # the input of DEFAULT; those of the others are named as their signatures
LABELS = 'assets/labels.txt'
Outputs = dict[str, tf.Tensor]


def write(path: str, folded: FoldedNetwork, about: Exported) -> Exported:
    """Writes a SavedModel to the folder `path`, which must not be there; returns its description, now with all tensors.

    folded: the network at the size that is exported. The same network gives the same bytes, but for fingerprint.pb.
    OSError if it cannot be written.
    """
    about = dataclasses.replace(about, inputs=_inputs(about), outputs=_outputs(folded, about))
    model = build_folded(folded)
    module = tf.Module()
    module.weights = [variable.value for variable in model.weights]  # plain variables: none of Keras' own objects
    signatures = _signatures(lambda images: model(images, training=False), about)
    with quiet():  # it tells at length of names that it changes
        try:
            tf.saved_model.save(module, path, signatures)
            canonical.rewrite(path)
        except tf.errors.OpError as error:
            raise OSError(f'{path} cannot be written: {" ".join(error.message.split())}') from error
    names = posixpath.join(path, LABELS)
    storage.make_folder(posixpath.dirname(names))
    storage.write(names, labels.to_text(about.classes))
    storage.write(posixpath.join(path, exported.IN_SAVED_MODEL), exported.format_json(about))
    return about


def _signatures(
    network: Callable[[tf.Tensor], tf.Tensor], about: Exported
) -> dict[str, tf.types.experimental.Callable]:
    size, number, channels = about.image_size, about.batch_size, about.channels
    any_size = number, None, None, channels

    def detect(images: tf.Tensor, sizes: tf.Tensor) -> Outputs:
        raw = network(images)
        return _FINISH[about.output](raw, sizes, about)

    def photos(images: tf.Tensor) -> Outputs:
        shape = tf.shape(images)
        sizes = tf.tile(shape[None, 1:3], [shape[0], 1])
        return detect(resizing.resize(images, size, about.resize), sizes)

    @tf.function(input_signature=[tf.TensorSpec(any_size, tf.uint8, IMAGES)], autograph=False)
    def detect_images(images: tf.Tensor) -> Outputs:
        return photos(images)

    @tf.function(input_signature=[tf.TensorSpec(any_size, tf.float32, FLOATS)], autograph=False)
    def detect_float_images(float_images: tf.Tensor) -> Outputs:
        return photos(float_images)

    @tf.function(input_signature=[tf.TensorSpec((number,), tf.string, ENCODED)], autograph=False)
    def detect_image_bytes(image_bytes: tf.Tensor) -> Outputs:
        specs = tf.TensorSpec((*size, channels), tf.uint8), tf.TensorSpec((2,), tf.int32)
        images, sizes = tf.map_fn(lambda data: _decode(data, about), image_bytes, fn_output_signature=specs)
        return detect(images, sizes)

    @tf.function(input_signature=[tf.TensorSpec((number, *size, channels), tf.uint8, NETWORK)], autograph=False)
    def detect_network_images(network_images: tf.Tensor) -> Outputs:
        return _ON_CANVAS[about.output](network(network_images), about)

    signatures = {DEFAULT: detect_images, FLOATS: detect_float_images, ENCODED: detect_image_bytes}
    if about.output in _ON_CANVAS:
        signatures[NETWORK] = detect_network_images
    return signatures


def _decode(data: tf.Tensor, about: Exported) -> tuple[tf.Tensor, tf.Tensor]:
    """The network's image uint8 of a file's bytes, and height, width (2,) of its photo; EXIF is ignored."""
    photo = tf.io.decode_jpeg(data, channels=3, dct_method='INTEGER_ACCURATE')  # PNG too, in spite of its name
    photo = photo if about.channels == COLOUR else resizing.to_grey(photo)
    return resizing.resize(photo[None], about.image_size, about.resize)[0], tf.shape(photo)[:2]


def _finish_raw(raw: tf.Tensor, sizes: tf.Tensor, about: Exported) -> Outputs:
    return {'raw': raw}


def _decode_boxes(raw: tf.Tensor, about: Exported) -> Outputs:
    boxes, objectness, probabilities = decode.decode(raw, about.anchors)
    number = tf.shape(raw)[0]
    boxes = tf.reshape(boxes, (number, -1, 4))
    scores = tf.reshape(objectness[..., None] * probabilities, (number, -1, len(about.classes)))
    return {'boxes': boxes, 'scores': scores}


def _finish_boxes(raw: tf.Tensor, sizes: tf.Tensor, about: Exported) -> Outputs:
    found = _decode_boxes(raw, about)
    return {**found, 'boxes': _to_photo(found['boxes'], sizes, about)}


def _detect(raw: tf.Tensor, about: Exported) -> Outputs:
    limits = about.score_threshold, about.nms_iou, about.max_detections, about.nms_scope
    return nms.detect_unclipped(raw, about.anchors, *limits)


def _finish_detections(raw: tf.Tensor, sizes: tf.Tensor, about: Exported) -> Outputs:
    found = _detect(raw, about)
    boxes = tf.clip_by_value(_to_photo(found['boxes'], sizes, about), 0.0, 1.0)
    is_one = tf.range(about.max_detections) < found['count'][:, None]  # (B, D): the others are padding
    pixels = tf.cast(tf.reverse(tf.tile(sizes, [1, 2]), [1]), tf.float32)[:, None]  # width, height, width, height
    return {
        'boxes': tf.where(is_one[..., None], boxes * pixels, 0.0),
        'scores': found['scores'],
        'classes': found['classes'],
        'names': tf.where(is_one, tf.gather(tf.constant(about.classes), found['classes']), ''),
        'count': found['count'],
    }


_FINISH = {exported.RAW: _finish_raw, exported.BOXES: _finish_boxes, exported.DETECTIONS: _finish_detections}

_ON_CANVAS = {exported.BOXES: _decode_boxes, exported.DETECTIONS: _detect}


def _to_photo(boxes: tf.Tensor, sizes: tf.Tensor, about: Exported) -> tf.Tensor:
    """Boxes (B, N, 4) relative to the network's image -> relative to photos of `sizes` (B, 2), to where they end.

    Not clipped. As `yolo.geometry.box_convention.to_photo`.
    """
    boxes = _from_canvas(boxes, sizes, about)
    if about.box_convention == VOC:
        return boxes
    pixel = 1 / tf.cast(sizes[:, None, ::-1], tf.float32)  # (B, 1, 2) of width and height
    return boxes + tf.concat([tf.zeros_like(pixel), pixel], -1)


def _from_canvas(boxes: tf.Tensor, sizes: tf.Tensor, about: Exported) -> tf.Tensor:
    """Boxes (B, N, 4) relative to the network's image -> relative to photos of `sizes` (B, 2), not clipped."""
    if about.resize == STRETCH:
        return boxes
    rows, columns = about.image_size
    placed = resizing.place(sizes[:, 0], sizes[:, 1], about.image_size, about.resize)
    left, top, width, height = (tf.cast(each, tf.float32) for each in placed)
    offset = tf.stack([left / columns, top / rows] * 2, -1)[:, None]
    scale = tf.stack([width / columns, height / rows] * 2, -1)[:, None]
    return (boxes - offset) / scale


def _inputs(about: Exported) -> tuple[Tensor, ...]:
    number, colours = about.batch_size, 'RGB' if about.channels == COLOUR else 'grey'
    shape = number, None, None, about.channels
    return (
        Tensor(IMAGES, shape, 'uint8', f'signature {DEFAULT}: photos of one size, {colours}, 0..255'),
        Tensor(FLOATS, shape, 'float32', f'signature {FLOATS}: photos of one size, {colours}, 0..1'),
        Tensor(
            ENCODED,
            (number,),
            'string',
            f'signature {ENCODED}: the bytes of JPEG or PNG files, of photos of any sizes; their EXIF orientation is '
            'not applied',
        ),
    )


def _outputs(folded: FoldedNetwork, about: Exported) -> tuple[Tensor, ...]:
    number, classes = about.batch_size, len(about.classes)
    rows, columns, channels = spec.shapes(folded.network)[-1]
    anchors, most = len(about.anchors), about.max_detections
    if about.output == exported.RAW:
        meaning = 't_x, t_y, t_w, t_h, t_o, class logits of each row, column and anchor'
        return (Tensor('raw', (number, rows, columns, anchors, channels // anchors), 'float32', meaning),)
    if about.output == exported.BOXES:
        meaning = 'xmin, ymin, xmax, ymax relative to the photo, not clipped'
        return (
            Tensor('boxes', (number, rows * columns * anchors, 4), 'float32', meaning),
            Tensor(
                'scores', (number, rows * columns * anchors, classes), 'float32', 'objectness x class probability, 0..1'
            ),
        )
    behind = 'behind the first count ones'
    meaning = 'xmin, ymin, xmax, ymax in pixels of the photo, whose top left corner is 0, 0'
    return (
        Tensor('boxes', (number, most, 4), 'float32', f'{meaning}; best score first; {behind} 0'),
        Tensor('scores', (number, most), 'float32', f'objectness x class probability, 0..1; {behind} 0'),
        Tensor('classes', (number, most), 'int32', f'index of the class; {behind} 0'),
        Tensor('names', (number, most), 'string', f'name of the class; {behind} empty'),
        Tensor('count', (number,), 'int32', 'number of detections'),
    )
