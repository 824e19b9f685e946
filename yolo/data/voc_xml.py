"""VOC's XML annotations: a reader of what is found in the wild, and a writer.

The guard against entities is our own: defusedxml replaces the parser in C by one that is ten times as slow.
"""

import dataclasses
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from yolo.data import xml_text

MOST_PIXELS = 1 << 20  # of a side; a size that says more is not believed
SIDES = ('xmin', 'ymin', 'xmax', 'ymax')


@dataclasses.dataclass(frozen=True)
class Annotation:
    """One VOC XML: the objects in order, N of them.

    filename: as written; size: (height, width) in pixels or None; names (N,); boxes (N, 4) float64 xmin, ymin, xmax,
    ymax in VOC pixels (1-based, inclusive), NaN where unreadable; difficult, truncated (N,) bool.
    """

    filename: str
    size: tuple[int, int] | None
    names: tuple[str, ...]
    boxes: np.ndarray
    difficult: np.ndarray
    truncated: np.ndarray


def parse_annotation(data: bytes) -> Annotation:
    """Reads the bytes of a VOC XML in any encoding that Python knows.

    ValueError if it is not one, is not in the encoding that it names, or has a document type or entities.
    """
    root = _parse(data)
    if root.tag != 'annotation':
        raise ValueError(f'the XML is a <{root.tag}>, not a VOC <annotation>')
    objects = root.findall('object')  # direct children: the parts of an object are no objects
    boxes = [_child(each, 'bndbox') for each in objects]  # steps of one name are found by code in C, paths are not
    return Annotation(
        filename=(root.findtext('filename') or '').strip(),
        size=_size(_child(root, 'size')),
        names=tuple((each.findtext('name') or '').strip() for each in objects),
        boxes=np.array([[_number(box.findtext(side)) for side in SIDES] for box in boxes], float).reshape(-1, 4),
        difficult=np.array([_number(each.findtext('difficult')) == 1 for each in objects], bool),
        truncated=np.array([_number(each.findtext('truncated')) == 1 for each in objects], bool),
    )


def _parse(data: bytes) -> ET.Element:
    try:
        return ET.XML(xml_text.decode(data), ET.XMLParser(target=_NoDoctype()))
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


class _NoDoctype(ET.TreeBuilder):
    """Refuses what entities need; the parser in C stays ten times as fast as one that looks out for each of them."""

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


def _size(element: ET.Element) -> tuple[int, int] | None:
    height, width = _number(element.findtext('height')), _number(element.findtext('width'))
    return (int(height), int(width)) if 1 <= height <= MOST_PIXELS and 1 <= width <= MOST_PIXELS else None
