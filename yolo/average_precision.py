"""VOC average precision in NumPy: the devkit's rules, without a loop over boxes."""

import dataclasses

import numpy as np

# MATLAB's 0:0.1:1 as the devkit's loop over it makes the values.
RECALLS = np.arange(11) * 0.1
_PAIRS = 4_000_000  # pairs of a detection and an object that are overlapped at once


@dataclasses.dataclass(frozen=True)
class Truth:
    """Annotated objects: images (T,) any integers, classes (T,), boxes (T, 4) VOC pixels, difficult (T,) bool."""

    images: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    difficult: np.ndarray


@dataclasses.dataclass(frozen=True)
class Detections:
    """Detected objects: images (D,) as in Truth, classes (D,), scores (D,), boxes (D, 4) VOC pixels."""

    images: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray


@dataclasses.dataclass(frozen=True)
class AveragePrecision:
    """By class (C,): ap_11pt and ap_area (NaN without objects), num_objects (not difficult), num_difficult,
    num_detections, and the curves: precision, recall and score after each detection that counts, best score first.
    The means are over the classes with objects.
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
    """Relative corners (N, 4) and original sizes (N, 2) height, width -> VOC pixels (N, 4), 1-based and inclusive.

    exact: rounded to 1/1000 pixel, which gives back an annotation's numbers in spite of a record's float32.
    """
    height, width = np.asarray(sizes, float).reshape(-1, 2).T
    extent = np.stack([width, height, width, height], -1)
    pixels = np.asarray(boxes, float).reshape(-1, 4) * extent + [1, 1, 0, 0]
    return pixels.round(3) if exact else pixels


def voc_average_precision(truth: Truth, detections: Detections, num_classes: int,
                          iou_threshold: float = 0.5) -> AveragePrecision:  # fmt: skip
    """The devkit's AP of every class, by 11 points (VOC 2007) and by area (VOC 2010 and later).

    Detections are taken by falling score, equal ones in the order given; each goes to the object of its class and
    image that it overlaps most, the first of equals. From `iou_threshold` on it is right if the object was not taken
    before, wrong if it was, and does not count if the object is difficult; below, it is wrong. ValueError for arrays
    that do not fit, scores or boxes that are not finite, and classes out of range. (VOCdevkit VOCcode/VOCevaldet.m.)
    """
    _check(truth, num_classes, truth.difficult, 'truth')
    _check(detections, num_classes, detections.scores, 'detections')
    order = np.argsort(-np.asarray(detections.scores, float), kind='stable')
    names = [field.name for field in dataclasses.fields(Detections)]
    ranked = Detections(*(np.asarray(getattr(detections, name))[order] for name in names))
    best, overlap = _best_objects(truth, ranked)
    difficult = np.asarray(truth.difficult, bool)

    matched = overlap >= iou_threshold
    counts = ~matched
    counts[matched] = ~difficult[best[matched]]
    found = np.flatnonzero(matched & counts)
    right = np.zeros(len(order), bool)
    right[found[np.unique(best[found], return_index=True)[1]]] = True  # the first to take each object

    num_objects = np.bincount(truth.classes[~difficult], minlength=num_classes)
    curves = [_curve(right[mask], ranked.scores[mask], num_objects[k])
              for k in range(num_classes) for mask in [(ranked.classes == k) & counts]]  # fmt: skip
    ap_11pt = np.array([_ap_11pt(precision, recall) for precision, recall, _ in curves])
    ap_area = np.array([_ap_area(precision, recall) for precision, recall, _ in curves])
    known = num_objects > 0
    ap_11pt[~known] = ap_area[~known] = np.nan
    return AveragePrecision(
        ap_11pt, ap_area, num_objects, np.bincount(truth.classes[difficult], minlength=num_classes),
        np.bincount(ranked.classes, minlength=num_classes), *(list(parts) for parts in zip(*curves, strict=True)),
        map_11pt=float(ap_11pt[known].mean()) if known.any() else np.nan,
        map_area=float(ap_area[known].mean()) if known.any() else np.nan)  # fmt: skip


def _check(items: Truth | Detections, num_classes: int, values: np.ndarray, name: str) -> None:
    shapes = {field.name: np.shape(getattr(items, field.name)) for field in dataclasses.fields(items)}
    num = len(values)
    if any(shape != ((num, 4) if key == 'boxes' else (num,)) for key, shape in shapes.items()):
        raise ValueError(f'{name} must be arrays of one length, boxes (N, 4), not {shapes}')
    for key, array in (('boxes', items.boxes), ('scores', values)):
        wrong = np.flatnonzero(~np.isfinite(np.asarray(array, float)).reshape(num, -1).all(1))
        if wrong.size:
            raise ValueError(f'{name}: {key}[{wrong[0]}] is {array[wrong[0]]}, not finite')
    wrong = np.flatnonzero((items.classes < 0) | (items.classes >= num_classes))
    if wrong.size:
        raise ValueError(f'{name}: classes[{wrong[0]}] is {items.classes[wrong[0]]}, not one of {num_classes} classes')


def _best_objects(truth: Truth, detections: Detections) -> tuple[np.ndarray, np.ndarray]:
    """For each detection the object of its image and class with most overlap, and that; (D,) index or -1, (D,) IoU."""
    images, keys = np.unique(np.concatenate([truth.images, detections.images]), return_inverse=True)
    keys = keys + len(images) * np.concatenate([truth.classes, detections.classes]).astype(np.int64)
    truth_keys, keys = keys[: len(truth.images)], keys[len(truth.images) :]
    objects = np.argsort(truth_keys, kind='stable')
    start = np.searchsorted(truth_keys[objects], keys, 'left')
    count = np.searchsorted(truth_keys[objects], keys, 'right') - start
    best, overlap = np.full(len(keys), -1), np.full(len(keys), -np.inf)
    boxes, truth_boxes = np.asarray(detections.boxes, float), np.asarray(truth.boxes, float)
    with_objects = np.flatnonzero(count)
    for part in np.split(with_objects, np.flatnonzero(np.diff(np.cumsum(count[with_objects]) // _PAIRS)) + 1):
        if not part.size:
            continue
        first = np.cumsum(count[part]) - count[part]  # of each detection's pairs
        rank = np.arange(count[part].sum()) - np.repeat(first, count[part])
        candidates = objects[np.repeat(start[part], count[part]) + rank]
        iou = _iou(np.repeat(boxes[part], count[part], axis=0), truth_boxes[candidates])
        most = np.maximum.reduceat(iou, first)
        is_most = np.flatnonzero(iou == np.repeat(most, count[part]))
        of = np.repeat(np.arange(len(part)), count[part])[is_most]
        best[part] = candidates[is_most[np.unique(of, return_index=True)[1]]]
        overlap[part] = most
    return best, overlap


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (N,) of VOC pixel boxes (N, 4), whose ends count: widths and heights are one more than the difference."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared = np.maximum(high - low + 1, 0).prod(1)
    return shared / ((a[:, 2:] - a[:, :2] + 1).prod(1) + (b[:, 2:] - b[:, :2] + 1).prod(1) - shared)


def _curve(right: np.ndarray, scores: np.ndarray, num_objects: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and score after each detection, from which of them are right, best score first."""
    hits = np.cumsum(right)
    return hits / np.arange(1, len(right) + 1), hits / max(num_objects, 1), scores


def _ap_11pt(precision: np.ndarray, recall: np.ndarray) -> float:
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)  # at that recall or more
    return float(best[np.searchsorted(recall, RECALLS)].sum() / 11)


def _ap_area(precision: np.ndarray, recall: np.ndarray) -> float:
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * best))
