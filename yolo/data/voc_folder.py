"""A folder of VOC annotations and images, and its lists of images, as they are found in the wild."""

import dataclasses
import posixpath

import numpy as np

from yolo import storage
from yolo.data import images, orientation
from yolo.data.problems import NOTED, REPAIRED
from yolo.data.voc_xml import Annotation, parse_annotation

FLAGS = (['-1'], ['0'], ['1'])
MOST_XML_BYTES, MOST_IMAGE_BYTES, MOST_LIST_BYTES = 64 << 20, 1 << 30, 256 << 20
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.JPG', '.JPEG', '.PNG')


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the annotations and images of a dataset lie."""

    annotations_dir: str
    images_dir: str


def read_split(path: str) -> list[str]:
    """The image ids of a list, one a line; ValueError if there is no such list, or it is no text.

    If every line has VOC's flag -1, 0 or 1 behind the id, that is taken off. Ids listed twice are returned twice.
    """
    if not storage.exists(path):
        folder = posixpath.dirname(path) or '.'
        there = storage.names(folder) if storage.is_folder(folder) else []
        raise ValueError(f'no list {path}; this folder has {", ".join(there) or "nothing"}')
    data = read_file(path, 'list', MOST_LIST_BYTES)
    try:
        lines = data.decode('utf-8-sig').splitlines()
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

    ValueError if there is none, or no regular file of that name.
    """
    _check_id(source.images_dir, image_id)
    names = [image_id + suffix for suffix in IMAGE_SUFFIXES] + [posixpath.basename(filename.replace('\\', '/'))]
    paths = [posixpath.join(source.images_dir, name) for name in names if name]
    for path in paths:
        if storage.is_file(path):
            return path
    for path in paths:
        if storage.exists(path) and not storage.is_folder(path):
            raise ValueError(f'{path} cannot be read: it is not a regular file')
    raise ValueError(
        f'no image {names[0]} (or .jpeg, .png, or {filename or "a filename in the XML"}) in {source.images_dir}'
    )


def read_file(path: str, what: str, most_bytes: int) -> bytes:
    """The bytes of a regular file; ValueError if it cannot be read or is larger, or not there: then it is `what`."""
    try:
        return storage.read(path, most_bytes)
    except FileNotFoundError as error:
        raise ValueError(f'no {what} {path}') from error
    except OSError as error:
        raise ValueError(f'{path} cannot be read: {error.strerror or error}') from error


def read_annotation(source: Source, image_id: str) -> Annotation:
    """The annotation of an image; ValueError with the reason if there is none or it is malformed."""
    return parse_annotation(read_file(annotation_path(source, image_id), 'annotation', MOST_XML_BYTES))


def read_image(
    source: Source,
    image_id: str,
    filename: str,
    xml_size: tuple[int, int] | None,
    max_pixels: int = images.MAX_PIXELS,
    damaged: str = images.LEAVE_OUT,
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """The image (H, W, 3) uint8 BGR of an id, or else of the filename in its XML, and (kind, reason) of its problems.

    xml_size: height, width as the XML says; if the EXIF tag of a photo rotates it, they decide which pixels boxes mean.
    ValueError if the image is missing, cannot be read, has more than `max_pixels`, or is damaged and not to be kept
    (damaged: one of images.DAMAGED).
    """
    path = find_image(source, image_id, filename)
    try:
        data = read_file(path, 'image', MOST_IMAGE_BYTES)
        image, odd = images.read(data, max_pixels, damaged)
    except images.DamagedError as error:
        raise ValueError(f'{path}: {error}; --damaged={images.KEEP} writes what can be decoded') from error
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    notes = [(NOTED, each) for each in odd]
    turn = orientation.read(data)
    if turn == orientation.AS_STORED:
        return image, [*notes, *_compare(image, xml_size)]
    rotated = orientation.apply(image, turn)
    if xml_size == rotated.shape[:2] != image.shape[:2]:
        reason = "turned as its EXIF tag says, since the XML's size is that of the turned photo"
        return rotated, [*notes, (REPAIRED, reason)]
    reason = 'its EXIF tag turns it, which was not done: boxes refer to stored pixels'
    return image, [*notes, (NOTED, reason), *_compare(image, xml_size)]


def _compare(image: np.ndarray, xml_size: tuple[int, int] | None) -> list[tuple[str, str]]:
    height, width = image.shape[:2]
    if xml_size in (None, (height, width)):
        return []
    return [
        (NOTED, f'the XML says {xml_size[1]} x {xml_size[0]}, the image is {width} x {height}; the image was followed')
    ]
