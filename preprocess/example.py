"""The objects and ignore regions of an annotation that a record can hold, and the problems of the others."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from preprocess.label_rules import AS_ANNOTATED, LabelRules
from yolo.data import voc_xml
from yolo.data.problems import FROM_ZERO, LEFT_OUT_BOX, NOTED, OTHER_CLASS, REPAIRED

MIN_SIDE = 1e-6  # relative width or height of a box in its image
LOST_REGION = 'an ignore region that is left out: '
ROUNDING = 1e-6  # relative; a box that is clipped by less was only rounded
NO_REGIONS = np.zeros((0, 4), np.float32)  # one for all images: it is written once to a cache


@dataclasses.dataclass(frozen=True)
class Objects:
    """The usable objects of an image: names, boxes (N, 4) relative float32, difficult and truncated (N,) bool.

    problems: (kind, reason) of what is odd in the annotation, and of each object that was left out or repaired;
    dropped: the names of the objects that the rules drop, as annotated. regions (R, 4): its ignore regions, as boxes;
    region_names (R,): the class that is ignored there, '' for any.
    """

    names: tuple[str, ...]
    boxes: np.ndarray
    difficult: np.ndarray
    truncated: np.ndarray
    problems: tuple[tuple[str, str], ...]
    dropped: tuple[str, ...] = ()
    regions: np.ndarray = dataclasses.field(default_factory=lambda: NO_REGIONS)
    region_names: tuple[str, ...] = ()


class _All(NamedTuple):
    """The objects of some images behind one another: names, after the rules (N,), boxes (N, 4); all others (N,) bool.

    is_object, is_region: those that are usable; is_dropped: by the rules; is_special: meant as a region, usable or not;
    is_any: as one of any class. is_plain: there is nothing but objects, and no rule.
    """

    names: np.ndarray
    boxes: np.ndarray
    is_object: np.ndarray
    is_region: np.ndarray
    is_dropped: np.ndarray
    is_special: np.ndarray
    is_any: np.ndarray
    is_plain: bool


def usable_objects(
    annotation: voc_xml.Annotation,
    size: tuple[int, int],
    classes: frozenset[str] | None,
    rules: LabelRules = AS_ANNOTATED,
) -> Objects:
    """The objects of known classes (None: of any) whose boxes have an area in an image of `size` = height, width.

    rules: what the names in annotations become, before they are compared with the classes.
    VOC pixels are 1-based and inclusive: a box's extent is [xmin - 1, xmax] x [ymin - 1, ymax]. Boxes are clipped to
    the image. VOC's rule for no area is xmax <= xmin or ymax <= ymin.
    """
    return usable_objects_of([annotation], [size], classes, rules)[0]


def usable_objects_of(
    annotations: Sequence[voc_xml.Annotation],
    sizes: Sequence[tuple[int, int]],
    classes: frozenset[str] | None,
    rules: LabelRules = AS_ANNOTATED,
) -> list[Objects]:
    """The same of many images at once."""
    counts = [len(annotation.names) for annotation in annotations]
    owners = np.repeat(np.arange(len(counts)), counts)  # (N,) the image of each object
    annotated = [name for annotation in annotations for name in annotation.names]
    names = np.array(rules.rename_all(annotated), object)  # (N,)
    pixels = np.concatenate([np.zeros((0, 4)), *(annotation.boxes for annotation in annotations)])  # (N, 4)
    extents = np.array([(w, h, w, h) for h, w in sizes], float).reshape(-1, 4)[owners]  # (N, 4)
    relative = (pixels - [1, 1, 0, 0]) / extents
    clipped = np.clip(relative, 0, 1)
    boxes = clipped.astype(np.float32)  # as they are stored: they must have an area still
    checks = _checks(names, pixels, boxes, None if classes is None else classes | rules.ignored)
    every = _sort(annotations, annotated, names, boxes, np.any([mask for _, _, mask in checks], 0), rules)
    from_edge = np.array([annotation.from_edge for annotation in annotations], bool)[owners]  # (N,)
    checks += _repairs(pixels, np.abs(clipped - relative) > ROUNDING, from_edge)
    if not every.is_plain:
        checks = _by_rules(checks, every)
    problems = _describe(annotations, names, sizes, owners, checks)
    ends = np.cumsum(counts).tolist()
    parts = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    return [
        _select(annotation, every, part, said)
        for annotation, part, said in zip(annotations, parts, problems, strict=True)
    ]


def _sort(
    annotations: Sequence[voc_xml.Annotation],
    annotated: Sequence[str],
    names: np.ndarray,
    boxes: np.ndarray,
    fails: np.ndarray,
    rules: LabelRules,
) -> _All:
    """What each object is: annotated, names (N,): before and after the rules; fails (N,): not usable."""
    none = np.zeros(len(names), bool)
    has_crowds = any(annotation.crowds is not None for annotation in annotations)
    if not (rules.label_map or rules.ignored or has_crowds):
        return _All(names, boxes, ~fails, none, none, none, none, True)
    is_dropped = np.array([bool(old) and not new for old, new in zip(annotated, names, strict=True)], bool)
    is_any = np.array([name in rules.ignored for name in names], bool)
    crowds = [annotation.is_crowd for annotation in annotations] if has_crowds else [none]
    is_special = is_any | np.concatenate([none[:0], *crowds])
    kept = ~(fails | is_dropped)
    return _All(names, boxes, kept & ~is_special, kept & is_special, is_dropped, is_special, is_any, False)


def _by_rules(checks: Sequence[tuple[str, str, np.ndarray]], every: _All) -> list[tuple[str, str, np.ndarray]]:
    """The checks where not all are objects: nothing is said of what is dropped, and of regions only which are left out.

    They are drawn roughly, past the edge too: clipping repairs nothing, and one that is left out is no lost object.
    """
    is_object, is_region = ~(every.is_dropped | every.is_special), every.is_special & ~every.is_dropped
    of_objects = [(kind, text, mask & is_object) for kind, text, mask in checks]
    lost = [(NOTED, LOST_REGION + text, mask & is_region) for kind, text, mask in checks if kind == LEFT_OUT_BOX]
    return of_objects + lost


def _describe(
    annotations: Sequence[voc_xml.Annotation],
    names: np.ndarray,
    sizes: Sequence[tuple[int, int]],
    owners: np.ndarray,
    checks: Sequence[tuple[str, str, np.ndarray]],
) -> list[list[tuple[str, str]]]:
    """Kind and reason of the problems of each image; names, owners (N,): new name and image of each object."""
    problems = [list(annotation.problems) for annotation in annotations]
    starts = np.searchsorted(owners, np.arange(len(annotations))).tolist()
    fails = np.stack([mask for _, _, mask in checks])  # (checks, N)
    for i in np.flatnonzero(fails.any(0)).tolist():
        image = int(owners[i])
        kind, reason, _ = checks[int(fails[:, i].argmax())]  # the first that it fails
        height, width = sizes[image]
        annotation = annotations[image]
        own = i - starts[image]
        described = voc_xml.describe_object(annotation.names, annotation.boxes, own)
        if reason.endswith(OTHER_CLASS) and names[i] != annotation.names[own]:
            described += f': {str(names[i])!r} by --label_map'
        problems[image].append((kind, f'{described}: {reason.format(width=width, height=height)}'))
    return problems


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
        (LEFT_OUT_BOX, OTHER_CLASS, unknown),
    ]


def _repairs(pixels: np.ndarray, was_clipped: np.ndarray, from_edge: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    """The same for objects that are kept; was_clipped (N, 4): which sides; from_edge (N,): as of an annotation.

    Many tools count pixels from 0. That is one pixel of a side, in all of their files: a convention, not an error.
    Where boxes are measured from the edge there is no such convention.
    """
    from_zero = was_clipped.copy()
    from_zero[:, :2] &= (pixels[:, :2] >= 0) & (pixels[:, :2] < 1) & ~from_edge[:, None]
    from_zero[:, 2:] = False
    others = (was_clipped & ~from_zero).any(1)
    return [
        (REPAIRED, 'clipped to the image of {width} x {height}', others),
        (NOTED, FROM_ZERO, from_zero.any(1)),
    ]


def _select(annotation: voc_xml.Annotation, every: _All, part: slice, problems: Sequence[tuple[str, str]]) -> Objects:
    """The usable objects and regions of the image whose objects are in a part of all."""
    names, boxes, chosen = every.names[part], every.boxes[part], every.is_object[part]
    objects = Objects(
        tuple(names[chosen].tolist()),
        boxes[chosen],
        annotation.difficult[chosen],
        annotation.truncated[chosen],
        tuple(problems),
    )
    if every.is_plain:
        return objects
    regions = every.is_region[part]
    return dataclasses.replace(
        objects,
        dropped=tuple(annotation.names[i] for i in np.flatnonzero(every.is_dropped[part])),
        regions=boxes[regions],
        region_names=tuple(np.where(every.is_any[part], '', names)[regions].tolist()),
    )
