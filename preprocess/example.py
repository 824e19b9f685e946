"""One image and its annotation -> one record, with every problem named."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from yolo.data import voc_xml
from yolo.data.voc_folder import REPAIRED

SMALLEST = 1e-6  # relative width or height of a box in its image
CLIP_NOTED = 1e-6  # a box that is clipped by less, relative, was only rounded


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that was not written as it was: kind is one of the constants below."""

    split: str
    image_id: str
    kind: str
    reason: str


LEFT_OUT_IMAGE, LEFT_OUT_BOX = 'image left out', 'box left out'  # and REPAIRED, NOTED


@dataclasses.dataclass(frozen=True)
class Objects:
    """The objects of an image that can be used: names, boxes (N, 4) relative float32, difficult and truncated (N,)
    bool.

    problems: (kind, reason) of each one that was left out or repaired.
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
    names = np.array([name for annotation in annotations for name in annotation.names], object)
    pixels = np.concatenate([np.zeros((0, 4)), *(annotation.boxes for annotation in annotations)])
    extents = np.repeat(np.array([(w, h, w, h) for h, w in sizes], float).reshape(-1, 4), counts, 0)
    relative = (pixels - [1, 1, 0, 0]) / extents
    clipped = np.clip(relative, 0, 1)
    finite = np.all(np.isfinite(pixels), axis=1)
    with_area = np.all(pixels[:, 2:] > pixels[:, :2], axis=1)
    whole = clipped.astype(np.float32)  # as it is stored: it must have an area still
    inside = np.all(whole[:, 2:] - whole[:, :2] > SMALLEST, axis=1)
    known = np.array([bool(name) and (classes is None or name in classes) for name in names], bool)
    kept = finite & with_area & inside & known
    moved = np.abs(clipped - relative).max(1, initial=0) > CLIP_NOTED
    ends = np.cumsum(counts).tolist()
    found = []
    for annotation, end in zip(annotations, ends, strict=True):
        mine = slice(end - len(annotation.names), end)
        keep = kept[mine]
        found.append(
            Objects(
                tuple(names[mine][keep]), whole[mine][keep], annotation.difficult[keep], annotation.truncated[keep], ()
            )
        )
    owners = np.repeat(np.arange(len(counts)), counts)
    for i in np.flatnonzero(moved | ~kept).tolist():
        image = int(owners[i])
        height, width = sizes[image]
        kind, reason = (
            (LEFT_OUT_BOX, 'its coordinates are not numbers')
            if not finite[i]
            else (LEFT_OUT_BOX, 'it has no area')
            if not with_area[i]
            else (LEFT_OUT_BOX, f'it is outside of the image of {width} x {height}')
            if not inside[i]
            else (LEFT_OUT_BOX, 'it has no name')
            if not names[i]
            else (LEFT_OUT_BOX, 'its name is not among the labels')
            if not known[i]
            else (REPAIRED, f'clipped to the image of {width} x {height}')
        )
        index = i - ends[image] + counts[image]
        problem = kind, f'{_say(annotations[image], index)}: {reason}'
        found[image] = dataclasses.replace(found[image], problems=(*found[image].problems, problem))
    return found


def _say(annotation: voc_xml.Annotation, index: int) -> str:
    box = ', '.join(f'{value:g}' for value in annotation.boxes[index])
    return f'object {index + 1} {annotation.names[index]!r} ({box})'
