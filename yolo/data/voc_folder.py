"""A folder of VOC annotations and images, and its lists of images, as they are found in the wild."""

import dataclasses
import posixpath
from collections.abc import Iterable, Mapping

import numpy as np

from yolo import storage
from yolo.data import image_size, images, orientation, yolo_txt
from yolo.data.problems import NO_ANNOTATION, NOTED, REPAIRED
from yolo.data.voc_xml import Annotation, parse_annotation

FLAGS = (['-1'], ['0'], ['1'])
MOST_XML_BYTES, MOST_IMAGE_BYTES, MOST_LIST_BYTES = 64 << 20, 1 << 30, 256 << 20
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.JPG', '.JPEG', '.PNG')


UNLABELLED = LEAVE_OUT, BACKGROUND = ('leave_out', 'background')  # what becomes of images without annotation
HEADER_BYTES = 1 << 18  # of an image, in which its size and its EXIF nearly always are


@dataclasses.dataclass(frozen=True)
class Sample:
    """Where an image and its annotation lie; '' for what is where VOC has it.

    annotation_path: of its XML, or of YOLO's text; annotation: itself, where it was read already.
    """

    image_path: str = ''
    annotation_path: str = ''
    annotation: Annotation | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the annotations and images of a dataset lie.

    samples: by image id, those that lie elsewhere than VOC has them; classes: the names of the numbers in YOLO's texts;
    unlabelled: one of UNLABELLED.
    """

    annotations_dir: str
    images_dir: str
    samples: Mapping[str, Sample] = dataclasses.field(default_factory=dict)
    classes: tuple[str, ...] = ()
    unlabelled: str = LEAVE_OUT

    def part(self, ids: Iterable[str]) -> 'Source':
        """The same for some images only, so that what a worker gets does not grow with the dataset."""
        samples = {image_id: self.samples[image_id] for image_id in ids if image_id in self.samples}
        return dataclasses.replace(self, samples=samples) if self.samples else self


def checked(source: Source) -> Source:
    """The source itself; ValueError if one of its folders is not there."""
    for folder in (source.annotations_dir, source.images_dir):
        if not storage.is_folder(folder):
            raise ValueError(f'{folder} is not a folder')
    return source


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
    """Where the XML of an image is, or its YOLO text; ValueError if the id leads out of the folder."""
    sample = source.samples.get(image_id)
    if sample and sample.annotation_path:
        return sample.annotation_path
    _check_id(source.annotations_dir, image_id)
    return posixpath.join(source.annotations_dir, image_id + '.xml')


def _check_id(folder: str, image_id: str) -> None:
    if image_id.startswith('/') or '..' in image_id.replace('\\', '/').split('/'):
        raise ValueError(f'the id {image_id!r} leads out of {folder}')


def find_image(source: Source, image_id: str, filename: str) -> str:
    """The path of an image: by its id or else by the name in its XML, never outside of the images' folder.

    ValueError if there is none, or no regular file of that name.
    """
    sample = source.samples.get(image_id)
    if sample and sample.image_path:
        return sample.image_path  # reading it says what is wrong with it
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


def read_annotation(source: Source, image_id: str, size: tuple[int, int] | None = None) -> Annotation:
    """The annotation of an image; ValueError with the reason if there is none or it is malformed.

    size: height, width in pixels, for annotations that are relative to it; without it, the header of the image says it.
    """
    sample = source.samples.get(image_id)
    if sample and sample.annotation:
        return sample.annotation
    path = annotation_path(source, image_id)
    try:
        data = read_file(path, 'annotation', MOST_XML_BYTES)
    except ValueError as error:
        if source.unlabelled == BACKGROUND and isinstance(error.__cause__, FileNotFoundError):
            return background((NOTED, NO_ANNOTATION))
        raise
    if path.lower().endswith('.txt'):
        return yolo_txt.parse(data, source.classes, size or _read_size(find_image(source, image_id, '')))
    return parse_annotation(data)


def background(*problems: tuple[str, str]) -> Annotation:
    """The annotation of an image without objects, which nothing says but the user."""
    none = np.zeros(0, bool)
    return Annotation('', None, (), np.zeros((0, 4)), none, none, problems)


def _read_size(path: str) -> tuple[int, int]:
    """Height, width of an image as it is seen, by its header; ValueError if that does not say it."""
    try:
        with storage.reader(path) as file:
            data = file.read(HEADER_BYTES)
    except OSError as error:
        raise ValueError(f'{path} cannot be read: {error.strerror or error}') from error
    size = image_size.size_in_header(data)
    if size is None and len(data) == HEADER_BYTES:
        data = read_file(path, 'image', MOST_IMAGE_BYTES)
        size = image_size.size_in_header(data)
    if size is None or min(size) < 1:
        raise ValueError(f'{path}: not an image: its header has no size')
    return size[::-1] if orientation.read(data) >= orientation.FIRST_ON_SIDE else size


def read_image(
    source: Source,
    image_id: str,
    filename: str,
    xml_size: tuple[int, int] | None,
    max_pixels: int = images.MAX_PIXELS,
    damaged: str = images.LEAVE_OUT,
    grey_range: tuple[int, ...] = (),
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """The image (H, W, 3) uint8 BGR of an id, or else of the filename in its XML, and (kind, reason) of its problems.

    xml_size: height, width as the XML says; if the EXIF tag of a photo rotates it, they decide which pixels boxes mean.
    Boxes of YOLO's texts, which say no size, always are of the photo as it is seen.
    ValueError if the image is missing, cannot be read, has more than `max_pixels`, or is damaged and not to be kept
    (damaged: one of images.DAMAGED); grey_range: as in `images.read`.
    """
    path = find_image(source, image_id, filename)
    try:
        data = read_file(path, 'image', MOST_IMAGE_BYTES)
        image, odd = images.read(data, max_pixels, damaged, grey_range, note_depth=True)
    except images.DamagedError as error:
        raise ValueError(f'{path}: {error}; --damaged={images.KEEP} writes what can be decoded') from error
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    notes = [(NOTED, each) for each in odd]
    turn = orientation.read(data)
    if turn == orientation.AS_STORED:
        return image, [*notes, *_compare(image, xml_size)]
    rotated = orientation.apply(image, turn)
    if source.classes:
        return rotated, [
            *notes,
            (NOTED, 'turned as its EXIF tag says, since YOLO boxes are of the photo as it is seen'),
        ]
    if xml_size == rotated.shape[:2] != image.shape[:2]:
        reason = 'turned as its EXIF tag says, since its annotation is of the turned photo'
        return rotated, [*notes, (REPAIRED, reason)]
    reason = 'its EXIF tag turns it, which was not done: boxes refer to stored pixels'
    return image, [*notes, (NOTED, reason), *_compare(image, xml_size)]


def _compare(image: np.ndarray, xml_size: tuple[int, int] | None) -> list[tuple[str, str]]:
    height, width = image.shape[:2]
    if xml_size in (None, (height, width)):
        return []
    sizes = f'{xml_size[1]} x {xml_size[0]}, the image is {width} x {height}'
    return [(NOTED, f'the annotation says {sizes}; the image was followed')]
