"""YOLO's texts: a line `class x y width height` for each object, of its centre, relative to the image as it is seen.

A line with more numbers is a polygon `class x y x y x y ...`, as for segmentation and rotated boxes: its bounding box
is taken. (Darknet's scripts/voc_label.py, Ultralytics' dataset format)
"""

from collections.abc import Sequence

import numpy as np

from yolo import settings
from yolo.data.problems import LEFT_OUT_BOX
from yolo.data.voc_xml import Annotation

BOX_WORDS, FEWEST_POLYGON_WORDS = 5, 7
MOST_SHARE = 2.0  # of an image's side: boxes that reach out of it are clipped, larger numbers are pixels


def parse(data: bytes, classes: Sequence[str], size: tuple[int, int]) -> Annotation:
    """Reads the bytes of a text; size: height, width of its image in pixels. Boxes are in VOC pixels, not rounded.

    A line that is not understood becomes a problem. ValueError if it is no text in UTF-8.
    """
    try:
        lines = data.decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'not a YOLO text in UTF-8: {error.reason} at byte {error.start}') from error
    names, boxes, problems = [], [], []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        try:
            name, box = _class_name(words[0], classes), _corners(words)
        except ValueError as error:
            problems.append((LEFT_OUT_BOX, f'line {number}: {error}'))
            continue
        names.append(name)
        boxes.append(box)
    height, width = size
    relative = np.array(boxes, float).reshape(-1, 4)  # (N, 4)
    none = np.zeros(len(names), bool)
    pixels = relative * [width, height, width, height] + [1, 1, 0, 0]
    return Annotation('', size, tuple(names), pixels, none, none, tuple(problems), from_edge=True)


def _class_name(word: str, classes: Sequence[str]) -> str:
    number = settings.parse(word, float)  # some tools write 0.0
    if not 0 <= number < len(classes) or number != int(number):
        raise ValueError(f'the class {word[:60]!r} is none of the {len(classes)} that have names')
    return classes[int(number)]


def _corners(words: Sequence[str]) -> list[float]:
    """xmin, ymin, xmax, ymax, relative."""
    numbers = [settings.parse(word, float) for word in words[1:]]
    if max(map(abs, numbers), default=0) > MOST_SHARE:
        raise ValueError('its numbers are no shares of the image, 0..1; are they pixels?')
    if len(words) == BOX_WORDS:
        x, y, width, height = numbers
        return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    if len(words) < FEWEST_POLYGON_WORDS or len(words) % 2 == 0:
        raise ValueError(f'{len(words)} words; a box has {BOX_WORDS}, `class x y width height`, a polygon 7, 9, 11 ...')
    return [min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])]
