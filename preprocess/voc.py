"""VOC annotations and image lists, as they are found in the wild."""

import dataclasses
import posixpath
import xml.etree.ElementTree as ET

import defusedxml.ElementTree
import numpy as np
import tensorflow as tf
from defusedxml import DefusedXmlException

CLASSES = ('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow', 'diningtable', 'dog',
           'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor')  # fmt: skip
FLAGS = ('-1', '0', '1')
SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.JPG', '.JPEG', '.PNG')


@dataclasses.dataclass(frozen=True)
class Annotation:
    """One VOC XML: the objects in order, N of them.

    filename: as written; size: (height, width) in pixels or None; names (N,); boxes (N, 4) float64 xmin, ymin, xmax,
    ymax in VOC pixels (1-based, inclusive), NaN where unreadable; difficult (N,) bool.
    """

    filename: str
    size: tuple[int, int] | None
    names: tuple[str, ...]
    boxes: np.ndarray
    difficult: np.ndarray


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the annotations and images of a dataset lie."""

    annotations_dir: str
    images_dir: str


def read_annotation(data: bytes) -> Annotation:
    """Reads the bytes of a VOC XML; ValueError if it is not one, or has a document type or entities."""
    try:
        root = defusedxml.ElementTree.fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise ValueError(f'XML with a document type or entities is refused: {error}') from error
    except (ET.ParseError, LookupError, ValueError) as error:  # the last two: encodings that expat does not know
        raise ValueError(f'malformed XML: {error}') from error
    if root.tag != 'annotation':
        raise ValueError(f'the XML is a <{root.tag}>, not a VOC <annotation>')
    objects = root.findall('object')  # direct children: the parts of an object are no objects
    boxes = [[_number(found.findtext(f'bndbox/{side}')) for side in SIDES] for found in objects]
    return Annotation(
        filename=(root.findtext('filename') or '').strip(),
        size=_size(root),
        names=tuple((found.findtext('name') or '').strip() for found in objects),
        boxes=np.array(boxes, float).reshape(-1, 4),
        difficult=np.array([_number(found.findtext('difficult')) == 1 for found in objects], bool),
    )


def _number(text: str | None) -> float:
    try:
        return float(text or 'nan')
    except ValueError:
        return float('nan')


def _size(root: ET.Element) -> tuple[int, int] | None:
    height, width = _number(root.findtext('size/height')), _number(root.findtext('size/width'))
    known = np.isfinite([height, width]).all() and height >= 1 and width >= 1
    return (int(height), int(width)) if known else None


def read_split(path: str) -> list[str]:
    """The image ids of a list, one a line; ValueError if there are none.

    If every line has VOC's flag -1, 0 or 1 behind the id, that is taken off. Ids listed twice are returned twice.
    """
    if not tf.io.gfile.exists(path):
        folder = posixpath.dirname(path) or '.'
        there = sorted(tf.io.gfile.listdir(folder)) if tf.io.gfile.isdir(folder) else []
        raise ValueError(f'no list {path}; this folder has {", ".join(there) or "nothing"}')
    with tf.io.gfile.GFile(path, 'rb') as file:
        data = file.read()
    try:
        lines = data.decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not a list of image ids in UTF-8: {error}') from error
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise ValueError(f'{path} lists no images')
    parts = [line.rsplit(None, 1) for line in ids]
    if all(len(part) == 2 and part[1] in FLAGS for part in parts):  # names may have spaces, and numbers behind them
        ids = [part[0] for part in parts]
    return ids


def annotation_path(source: Source, image_id: str) -> str:
    """Where the XML of an image is; ValueError if the id leads out of the folder."""
    if image_id.startswith('/') or '..' in image_id.replace('\\', '/').split('/'):
        raise ValueError(f'the id {image_id!r} leads out of {source.annotations_dir}')
    return posixpath.join(source.annotations_dir, image_id + '.xml')


def find_image(source: Source, image_id: str, filename: str) -> str:
    """The path of an image: by its id or else by the name in its XML, never outside of the images' folder.

    ValueError if there is none.
    """
    names = [image_id + suffix for suffix in IMAGE_SUFFIXES] + [posixpath.basename(filename.replace('\\', '/'))]
    for name in names:
        path = posixpath.join(source.images_dir, name)
        if name and tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path):
            return path
    raise ValueError(f'no image {names[0]} (or .jpeg, .png, or {filename or "a filename in the XML"}) '
                     f'in {source.images_dir}')  # fmt: skip
