"""One image and its annotation -> one record, with every problem named."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from preprocess import voc
from yolo import files, images

SMALLEST = 1e-6  # relative width or height of a box in its image
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
    """The objects of an image that can be used: names, boxes (N, 4) relative float32, difficult and truncated (N,)
    bool.

    problems: (kind, reason) of each one that was left out or repaired.
    """

    names: tuple[str, ...]
    boxes: np.ndarray
    difficult: np.ndarray
    truncated: np.ndarray
    problems: tuple[tuple[str, str], ...]


def read_file(path: str, what: str) -> bytes:
    """The bytes of a file; ValueError if it cannot be read, and if it is not there, calling it `what`."""
    try:
        return files.read(path)
    except FileNotFoundError as error:
        raise ValueError(f'no {what} {path}') from error
    except OSError as error:
        raise ValueError(f'{path} cannot be read: {error.strerror or error}') from error


def read_annotation(source: voc.Source, image_id: str) -> voc.Annotation:
    """The annotation of an image; ValueError with the reason if there is none or it is malformed."""
    return voc.read_annotation(read_file(voc.annotation_path(source, image_id), 'annotation'))


def read_image(source: voc.Source, image_id: str, filename: str,
               told: tuple[int, int] | None) -> tuple[np.ndarray, list[tuple[str, str]]]:  # fmt: skip
    """The image (H, W, 3) uint8 BGR of an id, or else of the filename in its XML, and (kind, reason) of its problems.

    told: height, width as the XML says; where the EXIF tag of a photo turns it, they decide what the boxes refer to.
    ValueError if the image cannot be had.
    """
    path = voc.find_image(source, image_id, filename)
    try:
        data = read_file(path, 'image')
        image = images.decode_bgr(data)
        if not images.is_turned(data):
            return image, _compare(image, told)
        turned = images.decode_bgr(data, turned=True)
        if told == turned.shape[:2] != image.shape[:2]:
            return turned, [(REPAIRED, "turned as its EXIF tag says, since the XML's size is that of the turned photo")]
        return image, [(NOTED, 'its EXIF tag turns it, which was not done: boxes refer to stored pixels'),
                       *_compare(image, told)]  # fmt: skip
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def _compare(image: np.ndarray, told: tuple[int, int] | None) -> list[tuple[str, str]]:
    height, width = image.shape[:2]
    if told in (None, (height, width)):
        return []
    return [(NOTED, f'the XML says {told[1]} x {told[0]}, the image is {width} x {height}; the image was followed')]


def usable_objects(annotation: voc.Annotation, size: tuple[int, int], classes: frozenset[str] | None) -> Objects:
    """The objects of known classes (None: of any) whose boxes have an area in an image of `size` = height, width.

    VOC pixels are 1-based and inclusive: a box's extent is [xmin - 1, xmax] x [ymin - 1, ymax]. Boxes are clipped to
    the image. VOC's rule for no area is xmax <= xmin or ymax <= ymin.
    """
    return usable_objects_of([annotation], [size], classes)[0]


def usable_objects_of(annotations: Sequence[voc.Annotation], sizes: Sequence[tuple[int, int]],
                      classes: frozenset[str] | None) -> list[Objects]:  # fmt: skip
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
        found.append(Objects(tuple(names[mine][keep]), whole[mine][keep], annotation.difficult[keep],
                             annotation.truncated[keep], ()))  # fmt: skip
    owners = np.repeat(np.arange(len(counts)), counts)
    for i in np.flatnonzero(moved | ~kept).tolist():
        image = int(owners[i])
        height, width = sizes[image]
        kind, reason = ((LEFT_OUT_BOX, 'its coordinates are not numbers') if not finite[i]
                        else (LEFT_OUT_BOX, 'it has no area') if not with_area[i]
                        else (LEFT_OUT_BOX, f'it is outside of the image of {width} x {height}') if not inside[i]
                        else (LEFT_OUT_BOX, 'it has no name') if not names[i]
                        else (LEFT_OUT_BOX, 'its name is not among the labels') if not known[i]
                        else (REPAIRED, f'clipped to the image of {width} x {height}'))  # fmt: skip
        index = i - ends[image] + counts[image]
        problem = kind, f'{_say(annotations[image], index)}: {reason}'
        found[image] = dataclasses.replace(found[image], problems=(*found[image].problems, problem))
    return found


def _say(annotation: voc.Annotation, index: int) -> str:
    box = ', '.join(f'{value:g}' for value in annotation.boxes[index])
    return f'object {index + 1} {annotation.names[index]!r} ({box})'
