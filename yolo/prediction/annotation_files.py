"""What was detected in a photo as the annotations that other programs read: VOC's XML, YOLO's text.

LabelImg opens both, so that detections can be corrected by hand and be trained on.
"""

import contextlib
import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging

from yolo import storage
from yolo.data import labels, orientation, voc_xml
from yolo.detection.detector import PhotoDetections
from yolo.prediction import names, writers
from yolo.progress import say

CLASSES = 'classes'  # beside YOLO's texts: the names of the classes, in order

Write = Callable[[str, tuple[int, int], PhotoDetections, orientation.Turn], None]


@contextlib.contextmanager
def annotation_files(
    formats: Sequence[str], out_dir: str, paths: Sequence[str], classes: Sequence[str]
) -> Iterator[Write]:
    """Files of each photo for other programs: NAME.xml in the folder `xml`, NAME.txt in `yolo` and `yolo_scores`.

    They are written by the function that this yields, which threads may call at the same time: path of the photo, its
    upright height and width, result, and turn of the file. Says at the end what the user has to know.
    """
    wanted = [each for each in formats if each in (writers.XML, writers.YOLO, writers.YOLO_SCORES)]
    targets = {each: _prepare(each, posixpath.join(out_dir, each), paths, classes) for each in wanted}
    ambiguous: list[str] = []

    def write(path: str, size: tuple[int, int], result: PhotoDetections, turn: orientation.Turn) -> None:
        for each in wanted:
            is_xml, with_scores = each == writers.XML, each == writers.YOLO_SCORES
            data = format_xml(path, size, result, turn) if is_xml else format_yolo(result, with_scores)
            storage.write(targets[each][path], data)
        if writers.XML in wanted and xml_is_ambiguous(size, turn):
            ambiguous.append(storage.printable(path))

    yield write
    if ambiguous:
        say(logging.WARNING, AMBIGUOUS, len(ambiguous), min(ambiguous))


AMBIGUOUS = (
    '%d photos, such as %s, are turned by EXIF in a way that their size does not show: the boxes in their XML are in '
    'the stored pixels, as preprocess reads them, but LabelImg shows the photos turned; to correct these there, turn '
    'the files themselves (exiftran -ai) and predict again'
)


def _prepare(kind: str, folder: str, paths: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """Makes the folder of a format; where the file of each photo goes."""
    storage.make_folder(folder)
    if kind == writers.XML:
        targets = names.annotation_paths(folder, paths, '.xml')
    else:
        targets = names.annotation_paths(folder, paths, '.txt', [CLASSES])
        storage.write(posixpath.join(folder, f'{CLASSES}.txt'), labels.to_text(classes))
    others = [path for path, target in targets.items() if names.stem(target) != names.stem(path)]
    if others:
        text = '%s: %d photos, such as %s, have a file named after their whole path, as another photo has their name'
        say(logging.WARNING, text, folder, len(others), storage.printable(others[0]))
    return targets


def format_xml(path: str, size: tuple[int, int], result: PhotoDetections, turn: orientation.Turn) -> bytes:
    """The VOC XML of a photo of `size` = upright height, width; boxes in VOC pixels: 1-based, inclusive, rounded.

    They are in the pixels that LabelImg shows and that preprocessing reads (`xml_is_upright`).
    """
    height, width = size
    relative = np.asarray(result.relative_boxes, np.float64)
    if not xml_is_upright(size, turn):
        relative = orientation.boxes_as_stored(relative, turn.orientation)
        height, width = (width, height) if turn.orientation >= orientation.FIRST_ON_SIDE else size
    head = {
        'folder': storage.printable(posixpath.basename(posixpath.dirname(os.path.abspath(path)))),
        'filename': storage.printable(posixpath.basename(path)),
        'path': storage.printable(path if '://' in path else os.path.abspath(path)),
        'source': {'database': 'Unknown'},
        'size': {'width': width, 'height': height, 'depth': 3},
        'segmented': 0,
    }
    boxes = _voc_pixels(relative, (height, width)).tolist()
    objects = [_object(label, box, (height, width)) for label, box in zip(result.labels, boxes, strict=True)]
    return voc_xml.format_annotation(head, objects, declaration=False)


def xml_is_upright(size: tuple[int, int], turn: orientation.Turn) -> bool:
    """Whether the XML of a photo of `size` = upright height, width has its boxes in the upright pixels, not the stored.

    Preprocessing reads a photo upright if the size in the XML is that of the upright photo and not of the stored one.
    LabelImg (since 1.8.4) shows JPEGs upright, other files as they are stored.
    """
    is_seen_in_size = turn.orientation >= orientation.FIRST_ON_SIDE and size[0] != size[1]
    return turn.orientation == orientation.AS_STORED or (turn.is_jpeg and is_seen_in_size)


def xml_is_ambiguous(size: tuple[int, int], turn: orientation.Turn) -> bool:
    """Whether LabelImg shows a photo turned, but preprocessing reads it, and so its XML has it, as it is stored."""
    return turn.is_jpeg and not xml_is_upright(size, turn)


def _voc_pixels(relative: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes (N, 4) relative 0..1 -> whole VOC pixels (N, 4) int, two a side at least: readers take one for no area."""
    extent = np.array([size[1], size[0]])
    low = np.clip(np.rint(relative[:, :2] * extent).astype(int) + 1, 1, np.maximum(extent - 1, 1))
    high = np.clip(np.rint(relative[:, 2:] * extent).astype(int), low + 1, np.maximum(extent, low + 1))
    return np.concatenate([low, np.minimum(high, extent)], 1)


def _object(label: str, box: Sequence[int], size: tuple[int, int]) -> dict[str, Any]:
    at_edge = min(box[:2]) == 1 or box[2] == size[1] or box[3] == size[0]  # as LabelImg decides it
    sides = dict(zip(voc_xml.SIDES, box, strict=True))
    return {'name': label, 'pose': 'Unspecified', 'truncated': int(at_edge), 'difficult': 0, 'bndbox': sides}


def format_yolo(result: PhotoDetections, with_scores: bool = False) -> str:
    """YOLO's text of a photo: a line `class x y width height` for each object, of its centre, relative to the photo.

    with_scores: the score behind it, which detectors write and LabelImg does not read.
    """
    boxes = np.clip(np.asarray(result.relative_boxes, np.float64), 0, 1)
    centres = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
    rows = np.column_stack([centres, result.scores]) if with_scores else centres
    lines = [
        ' '.join([str(k), *(f'{value:.6f}' for value in row)])
        for k, row in zip(result.classes.tolist(), rows.tolist(), strict=True)
    ]
    return ''.join(f'{line}\n' for line in lines)
