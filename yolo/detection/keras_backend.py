"""Keras models as detectors: the graph from pixels to detections, and the detector of a trained run."""

import dataclasses

import keras
import tensorflow as tf

from yolo import settings
from yolo.detection import nms, options
from yolo.detection import thresholds as usual
from yolo.detection.detector import Detector
from yolo.models import model_folder
from yolo.models.memory import check_forward


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Lowest score of a detection, IoU over which a better box suppresses it, and how many an image may have.

    ValueError for values out of the bounds that the flags have.
    """

    score: float = options.score_threshold_setting(usual.SCORE_THRESHOLD)
    suppression_iou: float = options.nms_iou_setting()
    max_detections: int = options.max_detections_setting(usual.MAX_DETECTIONS)

    def __post_init__(self) -> None:
        settings.check(self)


def load_detector(
    run_folder: str,
    checkpoint: str = '',
    score_threshold: float = usual.PHOTO_SCORE_THRESHOLD,
    iou_threshold: float = usual.IOU_THRESHOLD,
    max_detections: int = usual.PHOTO_MAX_DETECTIONS,
    resize: str | None = None,
    batch_size: int = 8,
) -> Detector:
    """The detector that a run of train.py, or `yolo convert --model_dir_out`, left in a folder.

    checkpoint: 'best', 'latest', the path of one, or '' for the best if there is one, else the latest;
    score_threshold: lowest score, objectness x class probability; iou_threshold: over which a better box of the same
    class suppresses a box; max_detections: of one photo; resize: 'stretch', 'letterbox', or None for the way of the
    training; batch_size: photos at once. Classes without names are called 'class 0', 'class 1' and so on. ValueError if
    there is no trained detector in the folder.
    """
    model, info, _ = model_folder.load_trained(run_folder, checkpoint)
    check_forward(model.network, [model.network.image_size], batch_size)
    region = model.network.region
    classes = info.classes or tuple(f'class {i}' for i in range(region.classes))
    thresholds = Thresholds(score_threshold, iou_threshold, max_detections)
    predict = make_predict(model, region.anchors, thresholds)
    return Detector(predict, classes, region.anchors, model.network.image_size, resize or info.resize, batch_size)


def make_predict(model: keras.Model, anchors, thresholds: Thresholds, size: tuple[int, int] | None = None):
    """A graph function: images (B, H, W, 3) uint8 RGB -> what `yolo.detect` returns.

    anchors (A, 2) w, h in grid cells; size: height, width in pixels to resize the images to, None for as they are.
    """

    @tf.function
    def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.cast(images, tf.float32) / 255
        if size is not None and tuple(images.shape[1:3]) != size:
            images = tf.image.resize(images, size)  # bilinear, as preprocessing does it
        raw = model(images, training=False)
        return nms.detect(raw, anchors, thresholds.score, thresholds.suppression_iou, thresholds.max_detections)

    return predict
