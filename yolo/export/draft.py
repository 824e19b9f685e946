"""What an exported model is to be, before it is built."""

import dataclasses

from yolo import version
from yolo.data import labels
from yolo.detection import exported, options, thresholds
from yolo.detection.exported import Exported, Source
from yolo.models import spec
from yolo.models.folding import FoldedNetwork
from yolo.models.model_folder import ModelInfo


@dataclasses.dataclass(frozen=True)
class Options:
    """How to export. image_size: height, width, None for the network's; batch_size: images at once, None for any.

    output: one of exported.OUTPUTS; the thresholds are put into a model with output detections, and beside others;
    class_thresholds: the score of best F1 of each class, beside all of them.
    """

    output: str
    image_size: tuple[int, int] | None = None
    batch_size: int | None = None
    score_threshold: float = thresholds.PHOTO_SCORE_THRESHOLD
    nms_iou: float = thresholds.IOU_THRESHOLD
    max_detections: int = thresholds.PHOTO_MAX_DETECTIONS
    nms_scope: str = options.PER_CLASS
    class_thresholds: tuple[float, ...] | None = None


def make(folded: FoldedNetwork, info: ModelInfo, kind: str, wanted: Options, source: Source | None = None) -> Exported:
    """The description of a model to export, without its inputs and outputs, which its exporter adds.

    kind: one of exported.FORMATS. Whether the network takes images of that size is for `at_size` to say.
    """
    region = folded.network.region
    size = wanted.image_size or folded.network.image_size
    return Exported(
        file=exported.FILES[kind],
        format=kind,
        version=version.VERSION,
        classes=labels.complete(info.classes, region.classes),
        anchors=region.anchors,
        image_size=size,
        resize=info.resize,
        output=wanted.output,
        batch_size=wanted.batch_size,
        score_threshold=wanted.score_threshold,
        nms_iou=wanted.nms_iou,
        max_detections=wanted.max_detections,
        nms_scope=wanted.nms_scope,
        class_thresholds=wanted.class_thresholds,
        source=source or Source('', seen=folded.seen),
        channels=folded.network.channels,
        grey_range=info.grey_range,
        box_convention=folded.network.box_convention,
    )


def at_size(folded: FoldedNetwork, size: tuple[int, int]) -> FoldedNetwork:
    """The network for images of `size` = height, width; ValueError if it does not take them."""
    network = dataclasses.replace(folded.network, image_size=size)
    try:
        spec.shapes(network)
    except ValueError as error:
        raise ValueError(f'image_size {size[1]} x {size[0]}: the network does not take such images: {error}') from error
    return dataclasses.replace(folded, network=network)
