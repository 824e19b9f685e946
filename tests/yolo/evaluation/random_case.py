"""Random objects and detections for the tests of this folder, and the IoU of two boxes."""

import numpy as np

from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_matching import Detections, GroundTruth

CLASSES = 3
CLASS_NAMES, IMAGE_IDS = ('a', 'b', 'c'), tuple(f'image {number}' for number in range(12))


def random_case(seed, num_images=12):
    """Objects, and detections near them, of other classes, anywhere, and twice."""
    rng = np.random.default_rng(seed)
    low = rng.integers(1, 150, (40, 2))
    boxes = np.concatenate([low, low + rng.integers(15, 60, (40, 2))], 1).astype(float)
    truth = GroundTruth(rng.integers(0, num_images, 40), rng.integers(0, CLASSES, 40), boxes, rng.random(40) < 0.15)
    of = rng.integers(0, 40, 120)
    near = boxes[of] + rng.normal(0, rng.choice([1, 8, 20], (120, 1)), (120, 4))
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 3)
    classes = np.where(rng.random(120) < 0.7, truth.classes[of], rng.integers(0, CLASSES, 120))
    images = np.where(rng.random(120) < 0.9, truth.images[of], rng.integers(0, num_images, 120))
    return truth, Detections(images, classes, rng.random(120).round(2), near)


def iou(a, b):
    """IoU of two boxes in VOC pixels, one at a time; both ends count."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]) + 1, min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    size = sum((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    return width * height / (size - width * height)


def random_result(detections=None, truth=None):
    """A random case as the result of an evaluation, with other detections or objects if some are given."""
    objects, detected = random_case(7)
    return EvaluationResult(
        CLASS_NAMES,
        IMAGE_IDS,
        objects if truth is None else truth,
        detected if detections is None else detections,
    )
