"""COCO's way to match detections with objects, some of which are ignored, at one IoU and without a loop over boxes."""

import dataclasses

import numpy as np

from yolo.evaluation.pairs import pairs_in_parts
from yolo.evaluation.voc_matching import (
    NO_OBJECT,
    Detections,
    GroundTruth,
    Matches,
    candidates,
    order_by_score,
    overlaps,
    select,
)


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The pairs of a detection and an object of its image and class that match by their IoU.

    sorted_detections: all detections by falling score, equal scores in the order given; detections (P,) indices into
    them, ascending; objects (P,) indices into the ground truth; iou (P,). rounds (P,): how many detections of the
    image and class that are in pairs score higher.
    """

    sorted_detections: Detections
    detections: np.ndarray
    objects: np.ndarray
    iou: np.ndarray
    rounds: np.ndarray


def find_pairs(truth: GroundTruth, detections: Detections, iou_threshold: float) -> Pairs:
    """All pairs with that IoU or more; both as `voc_matching.checked` gives them."""
    ranked = select(detections, order_by_score(detections.scores))
    objects, start, count = candidates(truth, ranked)
    found = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for detection, candidate in pairs_in_parts(objects, start, count):
        iou = overlaps(ranked.boxes.take(detection, 0), truth.boxes.take(candidate, 0))
        is_match = iou >= iou_threshold
        found.append((detection[is_match], candidate[is_match], iou[is_match]))
    detection, candidate, iou = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    return Pairs(ranked, detection, candidate, iou, _rounds(detection, start[detection]))


def _rounds(detections: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(P,) the place of each detection among those of its group; detections (P,) ascending, groups (P,)."""
    distinct, of_pair = np.unique(detections, return_inverse=True)
    group = np.zeros(len(distinct), int)
    group[of_pair] = groups
    order = np.argsort(group, kind='stable')
    begins = np.searchsorted(group[order], group[order])  # where the group of each begins
    place = np.empty(len(distinct), int)
    place[order] = np.arange(len(distinct)) - begins
    return place[of_pair]


def match(truth: GroundTruth, pairs: Pairs, is_ignored: np.ndarray, region_shares: np.ndarray) -> Matches:
    """Which detections are true positives, where some objects (T,) are ignored for this question alone.

    By falling score each detection takes the object of its pairs that is not taken yet and has the highest IoU, the
    last on a tie; one that is not ignored before any that is. A difficult object is never taken: it is there for every
    detection (`coco_evaluator.Evaluator`). Nor is an ignored object taken by a detection of which as large a share or
    a larger one lies in a region: a crowd has that detection. The detections of ignored objects are ignored.
    is_ignored includes the difficult ones; region_shares (D,) of the sorted detections: `ignore_regions.shares`.
    (pycocotools/cocoeval.py, evaluateImg.)
    """
    preferred = np.lexsort((-pairs.objects, -pairs.iou, is_ignored[pairs.objects], pairs.detections, pairs.rounds))
    num = len(pairs.sorted_detections.scores)
    best, overlap = np.full(num, NO_OBJECT), np.full(num, -np.inf)
    is_taken = np.zeros(len(truth.images), bool)
    for own in np.split(preferred, np.cumsum(np.bincount(pairs.rounds))[:-1]):
        free = own[~is_taken[pairs.objects[own]]]  # no two detections of a round are of one image and class
        _, first = np.unique(pairs.detections[free], return_index=True)
        chosen = free[first]
        own_detections, own_objects, iou = pairs.detections[chosen], pairs.objects[chosen], pairs.iou[chosen]
        best[own_detections], overlap[own_detections] = own_objects, iou
        is_of_crowd = is_ignored[own_objects] & (region_shares[own_detections] >= iou)
        is_taken[own_objects] = ~(truth.difficult[own_objects] | is_of_crowd)
    is_of_ignored = np.append(is_ignored, False)[best]  # NO_OBJECT is the last one
    is_true_positive = (best != NO_OBJECT) & ~is_of_ignored
    in_region = pairs.sorted_detections.in_region & ~is_true_positive
    return Matches(pairs.sorted_detections, best, overlap, is_true_positive, is_of_ignored | in_region)
