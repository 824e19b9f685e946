"""VOC's XML annotations: a reader of what is found in the wild, and a writer.

The guard against entities is our own: defusedxml replaces the parser in C by one that is ten times as slow.
"""

import dataclasses
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from yolo.data import xml_text
from yolo.data.problems import NOTED, REPAIRED

MOST_PIXELS = 1 << 20  # of a side; a size that says more is not believed
SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
OTHERS = ('pose', 'occluded')
USUAL = frozenset(('0', '1', None))
NO_BOX = ET.Element('bndbox')
SINGLE = ('bndbox', 'name', 'difficult', 'truncated')  # elements that an object has at most once


@dataclasses.dataclass(frozen=True)
class Annotation:
    """One VOC XML: the objects in order, N of them.

    filename: as written; size: (height, width) in pixels or None; names (N,); boxes (N, 4) float64 xmin, ymin, xmax,
    ymax in VOC pixels (1-based, inclusive), NaN where unreadable; difficult, truncated (N,) bool. problems: (kind,
    reason) of what is there twice, of which the first was taken, and of what cannot be read. from_edge: whether boxes
    are measured from the image's edge, as in COCO and YOLO, where XML counts pixels from 1. crowds (N,) bool: those
    that are no object but a region with many of that class, as COCO has them; None for none.
    """

    filename: str
    size: tuple[int, int] | None
    names: tuple[str, ...]
    boxes: np.ndarray
    difficult: np.ndarray
    truncated: np.ndarray
    problems: tuple[tuple[str, str], ...] = ()
    from_edge: bool = False
    crowds: np.ndarray | None = None

    @property
    def is_crowd(self) -> np.ndarray:
        """(N,) bool, also where there are none."""
        return np.zeros(len(self.names), bool) if self.crowds is None else self.crowds


def parse_annotation(data: bytes) -> Annotation:
    """Reads the bytes of a VOC XML in any encoding that Python knows.

    ValueError if it is not one, is not in the encoding that it names, or has a document type or entities.
    """
    root = _parse(data)
    if root.tag != 'annotation':
        raise ValueError(f'the XML is a <{root.tag}>, not a VOC <annotation>')
    objects = root.findall('object')  # direct children: the parts of an object are no objects
    boxes = [each.find('bndbox') for each in objects]  # steps of one name are found by code in C, paths are not
    named, difficult, truncated = ([each.findtext(tag) for each in objects] for tag in SINGLE[1:])
    names = tuple((name or '').strip() for name in named)
    whole = [NO_BOX if box is None else box for box in boxes]
    sides = np.array(_numbers([box.findtext(side) for box in whole for side in SIDES]), float).reshape(-1, 4)
    size = _size(_child(root, 'size'))
    odd = list(_repeated(objects, whole, (boxes, named, difficult, truncated)))
    odd += [*_unreadable('difficult', REPAIRED, difficult), *_unreadable('truncated', NOTED, truncated)]
    problems = [(kind, f'{describe_object(names, sides, i)}: {reason}') for i, kind, reason in odd]
    if size is None and root.find('size') is not None:
        problems.append((NOTED, 'its <size> is not two numbers of pixels; the image was followed'))
    return Annotation(
        filename=(root.findtext('filename') or '').strip(),
        size=size,
        names=names,
        boxes=sides,
        difficult=np.array(_numbers(difficult), float) == 1,
        truncated=np.array(_numbers(truncated), float) == 1,
        problems=tuple(problems),
    )


def describe_object(names: Sequence[str], boxes: np.ndarray, index: int) -> str:
    """An object of an annotation in words: its number, which begins with 1, its name and box."""
    box = ', '.join(f'{value:g}' for value in boxes[index])
    return f'object {index + 1} {names[index]!r} ({box})'


def _repeated(
    objects: Sequence[ET.Element], boxes: Sequence[ET.Element], found: Iterable[Sequence[Any]]
) -> Iterator[tuple[int, str, str]]:
    """Number of the object, kind and reason for each element that is there twice.

    found: each of SINGLE in every object, or None. Elements are counted by tag only where objects have more of them
    than are known.
    """
    more = sum(map(len, objects)) - sum(len(each) - each.count(None) for each in found)
    for tag in OTHERS:
        more -= sum([each.find(tag) is not None for each in objects]) if more else 0
    for i in range(len(objects) if more else 0):
        yield from ((i, REPAIRED, reason) for reason in _twice(objects[i], SINGLE))
    if sum(map(len, boxes)) > len(SIDES) * len(boxes):
        for i, box in enumerate(boxes):
            yield from ((i, REPAIRED, reason) for reason in _twice(box, SIDES))


def _twice(element: ET.Element, tags: Iterable[str]) -> Iterator[str]:
    for tag in tags:
        count = len(element.findall(tag))
        if count > 1:
            yield f'it has {count} elements <{tag}>; the first was taken'


def _unreadable(tag: str, kind: str, texts: Sequence[str | None]) -> Iterator[tuple[int, str, str]]:
    """The same for each flag of objects that is there and neither 0 nor 1."""
    if not USUAL.issuperset(texts):
        for i, text in enumerate(texts):
            if text is not None and _number(text) not in (0, 1):
                yield i, kind, f'its <{tag}> is {text.strip()[:20]!r}, not 0 or 1; it was taken for 0'


def _parse(data: bytes) -> ET.Element:
    try:
        text = xml_text.decode(data)
        return ET.XML(text, ET.XMLParser(target=_NoDoctype()) if _may_have_doctype(text) else None)
    except _DoctypeError as error:
        raise ValueError(f'XML with a document type (and perhaps entities) is refused: {error}') from error
    except (ET.ParseError, ValueError) as error:
        raise ValueError(f'malformed XML: {error}{xml_text.find_hint(data)}') from error


def format_annotation(head: Mapping[str, Any], objects: Iterable[Mapping[str, Any]], declaration: bool) -> bytes:
    """The bytes of a VOC XML in UTF-8.

    head: the elements in front of the objects, by tag; objects: the elements of each <object>; a mapping is an element
    with children, anything else is text. declaration: whether to begin with <?xml ...?>.
    """
    root = ET.Element('annotation')
    _append(root, head)
    for each in objects:
        _append(ET.SubElement(root, 'object'), each)
    ET.indent(root, '\t')
    return ET.tostring(root, encoding='utf-8', xml_declaration=declaration) + b'\n'


def _append(parent: ET.Element, elements: Mapping[str, Any]) -> None:
    for tag, value in elements.items():
        element = ET.SubElement(parent, tag)
        if isinstance(value, Mapping):
            _append(element, value)
        else:
            element.text = str(value)


class _DoctypeError(Exception):
    pass


def _may_have_doctype(text: bytes | str) -> bool:
    """Whether an XML in UTF-8 has the word that begins a document type, be it in a comment; or zeros, as in UTF-16."""
    return '<!DOCTYPE' in text or '\0' in text if isinstance(text, str) else b'<!DOCTYPE' in text or b'\0' in text


class _NoDoctype(ET.TreeBuilder):
    """Refuses what entities need. It is half as fast as the class in C: only where there may be a document type."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _DoctypeError(f'<!DOCTYPE {name}>')


def _child(element: ET.Element, name: str) -> ET.Element:
    child = element.find(name)
    return ET.Element(name) if child is None else child


def _number(text: str | None) -> float:
    try:
        return float(text or 'nan')
    except ValueError:
        return math.nan


def _numbers(texts: Sequence[str | None]) -> list[float]:
    """The numbers in some texts, NaN for those that are none."""
    try:
        return list(map(float, texts))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return [_number(text) for text in texts]


def _size(element: ET.Element) -> tuple[int, int] | None:
    height, width = _number(element.findtext('height')), _number(element.findtext('width'))
    return (int(height), int(width)) if 1 <= height <= MOST_PIXELS and 1 <= width <= MOST_PIXELS else None
