"""One JSON of COCO: its images with their objects, and what is odd in it."""

import collections
import dataclasses
import json
import posixpath
from collections.abc import Sequence
from typing import Any

import numpy as np

from preprocess.sources.files import such_as
from yolo.data import voc_folder, voc_xml
from yolo.data.problems import LEFT_OUT_BOX, NOTED
from yolo.data.voc_xml import Annotation

MOST_BYTES = 4 << 30  # of a JSON; that of COCO's 118,287 training images has 0.45 GB
UNREADABLE = [float('nan')] * 4
FROM_OUTLINE = 'bbox is of its outline'  # a key that objects get whose box was computed


@dataclasses.dataclass(frozen=True)
class File:
    """One JSON: the annotation of each image by the path that it is given there, and what is odd in it."""

    annotations: dict[str, Annotation]
    labelled: frozenset[str]  # those with objects
    notes: tuple[str, ...]


def read(path: str) -> File:
    """Reads a JSON; ValueError if it is not one of COCO's objects."""
    data = voc_folder.read_file(path, 'file', MOST_BYTES)
    try:
        root = json.loads(data, object_hook=_without_outline)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is not JSON: {str(error)[:200]}') from error
    try:
        return _parse(root)
    except ValueError as error:
        raise ValueError(f"{path} is not COCO's JSON of objects: {error}") from error


def _without_outline(entry: dict) -> dict:
    """An object of the JSON without what takes most of the memory; if it has no box, that of its outline."""
    outline = entry.pop('segmentation', None)
    if outline and not entry.get('bbox'):
        box = _bounds(outline)
        if box:
            entry |= {'bbox': box, FROM_OUTLINE: True}
    return entry


def _bounds(outline: Any) -> list[float] | None:
    """left, top, width, height of polygons [x, y, x, y ...]; None if they are not such."""
    polygons = outline if isinstance(outline, list) and all(isinstance(each, list) for each in outline) else [[]]
    numbers = [[value for value in polygon if _is_number(value)] for polygon in polygons]
    xs, ys = ([value for polygon in numbers for value in polygon[start::2]] for start in (0, 1))
    if not xs or len(xs) != len(ys) or [len(each) for each in numbers] != [len(each) for each in polygons]:
        return None
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _parse(root: Any) -> File:
    categories = _ById(_entries(root, 'categories'), 'categories', 'name')
    rows = _entries(root, 'images')
    images = _ById(rows, 'images', 'file_name')
    objects: dict[Any, list[dict]] = collections.defaultdict(list)
    for each in _entries(root, 'annotations'):
        objects[images.key(each.get('image_id'))].append(each)
    same: dict[str, list[Any]] = collections.defaultdict(list)  # the ids of each image
    for key, name in images.texts.items():
        same[_plain(name)].append(key)
    sizes = {images.key(each['id']): _size(each) for each in rows}
    merged = {name: _merge([objects.get(key, []) for key in keys]) for name, keys in same.items()}
    annotations = {
        name: _make_annotation(name, sizes[keys[0]], merged[name], categories) for name, keys in same.items()
    }
    lost = sum(len(each) for key, each in objects.items() if key not in images.texts)
    computed = sum(FROM_OUTLINE in each for some in merged.values() for each in some)
    twice = [name for name, keys in same.items() if len(keys) > 1]
    notes = [
        f'{lost} annotations are of no image that it has: left out' if lost else '',
        f'{computed} annotations have no "bbox": the box of their outline was taken' if computed else '',
        f'{len(twice)} images are there more than once{such_as(twice)}: their annotations were put together'
        if twice
        else '',
    ]
    labelled = frozenset(name for name, each in merged.items() if each)
    return File(annotations, labelled, tuple(note for note in notes if note))


def _plain(name: str) -> str:
    """A path as it is written here: `./a.jpg` and `a.jpg` are one image."""
    return name.replace('\\', '/').removeprefix('./')


def _merge(entries: Sequence[Sequence[dict]]) -> list[dict]:
    """The objects of all entries of one image; those that are in an entry before are not taken again."""
    merged: list[dict] = []
    for some in entries:
        there = [(each.get('category_id'), each.get('bbox')) for each in merged]
        merged += [each for each in some if (each.get('category_id'), each.get('bbox')) not in there]
    return merged


def _entries(root: Any, name: str) -> list[dict]:
    entries = root.get(name) if isinstance(root, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise ValueError(f'"{name}" is not a list of objects')
    return entries


class _ById:
    """A text of each entry by its id. 1, 1.0 and "1" are one id, unless two entries differ in that alone."""

    def __init__(self, entries: Sequence[dict], what: str, field: str):
        """ValueError if an entry has no id or no text, or another one has the same id."""
        self.exact = False
        self.exact = len({self.key(each.get('id')) for each in entries}) < len(entries)
        self.texts: dict[Any, str] = {}
        for number, each in enumerate(entries):
            key, text = self.key(each.get('id')), each.get(field)
            if key is None or not isinstance(text, str) or not text.strip():
                raise ValueError(f'{what}[{number}] has no "id" or no "{field}"')
            self.texts[key] = text.strip()
        if len(self.texts) < len(entries):
            raise ValueError(f'{len(entries) - len(self.texts)} ids of "{what}" are there twice')

    def key(self, value: Any) -> Any:
        """An id as it is looked up; None if it is none."""
        if isinstance(value, bool) or not isinstance(value, int | float | str) or value != value:
            return None
        is_whole = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19
        return int(value) if is_whole and not self.exact else value  # 1.0 is 1 for a dictionary


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _size(image: dict) -> tuple[int, int] | None:
    sides: list[Any] = [image.get(name) for name in ('height', 'width')]
    numbers = [int(side) for side in sides if _is_number(side) and 1 <= side <= voc_xml.MOST_PIXELS]
    return (numbers[0], numbers[1]) if len(numbers) == len(sides) else None


def _make_annotation(name: str, size: tuple[int, int] | None, objects: Sequence[dict], categories: _ById) -> Annotation:
    """The objects of an image; boxes in VOC pixels."""
    names, boxes, crowds, ignored, problems = [], [], [], [], []
    for each in objects:
        label, box = categories.texts.get(categories.key(each.get('category_id')), ''), _box(each.get('bbox'))
        if not label:
            problems.append((LEFT_OUT_BOX, f'annotation {str(each.get("id"))[:40]}: its category has no name'))
        else:
            names.append(label)
            boxes.append(box)
            crowds.append(each.get('iscrowd') in (1, True))
            ignored.append(each.get('ignore') in (1, True))
    left, top, width, height = np.array(boxes, float).reshape(-1, 4).T
    with np.errstate(invalid='ignore', over='ignore'):  # what is not finite is no box
        pixels = np.stack([left + 1, top + 1, left + width, top + height], 1)  # (N, 4)
    difficult, truncated = np.array(ignored, bool), np.zeros(len(names), bool)
    if size is None:
        problems.append((NOTED, 'COCO\'s "width" and "height" are not numbers of pixels; the image was followed'))
    is_crowd = np.array(crowds, bool) if any(crowds) else None
    about = posixpath.basename(name), size, tuple(names), pixels, difficult, truncated, tuple(problems)
    return Annotation(*about, from_edge=True, crowds=is_crowd)


def _box(value: Any) -> list[float]:
    """left, top, width, height; NaN if these are not four numbers."""
    if not isinstance(value, list) or len(value) != len(UNREADABLE):
        return UNREADABLE
    if not all(map(_is_number, value)):
        return UNREADABLE
    try:
        return [float(each) for each in value]
    except OverflowError:
        return UNREADABLE
