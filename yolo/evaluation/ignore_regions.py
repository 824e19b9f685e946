"""Ignore regions: what is detected in them is neither right nor wrong."""

import dataclasses

import numpy as np

from yolo.evaluation.voc_matching import Detections, GroundTruth, areas, best_objects, intersections

ANY_CLASS = -1
IGNORED_SHARE = 0.5  # of a detection's area, from which on it lies inside


@dataclasses.dataclass(frozen=True)
class IgnoreRegions:
    """Ignore regions, in the order of the annotations.

    images (R,) integer index of the image; classes (R,) integer, that is ignored, -1 for any; boxes (R, 4) in VOC
    pixels, as in GroundTruth.
    """

    images: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray


def no_regions() -> IgnoreRegions:
    """None."""
    return IgnoreRegions(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)))


def mark(detections: Detections, regions: IgnoreRegions) -> Detections:
    """The same detections, which know whether they lie inside one of these regions, and of no other."""
    return dataclasses.replace(detections, in_region=inside(detections, regions))


def inside(detections: Detections, regions: IgnoreRegions) -> np.ndarray:
    """Of which detections (D,) half or more lies inside one region of any class, or of their own."""
    return shares(detections, regions) >= IGNORED_SHARE


def shares(detections: Detections, regions: IgnoreRegions) -> np.ndarray:
    """The largest share of each detection's area (D,) inside one region of any class, or of its own; -inf for none."""
    largest = np.full(len(detections.images), -np.inf)
    is_any = regions.classes == ANY_CLASS
    for chosen in (is_any, ~is_any):
        if chosen.any():
            largest = np.maximum(largest, _shares(detections, regions, chosen))
    return largest


def _shares(detections: Detections, regions: IgnoreRegions, chosen: np.ndarray) -> np.ndarray:
    """The largest share of each detection (D,) in one of the chosen regions of its image; of its class but for any."""
    images, classes, boxes = (array[chosen] for array in (regions.images, regions.classes, regions.boxes))
    if (classes == ANY_CLASS).all():
        classes = np.zeros_like(classes)
        detections = dataclasses.replace(detections, classes=np.zeros_like(detections.classes))
    objects = GroundTruth(images, classes, boxes, np.zeros(len(images), bool))
    return best_objects(objects, detections, _share_inside)[1]


def _share_inside(boxes: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """The share (P,) of boxes (P, 4) that lies inside regions (P, 4); -inf where they share no pixel."""
    shared = intersections(boxes, regions)
    return np.divide(shared, areas(boxes), out=np.full(len(boxes), -np.inf), where=shared > 0)
