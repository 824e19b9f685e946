"""VOC annotations and image lists, as they are found in the wild."""

import dataclasses
import math
import posixpath
import xml.etree.ElementTree as ET

import numpy as np

from yolo import files

MOST_PIXELS = 1 << 20  # of a side; a size that says more is not believed
FLAGS = (['-1'], ['0'], ['1'])
SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.JPG', '.JPEG', '.PNG')


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


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the annotations and images of a dataset lie."""

    annotations_dir: str
    images_dir: str


def read_annotation(data: bytes) -> Annotation:
    """Reads the bytes of a VOC XML; ValueError if it is not one, or has a document type or entities."""
    try:
        root = ET.XML(data, ET.XMLParser(target=_NoDoctype()))
    except _DoctypeError as error:
        raise ValueError(f'XML with a document type (and perhaps entities) is refused: {error}') from error
    except (ET.ParseError, LookupError, ValueError) as error:  # the last two: encodings that expat does not know
        raise ValueError(f'malformed XML: {error}') from error
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


class _DoctypeError(Exception):
    pass


class _NoDoctype(ET.TreeBuilder):
    """Refuses what entities need; the parser in C stays ten times as fast as one that looks out for each of them."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _DoctypeError(f'<!DOCTYPE {name}>')


def _child(element: ET.Element, name: str) -> ET.Element:
    found = element.find(name)
    return ET.Element(name) if found is None else found


def _number(text: str | None) -> float:
    try:
        return float(text or 'nan')
    except ValueError:
        return math.nan


def _size(element: ET.Element) -> tuple[int, int] | None:
    height, width = _number(element.findtext('height')), _number(element.findtext('width'))
    return (int(height), int(width)) if 1 <= height <= MOST_PIXELS and 1 <= width <= MOST_PIXELS else None


def read_split(path: str) -> list[str]:
    """The image ids of a list, one a line; ValueError if there is no such list, or it is no text.

    If every line has VOC's flag -1, 0 or 1 behind the id, that is taken off. Ids listed twice are returned twice.
    """
    if not files.exists(path):
        folder = posixpath.dirname(path) or '.'
        there = files.names(folder) if files.is_folder(folder) else []
        raise ValueError(f'no list {path}; this folder has {", ".join(there) or "nothing"}')
    try:
        lines = files.read(path).decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not a list of image ids in UTF-8: {error}') from error
    ids = [line.strip() for line in lines if line.strip()]
    if all(line.rsplit(None, 1)[1:] in FLAGS for line in ids):  # names may have spaces, and numbers behind them
        ids = [line.rsplit(None, 1)[0] for line in ids]
    return ids


def annotation_path(source: Source, image_id: str) -> str:
    """Where the XML of an image is; ValueError if the id leads out of the folder."""
    _check_id(source.annotations_dir, image_id)
    return posixpath.join(source.annotations_dir, image_id + '.xml')


def _check_id(folder: str, image_id: str) -> None:
    if image_id.startswith('/') or '..' in image_id.replace('\\', '/').split('/'):
        raise ValueError(f'the id {image_id!r} leads out of {folder}')


def find_image(source: Source, image_id: str, filename: str) -> str:
    """The path of an image: by its id or else by the name in its XML, never outside of the images' folder.

    ValueError if there is none.
    """
    _check_id(source.images_dir, image_id)
    names = [image_id + suffix for suffix in IMAGE_SUFFIXES] + [posixpath.basename(filename.replace('\\', '/'))]
    for name in names:
        path = posixpath.join(source.images_dir, name)
        if name and files.is_file(path):
            return path
    raise ValueError(f'no image {names[0]} (or .jpeg, .png, or {filename or "a filename in the XML"}) '
                     f'in {source.images_dir}')  # fmt: skip
