"""The description beside each exported model, `<file>.json`: all that its user needs to know. No TensorFlow.

Exporters write it, `yolo.load_detector` and the programs in examples/ read it.
"""

import dataclasses
import json
from typing import Any

from yolo import descriptions, storage
from yolo.data import grey
from yolo.detection.options import NMS_SCOPES, PER_CLASS
from yolo.geometry.box_convention import BOX_CONVENTIONS, VOC
from yolo.geometry.letterbox import COLOUR, GREY, MOST_SIDE, RESIZES
from yolo.settings import recorded

FORMATS = SAVED_MODEL, ONNX, TFLITE, TFLITE_FP16, TFLITE_INT8 = (
    'saved_model',
    'onnx',
    'tflite',
    'tflite_fp16',
    'tflite_int8',
)
FILES = {
    SAVED_MODEL: 'saved_model',
    ONNX: 'model.onnx',
    TFLITE: 'model.tflite',
    TFLITE_FP16: 'model_fp16.tflite',
    TFLITE_INT8: 'model_int8.tflite',
}
IN_SAVED_MODEL = 'assets/model.json'  # the same description inside of a SavedModel
SERVING, PHOTOS = 'serving_default', 'images'  # its signature for photos, and the input of that
NETWORK_IMAGES = 'network_images'  # its signature and input for images of the network's size
OUTPUTS = RAW, BOXES, DETECTIONS = ('raw', 'boxes', 'detections')
METADATA = 'yolo'  # the name of the description in the metadata of an ONNX file


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output. shape: None for a side of any length; meaning: its axes, order and range in words.

    scale, zero_point: of integers, value = scale x (integer - zero_point); None for numbers as they are.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    meaning: str
    scale: float | None = None
    zero_point: int | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """Where an exported model came from. model: the path that was exported; seen: images of its training."""

    model: str
    checkpoint: str = ''
    seen: int = 0
    metrics: dict[str, Any] = dataclasses.field(default_factory=dict)  # mAP of the checkpoint, where it was measured


@dataclasses.dataclass(frozen=True)
class Exported:
    """An exported model.

    file: its name; format: one of FORMATS; anchors (A, 2) w, h in grid cells; image_size: height, width in pixels that
    images are resized to, and how; output: one of OUTPUTS; batch_size: images at once, None for any number.
    score_threshold, nms_iou, max_detections, nms_scope: those inside of a model with output detections, and those to
    use after the others. channels: of the images, 3 for colour (RGB), 1 for grey; grey_range: the values
    of files of 16 bits that become 0 and 255, () if the upper 8 bits are taken. box_convention: where the network's
    boxes end; of all outputs but the boxes in photos that a SavedModel gives, which end where they should.
    """

    file: str
    format: str = recorded(choices=FORMATS)
    version: str = recorded()
    classes: tuple[str, ...] = recorded()
    anchors: tuple[tuple[float, float], ...] = recorded()
    image_size: tuple[int, int] = recorded(low=32, high=MOST_SIDE)
    resize: str = recorded(choices=RESIZES)
    output: str = recorded(choices=OUTPUTS)
    batch_size: int | None = recorded(low=1, high=1 << 16)
    score_threshold: float = recorded(low=0, high=1)
    nms_iou: float = recorded(low=0, high=1)
    max_detections: int = recorded(low=1, high=10_000)
    nms_scope: str = recorded(PER_CLASS, choices=NMS_SCOPES)
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    source: Source = Source('')
    class_thresholds: tuple[float, ...] | None = recorded(None, low=0, high=1)  # of each class, with the best F1
    channels: int = recorded(COLOUR, low=GREY, high=COLOUR)
    grey_range: tuple[int, ...] = recorded((), low=0, high=grey.MOST_VALUE)
    box_convention: str = recorded(VOC, choices=BOX_CONVENTIONS)


def path_of(model: str) -> str:
    """The path of the description of an exported file or folder."""
    return f'{model.rstrip("/")}.json'


def format_json(exported: Exported) -> str:
    """The text of a description."""
    return json.dumps(dataclasses.asdict(exported), indent=1) + '\n'


def write(model: str, exported: Exported) -> str:
    """Writes the description of an exported file or folder beside it; returns its path."""
    storage.write(path_of(model), format_json(exported))
    return path_of(model)


def read(model: str) -> Exported:
    """The description beside an exported file or folder; ValueError if there is none or it is damaged."""
    path = path_of(model)
    if not storage.exists(path):
        raise ValueError(f'{model}: there is no {path}, which describes it; export the model again, or copy both files')
    return descriptions.read(path, Exported, 'the description of an exported model', 'export the model again', check)


def parse(text: str, place: str) -> Exported:
    """A description from its text, as inside of an ONNX file; ValueError, with the place, if it is not one."""
    try:
        exported = descriptions.build(Exported, descriptions.parse(text.encode()))
        check(exported)
    except ValueError as error:
        raise ValueError(f'{place}: not a model that this version exported ({error}); export it again') from error
    return exported


def check(exported: Exported) -> None:
    """ValueError for fields that do not fit each other."""
    descriptions.check_names(exported.classes, 'classes')
    if not exported.anchors or not exported.classes:
        raise ValueError('it has no anchors or no classes')
    grey.check(exported.channels, exported.grey_range)
    if exported.class_thresholds and len(exported.class_thresholds) != len(exported.classes):
        raise ValueError(f'{len(exported.class_thresholds)} class_thresholds for {len(exported.classes)} classes')
