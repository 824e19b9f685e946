"""Which detections are true positives: the VOC devkit's rules in NumPy, without a loop over detections or boxes."""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from yolo.evaluation.pairs import few_pairs_at_once, pairs_of

NO_OBJECT = -1


@dataclasses.dataclass(frozen=True)
class GroundTruth:
    """Annotated objects, in the order of the annotations.

    images (T,) integer index of the image; classes (T,) integer; boxes (T, 4) xmin, ymin, xmax, ymax in VOC pixels
    (1-based, inclusive); difficult (T,) bool.
    """

    images: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    difficult: np.ndarray


@dataclasses.dataclass(frozen=True)
class Detections:
    """Detected objects, in any order: images (D,), classes (D,) and boxes (D, 4) as in GroundTruth; scores (D,).

    in_region (D,) bool: half or more of it lies inside an ignore region (`ignore_regions.mark`); by default none does.
    """

    images: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    in_region: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.in_region is None:
            object.__setattr__(self, 'in_region', np.zeros(np.size(self.images), bool))


@dataclasses.dataclass(frozen=True)
class Matches:
    """The object that each detection overlaps most, and whether the detection is a true positive.

    sorted_detections: the detections by falling score, equal scores in the order given; best_object (D,) the object of
    the same image and class with the highest overlap, as an index into the ground truth, -1 for none; overlap (D,) that
    IoU, -inf for none; is_true_positive (D,) bool; is_ignored (D,) bool: the object is difficult, or the detection is
    no true positive and lies in an ignore region, so that it counts neither as a true nor as a false positive. All
    other detections are false positives.
    """

    sorted_detections: Detections
    best_object: np.ndarray
    overlap: np.ndarray
    is_true_positive: np.ndarray
    is_ignored: np.ndarray

    @property
    def is_false_positive(self) -> np.ndarray:
        """(D,) bool."""
        return ~(self.is_true_positive | self.is_ignored)


Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]
Items = TypeVar('Items', GroundTruth, Detections)


def select(items: Items, which: np.ndarray) -> Items:
    """Some of the objects or detections: which is an index (N,) or a bool mask."""
    index = np.flatnonzero(which) if which.dtype == bool else which
    return type(items)(*(array.take(index, 0) for array in vars(items).values()))  # faster than array[index]


def to_voc_pixels(boxes: np.ndarray, sizes: np.ndarray, exact: bool = False) -> np.ndarray:
    """Boxes as in a record -> VOC pixels, 1-based and inclusive.

    boxes (..., 4) xmin, ymin, xmax, ymax relative 0..1; sizes (..., 2) original height, width of each box's image.
    Returns (..., 4) float64: [xmin W + 1, ymin H + 1, xmax W, ymax H]. Detections are clipped to the image. Annotated
    boxes take `exact` instead: rounded to 1/1000 pixel and not clipped. A record's float32 is off by less than that in
    images of up to 16,000 pixels, so the annotation's own numbers come back, and an overlap of exactly 0.5 stays one.
    (Clipped as Darknet does, examples/detector.c, print_detector_detections.)
    """
    sizes = np.asarray(sizes, np.float64)
    extent = sizes[..., [1, 0, 1, 0]]  # width, height, width, height
    pixels = np.asarray(boxes, np.float64) * extent + [1, 1, 0, 0]
    if exact:
        return pixels.round(3)
    return np.concatenate([np.maximum(pixels[..., :2], 1), np.minimum(pixels[..., 2:], extent[..., 2:])], -1)


def match(truth: GroundTruth, detections: Detections, num_classes: int, iou_threshold: float = 0.5) -> Matches:
    """Which detections are true positives, by the rules of `voc_average_precision`; ValueError as there."""
    truth, detections = checked(truth, num_classes), checked(detections, num_classes)
    matches = match_in_given_order(truth, detections, iou_threshold)
    order = order_by_score(detections.scores)
    return Matches(select(detections, order), *(array[order] for array in matches))


def match_in_given_order(
    truth: GroundTruth, detections: Detections, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """best_object, overlap, is_true_positive, is_ignored (D,) as in Matches, but in the order of the detections."""
    if not 0 < iou_threshold <= 1:
        raise ValueError(f'iou_threshold is {iou_threshold}, not in (0, 1]')
    best_object, overlap = best_objects(truth, detections)
    is_matched = overlap >= iou_threshold
    is_ignored = is_matched.copy()
    is_ignored[is_matched] = truth.difficult[best_object[is_matched]]
    candidates = np.flatnonzero(is_matched & ~is_ignored)
    candidates = candidates[order_by_score(detections.scores[candidates])]
    _, first_of_object = np.unique(best_object[candidates], return_index=True)
    is_true_positive = np.zeros(len(is_matched), bool)
    is_true_positive[candidates[first_of_object]] = True  # the best score of each object
    is_ignored |= detections.in_region & ~is_true_positive  # after the devkit's rules
    return best_object, overlap, is_true_positive, is_ignored


def order_by_score(scores: np.ndarray) -> np.ndarray:
    """np.argsort(-scores, kind='stable') in a third of its time: an unstable sort, then a sort of the equal scores."""
    order = np.argsort(-scores)
    ranked = scores[order]
    group = len(order) * np.cumsum(ranked != np.append(np.inf, ranked[:-1]))  # the same number for equal scores
    return np.sort(group + order) - group


def best_objects(
    truth: GroundTruth, detections: Detections, measure: Measure | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The object of the same image and class that each detection overlaps most, the first on a tie, and that overlap.

    measure: of the overlap of boxes (P, 4) with objects (P, 4), -inf for none; None for IoU.
    Returns (D,) index into truth, -1 where nothing overlaps, and (D,) overlap, -inf there.
    """
    objects, start, count = candidates(truth, detections)
    best, overlap = np.full(len(count), NO_OBJECT), np.full(len(count), -np.inf)
    for part in few_pairs_at_once(count):
        boxes = detections.boxes.take(part, 0)
        best[part], overlap[part] = _best_candidates(
            boxes, truth.boxes, objects, start[part], count[part], measure or overlaps
        )
    return best, overlap


def candidates(truth: GroundTruth, detections: Detections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The objects that can match each detection: those of its image and class.

    Returns the objects (T,), sorted by image and class, and for each detection where its own begin there (D,) and how
    many they are (D,): objects[start:start + count], in the order of the annotations.
    """
    num_classes = 1 + max((array.max() for array in (truth.classes, detections.classes) if array.size), default=0)
    truth_keys, keys = (items.images * num_classes + items.classes for items in (truth, detections))
    objects = np.argsort(truth_keys, kind='stable')
    known_keys, starts, counts = np.unique(truth_keys[objects], return_index=True, return_counts=True)
    group = np.searchsorted(known_keys, keys)
    known_keys, starts, counts = (np.append(array, 0) for array in (known_keys, starts, counts))
    count = np.where(known_keys.take(group) == keys, counts.take(group), 0)
    return objects, starts.take(group), count


def _best_candidates(
    boxes: np.ndarray,
    truth_boxes: np.ndarray,
    objects: np.ndarray,
    start: np.ndarray,
    count: np.ndarray,
    measure: Measure,
) -> tuple[np.ndarray, np.ndarray]:
    """Best object (D,) and its overlap (D,) of boxes (D, 4) that have the candidates objects[start:start + count].

    Every detection has one candidate or more.
    """
    first_pair = np.cumsum(count) - count  # (D,) where the pairs of each detection begin
    detection, candidate = pairs_of(objects, start, count)
    pair_overlap = measure(boxes.take(detection, 0), truth_boxes.take(candidate, 0))
    highest = np.maximum.reduceat(pair_overlap, first_pair)  # (D,)
    best_pairs = np.flatnonzero((pair_overlap == highest[detection]) & (pair_overlap > 0))
    has_best, first = np.unique(detection[best_pairs], return_index=True)  # the first of equal overlaps
    best = np.full(len(count), NO_OBJECT)
    best[has_best] = candidate[best_pairs[first]]
    return best, highest


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (P,) of boxes (P, 4) in VOC pixels, both ends included (hence + 1); -inf where they share no pixel."""
    intersection = intersections(a, b)
    union = areas(a) + areas(b) - intersection
    return np.divide(intersection, union, out=np.full(len(a), -np.inf), where=intersection > 0)


def intersections(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The area (P,) that boxes (P, 4) in VOC pixels share; 0 where they share no pixel."""
    width, height = (np.minimum(a[:, 2 + i], b[:, 2 + i]) - np.maximum(a[:, i], b[:, i]) + 1 for i in (0, 1))
    return np.where((width > 0) & (height > 0), width * height, 0)


def areas(boxes: np.ndarray) -> np.ndarray:
    """Pixels (N,) of boxes (N, 4) in VOC pixels, both ends included; by columns, a third of the time of np.prod."""
    return (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)


def checked(items: Items, num_classes: int) -> Items:
    """The same with arrays of the types that the rest relies on; ValueError, with the index, if they cannot be."""
    kind = type(items).__name__
    arrays = {name: np.asarray(value) for name, value in vars(items).items()}
    num = arrays['images'].size
    for name, array in arrays.items():
        shape = (num, 4) if name == 'boxes' else (num,)
        if array.shape != shape:
            raise ValueError(f'{kind}.{name} has shape {array.shape}; it should be {shape}, as images has {num}')
        if name in ('images', 'classes') and num and not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f'{kind}.{name} has type {array.dtype}; it should be integers')
    types = {'images': np.int64, 'classes': np.int64, 'difficult': bool, 'in_region': bool}
    arrays = {name: array.astype(types.get(name, np.float64), copy=False) for name, array in arrays.items()}
    for name in set(arrays) & {'scores', 'boxes'}:
        is_finite = np.isfinite(arrays[name]).reshape(num, arrays[name].size // max(num, 1)).all(1)
        for i in np.flatnonzero(~is_finite)[:1]:
            raise ValueError(f'{kind}.{name}[{i}] is {arrays[name][i]}: not finite; has the training diverged?')
    for i in np.flatnonzero((arrays['classes'] < 0) | (arrays['classes'] >= num_classes))[:1]:
        raise ValueError(f'{kind}.classes[{i}] is {arrays["classes"][i]}; it should be in 0..{num_classes - 1}')
    return type(items)(**arrays)
