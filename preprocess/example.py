"""The objects of an annotation that a record can hold, and the problems of the others."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from yolo.data import voc_xml
from yolo.data.problems import FROM_ZERO, LEFT_OUT_BOX, NOTED, REPAIRED

MIN_SIDE = 1e-6  # relative width or height of a box in its image
ROUNDING = 1e-6  # relative; a box that is clipped by less was only rounded


@dataclasses.dataclass(frozen=True)
class Objects:
    """The usable objects of an image: names, boxes (N, 4) relative float32, difficult and truncated (N,) bool.

    problems: (kind, reason) of what is odd in the annotation, and of each object that was left out or repaired.
    """

    names: tuple[str, ...]
    boxes: np.ndarray
    difficult: np.ndarray
    truncated: np.ndarray
    problems: tuple[tuple[str, str], ...]


def usable_objects(annotation: voc_xml.Annotation, size: tuple[int, int], classes: frozenset[str] | None) -> Objects:
    """The objects of known classes (None: of any) whose boxes have an area in an image of `size` = height, width.

    VOC pixels are 1-based and inclusive: a box's extent is [xmin - 1, xmax] x [ymin - 1, ymax]. Boxes are clipped to
    the image. VOC's rule for no area is xmax <= xmin or ymax <= ymin.
    """
    return usable_objects_of([annotation], [size], classes)[0]


def usable_objects_of(
    annotations: Sequence[voc_xml.Annotation], sizes: Sequence[tuple[int, int]], classes: frozenset[str] | None
) -> list[Objects]:
    """The same of many images at once."""
    counts = [len(annotation.names) for annotation in annotations]
    owners = np.repeat(np.arange(len(counts)), counts)  # (N,) the image of each object
    names = np.array([name for annotation in annotations for name in annotation.names], object)  # (N,)
    pixels = np.concatenate([np.zeros((0, 4)), *(annotation.boxes for annotation in annotations)])  # (N, 4)
    extents = np.array([(w, h, w, h) for h, w in sizes], float).reshape(-1, 4)[owners]  # (N, 4)
    relative = (pixels - [1, 1, 0, 0]) / extents
    clipped = np.clip(relative, 0, 1)
    boxes = clipped.astype(np.float32)  # as they are stored: they must have an area still
    checks = _checks(names, pixels, boxes, classes)
    kept: np.ndarray = np.logical_not(np.any([mask for _, _, mask in checks], 0))  # (N,)
    checks += _repairs(pixels, np.abs(clipped - relative) > ROUNDING)
    fails = np.stack([mask for _, _, mask in checks])  # (checks, N)
    problems = [list(annotation.problems) for annotation in annotations]
    starts = np.cumsum(counts) - counts
    for i in np.flatnonzero(fails.any(0)).tolist():
        image = int(owners[i])
        kind, reason, _ = checks[int(fails[:, i].argmax())]  # the first that it fails
        height, width = sizes[image]
        annotation = annotations[image]
        name = voc_xml.describe_object(annotation.names, annotation.boxes, i - int(starts[image]))
        problems[image].append((kind, f'{name}: {reason.format(width=width, height=height)}'))
    ranges = [slice(start, start + count) for start, count in zip(starts.tolist(), counts, strict=True)]
    return [
        _select(annotation, boxes[part], kept[part], said)
        for annotation, part, said in zip(annotations, ranges, problems, strict=True)
    ]


def _checks(
    names: np.ndarray, pixels: np.ndarray, boxes: np.ndarray, classes: frozenset[str] | None
) -> list[tuple[str, str, np.ndarray]]:
    """Why objects are left out, in the order in which it is said: kind, reason, and which objects (N,) bool."""
    no_name = np.array([not name for name in names], bool)
    unknown = np.array([classes is not None and name not in classes for name in names], bool)
    return [
        (LEFT_OUT_BOX, 'its coordinates are not numbers', ~np.isfinite(pixels).all(1)),
        (LEFT_OUT_BOX, 'it has no area', ~(pixels[:, 2:] > pixels[:, :2]).all(1)),
        (
            LEFT_OUT_BOX,
            'it is outside of the image of {width} x {height}',
            ~(boxes[:, 2:] - boxes[:, :2] > MIN_SIDE).all(1),
        ),
        (LEFT_OUT_BOX, 'it has no name', no_name),
        (LEFT_OUT_BOX, 'its name is not among the labels', unknown),
    ]


def _repairs(pixels: np.ndarray, was_clipped: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    """The same for objects that are kept; was_clipped (N, 4): which sides.

    Many tools count pixels from 0. That is one pixel of a side, in all of their files: a convention, not an error.
    """
    from_zero = was_clipped.copy()
    from_zero[:, :2] &= (pixels[:, :2] >= 0) & (pixels[:, :2] < 1)
    from_zero[:, 2:] = False
    others = (was_clipped & ~from_zero).any(1)
    return [
        (REPAIRED, 'clipped to the image of {width} x {height}', others),
        (NOTED, FROM_ZERO, from_zero.any(1)),
    ]


def _select(
    annotation: voc_xml.Annotation, boxes: np.ndarray, kept: np.ndarray, problems: Sequence[tuple[str, str]]
) -> Objects:
    names = tuple(name for name, keep in zip(annotation.names, kept, strict=True) if keep)
    return Objects(names, boxes[kept], annotation.difficult[kept], annotation.truncated[kept], tuple(problems))
