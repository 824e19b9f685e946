"""One image and its annotation -> one record, with every problem named."""

import dataclasses

import cv2
import numpy as np

from preprocess import voc
from yolo import files, images

CLIP_NOTED = 1e-6  # a box that is clipped by less, relative, was only rounded


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that was not written as it was: kind is one of the constants below."""

    split: str
    image_id: str
    kind: str
    reason: str


LEFT_OUT_IMAGE, LEFT_OUT_BOX, REPAIRED, NOTED = 'image left out', 'box left out', 'repaired', 'noted'


@dataclasses.dataclass(frozen=True)
class Objects:
    """The objects of an image that can be used: names, boxes (N, 4) relative float32, difficult (N,) bool.

    problems: (kind, reason) of each one that was left out or repaired.
    """

    names: tuple[str, ...]
    boxes: np.ndarray
    difficult: np.ndarray
    problems: tuple[tuple[str, str], ...]


def read_file(path: str) -> bytes:
    """The bytes of a file; ValueError if it cannot be read."""
    try:
        return files.read(path)
    except OSError as error:
        raise ValueError(f'{path} cannot be read: {error.strerror or error}') from error


def read_annotation(source: voc.Source, image_id: str) -> voc.Annotation:
    """The annotation of an image; ValueError with the reason if there is none or it is malformed."""
    path = voc.annotation_path(source, image_id)
    if not files.exists(path):
        raise ValueError(f'no annotation {path}')
    return voc.read_annotation(read_file(path))


def read_image(source: voc.Source, image_id: str, annotation: voc.Annotation) -> np.ndarray:
    """The image (H, W, 3) uint8 BGR of an annotation; ValueError with the reason if it cannot be had."""
    path = voc.find_image(source, image_id, annotation.filename)
    try:
        return images.decode_bgr(read_file(path))
    except (ValueError, cv2.error) as error:  # cv2.error: more pixels than OpenCV takes
        raise ValueError(f'{path}: {error}') from error


def usable_objects(annotation: voc.Annotation, size: tuple[int, int], classes: frozenset[str] | None) -> Objects:
    """The objects of known classes (None: of any) whose boxes have an area in an image of `size` = height, width.

    VOC pixels are 1-based and inclusive: a box's extent is [xmin - 1, xmax] x [ymin - 1, ymax]. Boxes are clipped to
    the image. VOC's rule for no area is xmax <= xmin or ymax <= ymin.
    """
    height, width = size
    pixels = annotation.boxes
    relative = (pixels - [1, 1, 0, 0]) / [width, height, width, height]
    clipped = np.clip(relative, 0, 1)
    finite = np.all(np.isfinite(pixels), axis=1)
    with_area = np.all(pixels[:, 2:] > pixels[:, :2], axis=1)
    inside = np.all(clipped[:, 2:] > clipped[:, :2], axis=1)
    known = np.array([bool(name) and (classes is None or name in classes) for name in annotation.names], bool)
    kept = finite & with_area & inside & known
    problems = []
    for i in np.flatnonzero(~kept).tolist():
        reason = ('its coordinates are not numbers' if not finite[i] else 'it has no area' if not with_area[i]
                  else f'it is outside of the image of {width} x {height}' if not inside[i]
                  else 'it has no name' if not annotation.names[i] else 'its name is not among the labels')  # fmt: skip
        problems.append((LEFT_OUT_BOX, f'{_say(annotation, i)}: {reason}'))
    moved = np.abs(clipped - relative).max(1, initial=0) > CLIP_NOTED
    problems += [(REPAIRED, f'{_say(annotation, i)}: clipped to the image of {width} x {height}')
                 for i in np.flatnonzero(kept & moved).tolist()]  # fmt: skip
    return Objects(tuple(name for name, keep in zip(annotation.names, kept, strict=True) if keep),
                   clipped[kept].astype(np.float32), annotation.difficult[kept], tuple(problems))  # fmt: skip


def _say(annotation: voc.Annotation, index: int) -> str:
    box = ', '.join(f'{value:g}' for value in annotation.boxes[index])
    return f'object {index + 1} {annotation.names[index]!r} ({box})'
