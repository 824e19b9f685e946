"""A made evaluation: objects, a detector that sees most of them, and labels of which some are spoiled."""

import dataclasses

import numpy as np

from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_matching import Detections, GroundTruth

NAMES = ('cat </script><script>alert(1)</script>', 'dog "&\'', '=bird')
IMAGES, CELLS = 120, 4  # images; objects of one, one in each quarter of 200 x 200 pixels
PLACES = np.array([[10, 10], [110, 10], [10, 110], [110, 110]], float)


def made(seed=0, spoil=True, confident=False):
    """An evaluation, and of each spoiled label its kind by (image, place).

    Detections have scores 0.4 to 0.95 and boxes that are a few pixels off (confident: 0.9, exact), and there are false
    ones of low scores.
    """
    rng = np.random.default_rng(seed)
    images = np.repeat(np.arange(IMAGES), CELLS)
    place = np.tile(np.arange(CELLS), IMAGES)
    classes = rng.integers(0, len(NAMES), len(images))
    exists = rng.random(len(images)) < 0.6
    low = PLACES[place] + rng.integers(0, 20, (len(images), 2))
    boxes = np.concatenate([low, low + rng.integers(30, 60, (len(images), 2))], 1)
    noise = np.zeros_like(boxes) if confident else rng.normal(0, 2, boxes.shape)
    scores = np.where(exists, rng.uniform(0.4, 0.95, len(images)), rng.uniform(0.01, 0.1, len(images)))
    scores = np.where(exists, 0.9, 0.01) if confident else scores
    detections = Detections(images, classes, scores, boxes + noise)
    spoiled = {}
    labels, kept, drawn = classes.copy(), exists.copy(), boxes.copy()
    if spoil:
        order = rng.permutation(np.flatnonzero(exists))
        for kind, some in zip(('missing', 'class', 'box'), np.split(order[:36], 3), strict=True):
            spoiled |= {(int(images[i]), int(place[i])): kind for i in some}
        kept[order[:12]] = False
        labels[order[12:24]] = (labels[order[12:24]] + 1) % len(NAMES)
        drawn[order[24:36]] += [-9, -9, 12, 12]  # loose
        free = rng.permutation(np.flatnonzero(~exists))[:12]
        kept[free] = True
        spoiled |= {(int(images[i]), int(place[i])): 'nothing' for i in free}
    truth = GroundTruth(images[kept], labels[kept], drawn[kept], np.zeros(int(kept.sum()), bool))
    ids = tuple(f'folder/<b>image {number}' for number in range(IMAGES))
    return EvaluationResult(NAMES, ids, truth, detections), spoiled


def place_of(box):
    """The quarter of the image that the middle of a box is in."""
    return int(np.abs(PLACES + 40 - (box[:2] + box[2:]) / 2).sum(1).argmin())


def without(result, **items):
    """The same evaluation with other truth or detections."""
    return dataclasses.replace(result, **items)
