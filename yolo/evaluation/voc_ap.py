"""VOC average precision in NumPy: the devkit's rules, without a loop over detections, boxes or images."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

RECALLS = np.arange(11) * 0.1  # as Octave makes 0:0.1:1: the fourth is 0.30000000000000004, over a recall of 3 / 10
PAIRS_AT_ONCE = 500_000  # pairs of a detection and an object that are compared at a time: bounds the memory
DETECTIONS_AT_ONCE = 200_000  # of whole images that are matched at a time, where they come by image: caches hold them


@dataclasses.dataclass(frozen=True)
class Truth:
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
    """Detected objects, in any order: images (D,), classes (D,) and boxes (D, 4) as in Truth; scores (D,)."""

    images: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray


@dataclasses.dataclass(frozen=True)
class Matches:
    """What became of every detection.

    ranked: the detections by falling score, equal ones in the order given; objects (D,) the object of its image and
    class that each overlaps most, as an index into the truth, -1 for none; overlap (D,) that IoU, -inf for none; right
    (D,) bool: a true positive; ignored (D,) bool: of a difficult object. What is neither is a false positive.
    """

    ranked: Detections
    objects: np.ndarray
    overlap: np.ndarray
    right: np.ndarray
    ignored: np.ndarray


@dataclasses.dataclass(frozen=True)
class AveragePrecision:
    """Results by class, and their means over the classes that have objects (NaN if none has).

    ap_11pt, ap_area (C,) float64, NaN for a class without objects; num_objects (C,) those that are not difficult;
    num_difficult, num_detections (C,); precision, recall, scores: for each class the curve (K,), best score first,
    over the detections that count: the right and the wrong ones, but not those of difficult objects.
    """

    ap_11pt: np.ndarray
    ap_area: np.ndarray
    num_objects: np.ndarray
    num_difficult: np.ndarray
    num_detections: np.ndarray
    precision: list[np.ndarray]
    recall: list[np.ndarray]
    scores: list[np.ndarray]
    map_11pt: float
    map_area: float


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


def voc_average_precision(
    truth: Truth, detections: Detections, num_classes: int, iou_threshold: float = 0.5
) -> AveragePrecision:
    """The devkit's AP of every class, over 11 points (VOC 2007) and as the area (from VOC 2010 on).

    Detections of a class are taken by falling score, equal scores in the order given. Each goes to the object of its
    image with the highest overlap, the first one on a tie. An overlap of `iou_threshold` or more is a true positive
    if that object is not yet taken, a false positive if it is, and ignored if the object is difficult; less is a
    false positive. ValueError, with the index, for arrays that do not fit together, classes out of range, and scores
    or boxes that are not finite. (VOCdevkit, VOCcode/VOCevaldet.m.)
    """
    truth, detections = _checked(truth, num_classes), _checked(detections, num_classes)
    parts = ((some, *_match(objects, some, iou_threshold)[2:]) for objects, some in _by_images(truth, detections))
    return _average_precision(truth, parts, num_classes)


def match(truth: Truth, detections: Detections, num_classes: int, iou_threshold: float = 0.5) -> Matches:
    """Which detections are right, by the rules of `voc_average_precision`; ValueError as there."""
    truth, detections = _checked(truth, num_classes), _checked(detections, num_classes)
    matches = _match(truth, detections, iou_threshold)
    order = _by_falling_score(detections.scores)
    ranked = Detections(*(array.take(order, 0) for array in vars(detections).values()))  # faster than [order]
    return Matches(ranked, *(array[order] for array in matches))


def _match(
    truth: Truth, detections: Detections, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Objects, overlap, right and ignored (D,) as in Matches, but in the order of the detections."""
    if not 0 < iou_threshold <= 1:
        raise ValueError(f'iou_threshold is {iou_threshold}, not in (0, 1]')
    best, overlap = best_objects(truth, detections)
    matched = overlap >= iou_threshold
    ignored = matched.copy()
    ignored[matched] = truth.difficult[best[matched]]
    candidates = np.flatnonzero(matched & ~ignored)
    candidates = candidates[_by_falling_score(detections.scores[candidates])]
    right = np.zeros(len(matched), bool)
    right[candidates[np.unique(best[candidates], return_index=True)[1]]] = True  # the first to take each object
    return best, overlap, right, ignored


def _by_falling_score(scores: np.ndarray) -> np.ndarray:
    """np.argsort(-scores, kind='stable') in a third of its time: a sort that is not stable, and one of the ties."""
    order = np.argsort(-scores)
    ranked = scores[order]
    first = len(order) * np.cumsum(ranked != np.append(np.inf, ranked[:-1]))  # the same for equal scores
    return np.sort(first + order) - first


def average_precision(truth: Truth, matches: Matches, num_classes: int) -> AveragePrecision:
    """The AP of every class, once it is known which detections are right."""
    parts = [(matches.ranked, matches.right, matches.ignored)]
    return _average_precision(_checked(truth, num_classes), parts, num_classes)


def _average_precision(
    truth: Truth, parts: Iterable[tuple[Detections, np.ndarray, np.ndarray]], num_classes: int
) -> AveragePrecision:
    """Of detections in any order, with right and ignored; of equal scores that of the earlier part is first."""
    num_detections = np.zeros(num_classes, np.int64)
    scores_of: list[list[np.ndarray]] = [[np.empty(0)] for _ in range(num_classes)]
    right_of: list[list[np.ndarray]] = [[np.empty(0, bool)] for _ in range(num_classes)]
    for detections, right, ignored in parts:
        classes = detections.classes.astype(np.min_scalar_type(num_classes))  # few bits are sorted in linear time
        number = np.bincount(classes, minlength=num_classes)
        num_detections += number
        for k, own in enumerate(np.split(np.argsort(classes, kind='stable'), np.cumsum(number)[:-1])):
            counted = own[~ignored[own]]
            scores_of[k].append(detections.scores[counted])
            right_of[k].append(right[counted])
    ranked_scores, ranked_right = [], []
    for each_scores, each_right in zip(scores_of, right_of, strict=True):
        scores = np.concatenate(each_scores)
        order = _by_falling_score(scores)
        ranked_scores.append(scores[order])
        ranked_right.append(np.concatenate(each_right)[order])
    num_objects = np.bincount(truth.classes[~truth.difficult], minlength=num_classes)
    curves = [_curve(*own) for own in zip(ranked_right, num_objects, strict=True)]
    known = num_objects > 0
    ap_11pt = np.where(known, [_ap_11pt(precision, recall) for precision, recall in curves], np.nan)
    ap_area = np.where(known, [_ap_area(precision, recall) for precision, recall in curves], np.nan)
    return AveragePrecision(
        ap_11pt=ap_11pt,
        ap_area=ap_area,
        num_objects=num_objects,
        num_difficult=np.bincount(truth.classes[truth.difficult], minlength=num_classes),
        num_detections=num_detections,
        precision=[precision for precision, _ in curves],
        recall=[recall for _, recall in curves],
        scores=ranked_scores,
        map_11pt=float(ap_11pt[known].mean()) if known.any() else float('nan'),
        map_area=float(ap_area[known].mean()) if known.any() else float('nan'),
    )


def _by_images(truth: Truth, detections: Detections) -> Iterator[tuple[Truth, Detections]]:
    """Everything in parts of some images each, if the detections come image by image; else in one."""
    if not len(detections.images) or np.any(detections.images[1:] < detections.images[:-1]):
        yield truth, detections
        return
    objects = np.argsort(truth.images, kind='stable')
    starts = np.unique(detections.images[::DETECTIONS_AT_ONCE])  # the image that each part begins with
    ends = np.append(starts[1:], detections.images[-1] + 1)
    bounds = [np.searchsorted(images, [starts, ends]).T for images in (truth.images[objects], detections.images)]
    for (t, t_end), (d, d_end) in zip(*bounds, strict=True):
        yield (
            Truth(*(array[objects[t:t_end]] for array in vars(truth).values())),
            Detections(*(array[d:d_end] for array in vars(detections).values())),
        )


def _checked(items, num_classes: int):
    """Truth or Detections with arrays of the types that the rest relies on; ValueError if they cannot be."""
    kind = type(items).__name__
    arrays = {name: np.asarray(value) for name, value in vars(items).items()}
    num = arrays['images'].size
    for name, array in arrays.items():
        wanted = (num, 4) if name == 'boxes' else (num,)
        if array.shape != wanted:
            raise ValueError(f'{kind}.{name} has shape {array.shape}; it should be {wanted}, as images has {num}')
        if name in ('images', 'classes') and num and not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f'{kind}.{name} has type {array.dtype}; it should be integers')
    types = {'images': np.int64, 'classes': np.int64, 'difficult': bool}
    arrays = {name: array.astype(types.get(name, np.float64), copy=False) for name, array in arrays.items()}
    for name in set(arrays) & {'scores', 'boxes'}:
        for i in np.flatnonzero(~np.isfinite(arrays[name]).reshape(num, arrays[name].size // max(num, 1)).all(1))[:1]:
            raise ValueError(f'{kind}.{name}[{i}] is {arrays[name][i]}: not finite; has the training diverged?')
    for i in np.flatnonzero((arrays['classes'] < 0) | (arrays['classes'] >= num_classes))[:1]:
        raise ValueError(f'{kind}.classes[{i}] is {arrays["classes"][i]}; it should be in 0..{num_classes - 1}')
    return type(items)(**arrays)


def best_objects(truth: Truth, detections: Detections) -> tuple[np.ndarray, np.ndarray]:
    """The object of its image and class that each detection overlaps most, the first on a tie, and that overlap.

    Returns (D,) index into truth, -1 where nothing overlaps, and (D,) overlap, -inf there.
    """
    num_classes = 1 + max((array.max() for array in (truth.classes, detections.classes) if array.size), default=0)
    truth_keys, keys = (items.images * num_classes + items.classes for items in (truth, detections))
    objects = np.argsort(truth_keys, kind='stable')
    known, first_of, number_of = np.unique(truth_keys[objects], return_index=True, return_counts=True)
    place = np.searchsorted(known, keys)
    known, start, count = (np.append(array, 0).take(place) for array in (known, first_of, number_of))
    count[known != keys] = 0  # a detection's objects are objects[start:start + count]
    best, overlap = np.full(len(keys), -1), np.full(len(keys), -np.inf)
    paired = np.flatnonzero(count)
    chunk = np.cumsum(count[paired]) // PAIRS_AT_ONCE
    for part in np.split(paired, np.flatnonzero(np.diff(chunk)) + 1) if len(paired) else []:
        first = np.cumsum(count[part]) - count[part]  # where each detection's pairs begin
        of = np.repeat(np.arange(len(part)), count[part])  # (P,) the detection of each pair
        candidates = objects[np.arange(len(of)) + (start[part] - first)[of]]  # (P,) the object of each pair
        pair_overlap = _overlap(detections.boxes.take(part[of], 0), truth.boxes.take(candidates, 0))
        highest = np.maximum.reduceat(pair_overlap, first)
        is_best = np.flatnonzero((pair_overlap == highest[of]) & (pair_overlap > 0))
        found, at = np.unique(of[is_best], return_index=True)
        overlap[part] = highest
        best[part[found]] = candidates[is_best[at]]
    return best, overlap


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (P,) of boxes (P, 4) in VOC pixels, whose both ends count: + 1; -inf where they share no pixel."""
    shared = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]) + 1  # (P, 2) width, height
    common = shared[:, 0] * shared[:, 1]
    both = np.prod(a[:, 2:] - a[:, :2] + 1, 1) + np.prod(b[:, 2:] - b[:, :2] + 1, 1)
    share = (shared > 0).all(1)
    return np.divide(common, both - common, out=np.full(len(a), -np.inf), where=share)


def _curve(right: np.ndarray, num_objects: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall (K,) after each of the detections (K,), which are right or wrong, best score first."""
    hits = np.cumsum(right)
    return hits / np.arange(1, len(right) + 1), hits / max(num_objects, 1)


def _ap_11pt(precision: np.ndarray, recall: np.ndarray) -> float:
    """Mean over 11 recalls of the best precision at that recall or more, 0 where it is not reached."""
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return float(best[np.searchsorted(recall, RECALLS)].mean())


def area_under(right: np.ndarray, num_objects: int) -> float:
    """The AP (area) of detections (K,) of a class that are right or wrong, best score first."""
    return _ap_area(*_curve(right, num_objects))


def _ap_area(precision: np.ndarray, recall: np.ndarray) -> float:
    """Area under the curve after it was made to fall only."""
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * best))
