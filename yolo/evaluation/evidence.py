"""What detections say for and against each annotated object, as arrays: the evidence from which suspects are ranked.

Shapes: T objects, D detections, C classes, P pairs of an object and a detection of one image that overlap.
"""

import dataclasses

import numpy as np

from yolo.evaluation.pairs import pairs_in_parts
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_matching import GroundTruth, areas, overlaps

FITS = 0.5  # from this IoU on a detection is of the object, whatever its class
TOUCHES = 0.2  # from this IoU on a detection may be of the object, if it is of no other one
CLAIM = 0.3  # an object that a detection of this share of another's score fits is not the one that the other means
NONE = -1


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of an object and a detection of one image: objects (P,), detections (P,), iou (P,) above 0."""

    objects: np.ndarray
    detections: np.ndarray
    iou: np.ndarray

    def which(self, mask: np.ndarray) -> 'Pairs':
        """Some of the pairs."""
        return Pairs(self.objects[mask], self.detections[mask], self.iou[mask])


@dataclasses.dataclass(frozen=True)
class Evidence:
    """support (T, C): the highest score of the detections of a class that fit an object, 0 without one.

    any_support (T,): the same of any class, and of those that touch the object and no other one more; supporter (T, C)
    the number of the detection behind support, -1 for none. near (T,): the detection of the object's class with the
    highest score that touches it and no other one of that class more, -1 for none; near_iou (T,): its IoU.
    is_unexplained (D,) bool: no object is where the detection is, and none of the same place scores higher.
    """

    support: np.ndarray
    supporter: np.ndarray
    any_support: np.ndarray
    near: np.ndarray
    near_iou: np.ndarray
    is_unexplained: np.ndarray


def gather(result: EvaluationResult) -> Evidence:
    """The evidence of an evaluation."""
    truth, detections = result.truth, result.detections
    num_objects, num_classes = len(truth.images), len(result.classes)
    pairs = find_pairs(truth, detections.images, detections.boxes)
    scores, classes = detections.scores[pairs.detections], detections.classes[pairs.detections]
    fits = pairs.iou >= FITS
    cells = pairs.objects * num_classes + classes  # of support, flat
    support, supporter = _best(cells[fits], scores[fits], pairs.detections[fits], num_objects * num_classes)
    support, supporter = (array.reshape(num_objects, num_classes) for array in (support, supporter))
    is_best = _is_best(pairs, len(detections.images))
    touches = pairs.iou >= TOUCHES
    any_support, _ = _best(*_of(pairs, scores, fits | (touches & is_best)), num_objects)
    same = classes == truth.classes[pairs.objects]
    own = pairs.which(same)
    nearest = np.zeros(len(same), bool)
    nearest[same] = _is_best(own, len(detections.images))
    _, near = _best(*_of(pairs, scores, nearest & touches), num_objects)
    near_iou = np.zeros(num_objects)
    is_near = near[pairs.objects] == pairs.detections
    near_iou[pairs.objects[is_near]] = pairs.iou[is_near]
    claimed = support.max(1, initial=0.0)[pairs.objects] >= CLAIM * scores
    explained = detections.in_region.copy()
    explained[pairs.detections[fits | (touches & ~claimed)]] = True
    return Evidence(support, supporter, any_support, near, near_iou, _best_of_place(result, ~explained))


def find_pairs(truth: GroundTruth, images: np.ndarray, boxes: np.ndarray) -> Pairs:
    """All pairs of an object and a box (D, 4) of the same image, given by images (D,), that share a pixel."""
    order = np.argsort(images, kind='stable')
    first, last = (np.searchsorted(images[order], truth.images, side) for side in ('left', 'right'))
    found = [Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for own, others in pairs_in_parts(order, first, last - first):
        iou = overlaps(truth.boxes.take(own, 0), boxes.take(others, 0))
        shares = iou > 0
        found.append(Pairs(own[shares], others[shares], iou[shares]))
    return Pairs(
        *(np.concatenate([getattr(each, name) for each in found]) for name in ('objects', 'detections', 'iou'))
    )


def find_alike(images: np.ndarray, boxes: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (P,), (P,) of boxes (D, 4) of one image, given by images (D,), with an IoU of `least` or more.

    Each pair is there once. Two boxes have no more IoU than the ratio of their areas, so of the boxes of an image by
    their area only the next ones of each are compared with it.
    """
    area = np.maximum(areas(boxes), 0)
    most = area / least + 1  # 1: far above what rounding of the keys can lose
    keys = images * (most.max(initial=0) + 1) + area
    order = np.argsort(keys, kind='stable')
    last = np.searchsorted(keys[order], (keys - area + most)[order], 'right')
    following = np.arange(1, len(order) + 1)
    found = [(np.zeros(0, int), np.zeros(0, int))]
    for place, other in pairs_in_parts(order, following, np.maximum(last - following, 0)):
        one = order[place]
        is_alike = overlaps(boxes.take(one, 0), boxes.take(other, 0)) >= least
        found.append((one[is_alike], other[is_alike]))
    first, second = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return first, second


def _of(pairs: Pairs, scores: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return pairs.objects[mask], scores[mask], pairs.detections[mask]


def _best(groups: np.ndarray, scores: np.ndarray, items: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each of `number` groups the highest score, 0 for an empty one, and the item that has it, -1 for none."""
    order = np.argsort(scores, kind='stable')
    best, item = np.zeros(number), np.full(number, NONE)
    best[groups[order]], item[groups[order]] = scores[order], items[order]  # of several the last one stays
    return best, item


def _is_best(pairs: Pairs, num_detections: int) -> np.ndarray:
    """(P,) bool: whether the object is the one that its detection overlaps most."""
    _, item = _best(pairs.detections, pairs.iou, np.arange(len(pairs.iou)), num_detections)
    return item[pairs.detections] == np.arange(len(pairs.iou))


def _best_of_place(result: EvaluationResult, chosen: np.ndarray) -> np.ndarray:
    """(D,) bool: the chosen detections, but of those in one place, whatever their classes, the best alone."""
    numbers = np.flatnonzero(chosen)
    detections = result.detections
    images, boxes, scores = detections.images[numbers], detections.boxes[numbers], detections.scores[numbers]
    first, second = find_alike(images, boxes, FITS)
    is_first_lower = (scores[first] < scores[second]) | ((scores[first] == scores[second]) & (first > second))
    is_best = np.ones(len(numbers), bool)
    is_best[np.where(is_first_lower, first, second)] = False
    out = np.zeros(len(chosen), bool)
    out[numbers[is_best]] = True
    return out


def null_support(result: EvaluationResult) -> np.ndarray:
    """What `any_support` is where nothing is annotated: (T,) of each object's box laid into the next image.

    NaN where it touches an annotated object there, or may lie outside of that image.
    """
    truth, detections = result.truth, result.detections
    moved = GroundTruth((truth.images + 1) % max(1, len(result.image_ids)), truth.classes, truth.boxes, truth.difficult)
    real = find_pairs(truth, detections.images, detections.boxes)
    best_iou, _ = _best(real.detections, real.iou, real.objects, len(detections.images))
    pairs = find_pairs(moved, detections.images, detections.boxes)
    kept = (pairs.iou >= FITS) | ((pairs.iou >= TOUCHES) & (pairs.iou > best_iou[pairs.detections]))
    support, _ = _best(*_of(pairs, detections.scores[pairs.detections], kept), len(truth.images))
    occupied = find_pairs(moved, truth.images, truth.boxes)
    support[occupied.objects[occupied.iou >= TOUCHES]] = np.nan
    extent = np.zeros((len(result.image_ids), 2))  # of the images, as far as boxes tell
    for items in (truth, detections):
        np.maximum.at(extent, items.images, items.boxes[:, 2:])
    support[(moved.boxes[:, 2:] > extent[moved.images]).any(1)] = np.nan
    return support
