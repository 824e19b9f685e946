"""Detection in image files: read, detect, draw and write, all at the same time."""

import contextlib
import dataclasses
import functools
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
from absl import logging

from yolo import overlap, storage
from yolo.cores import num_cores
from yolo.data import images, orientation
from yolo.data.draw import contact_sheet, draw_detections
from yolo.detection.detector import Detector, Prepared
from yolo.detection.detector import PhotoDetections as Result
from yolo.prediction import annotation_files, coco, names, writers
from yolo.prediction.detecting import detect
from yolo.prediction.stop import Stop
from yolo.progress import counter, say

LIST = 'detections.json'
SHEET = 'sheet.png'
MOST_KEPT = 3 << 20  # bytes of pixels that wait to be drawn; a larger photo is read again, to be drawn
T = TypeVar('T')
Entry = dict[str, Any]  # of a photo in detections.json


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo that was read: pixels (H, W, 3) uint8 RGB, upright; turn: from the file; notes: what is odd about it."""

    path: str
    pixels: np.ndarray
    turn: orientation.Turn
    notes: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """A file that could not be read, with the reason, and what could be done about it."""

    path: str
    problem: str
    way_out: str = ''


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A photo between reading and writing; pixels: as in Photo, if they are needed and not too many to be kept."""

    path: str
    size: tuple[int, int]  # height, width
    turn: orientation.Turn
    pixels: np.ndarray | None


@dataclasses.dataclass
class Counts:
    """What was done: images with their detections written, objects in them, files that could not be read.

    at_limit: images with as many objects as one may have.
    """

    images: int = 0
    objects: int = 0
    problems: int = 0
    at_limit: int = 0

    def add(self, objects: int, most: int) -> None:
        """One image with its number of objects, of which it may have so many at most."""
        self.images += 1
        self.objects += objects
        self.at_limit += objects == most


def read_photo(
    path: str, max_pixels: int = images.MAX_PIXELS, damaged: str = images.LEAVE_OUT, grey_range: tuple[int, ...] = ()
) -> Photo | Unreadable:
    """Reads an image file, turned upright as its EXIF orientation says; the others: as in `images.read`."""
    try:
        data = storage.read(path)
        image, notes = images.read(data, max_pixels, damaged, grey_range)
        turn = orientation.find_turn(data)
        return Photo(path, orientation.apply(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), turn.orientation), turn, notes)
    except images.DamagedError as error:
        return Unreadable(path, str(error), f'; --damaged={images.KEEP} takes what can be decoded')
    except (ValueError, OSError) as error:
        return Unreadable(path, str(error))


def read_photos(
    paths: Iterable[str],
    add_problem: Callable[[str, str], None],
    then: Callable[[Photo], T],
    read: Callable[[str], Photo | Unreadable] = read_photo,
    bound: int = 8,
) -> Iterator[T]:
    """What `then` makes of the photo of every file that can be read; of others path and reason go to `add_problem`.

    At most `bound` are read ahead, and given to `then`, in threads. Warns of what is odd about a file.
    """

    def read_one(path: str) -> Unreadable | tuple[Sequence[str], str, T]:
        photo = read(path)
        return photo if isinstance(photo, Unreadable) else (photo.notes, path, then(photo))

    with contextlib.closing(overlap.in_order(read_one, paths, min(bound, num_cores()), bound)) as photos:
        for photo in photos:
            if isinstance(photo, Unreadable):
                say(logging.ERROR, '%s left out: %s', storage.printable(photo.path), photo.problem + photo.way_out)
                add_problem(photo.path, photo.problem)
                continue
            notes, path, made = photo
            for note in notes:
                say(logging.WARNING, '%s: %s', storage.printable(path), note)
            del photo  # else it would be held while the next one is waited for
            yield made


def predict_photos(
    detector: Detector,
    paths: Sequence[str],
    out_dir: str,
    stop: Stop,
    formats: Sequence[str] = writers.USUAL,
    sheet: int = 0,
    read: Callable[[str], Photo | Unreadable] = read_photo,
) -> Counts:
    """Detects in image files and writes what was detected into `out_dir`, up to a signal.

    formats: of writers.FORMATS: `json` is detections.json, {image, drawn, width, height, detections} of every image,
    detections {label, score, xmin, ymin, xmax, ymax} in pixels of the upright photo, whose top left corner is 0, 0;
    `drawn` is each image with its boxes, as PNG under its own name; `coco`: see `coco`; `xml`, `yolo`, `yolo_scores`:
    see `annotation_files`. sheet: how many of the first drawn ones to show together. Memory does not grow with the
    number of images, but for their paths.
    """
    counts, shown = Counts(), list[str]()
    drawn = names.drawn_paths(out_dir, paths) if writers.DRAWN in formats else {}
    with contextlib.ExitStack() as stack:
        add_to_lists = stack.enter_context(_lists(formats, out_dir, detector.classes))
        annotate = stack.enter_context(annotation_files.annotation_files(formats, out_dir, paths, detector.classes))
        advance = stack.enter_context(counter(len(paths), 'images'))

        def add_problem(*_) -> None:
            counts.problems += 1
            advance(1)

        prepare = functools.partial(_prepare, detector=detector, drawn=drawn)
        photos = read_photos(stop.until(paths), add_problem, prepare, read, detector.batch_size)
        for entry, result in _finished(detector, photos, stop, read, drawn, annotate):
            add_to_lists(entry, result)
            if len(shown) < sheet:
                shown.append(posixpath.join(out_dir, entry['drawn']))
            counts.add(len(result), detector.limits.max_detections)
            advance(1)
    if shown:
        storage.write(posixpath.join(out_dir, SHEET), draw_sheet(shown))
    return counts


@contextlib.contextmanager
def _lists(formats: Sequence[str], out_dir: str, classes: Sequence[str]) -> Iterator[Callable[[Entry, Result], None]]:
    """The files with a list of all photos, to which the function that this yields adds one."""
    with contextlib.ExitStack() as stack:
        adds: list[Callable[[Entry, Result], None]] = []
        if writers.JSON in formats:
            add_json = stack.enter_context(writers.json_list(posixpath.join(out_dir, LIST)))
            adds.append(lambda entry, _: add_json(entry))
        if writers.COCO in formats:
            add_coco = stack.enter_context(coco.coco_files(out_dir, classes))
            adds.append(lambda entry, result: add_coco(entry['image'], (entry['height'], entry['width']), result))

        def add(entry: Entry, result: Result) -> None:
            for each in adds:
                each(entry, result)

        yield add


def _prepare(photo: Photo, detector: Detector, drawn: Mapping[str, str]) -> tuple[Waiting, Prepared]:
    """A photo at the network's size, and what else is needed of it later."""
    is_kept = photo.path in drawn and photo.pixels.nbytes <= MOST_KEPT
    size = photo.pixels.shape[0], photo.pixels.shape[1]
    return Waiting(photo.path, size, photo.turn, photo.pixels if is_kept else None), detector.prepare(photo.pixels)


def _finished(
    detector: Detector,
    photos: Iterable[tuple[Waiting, Prepared]],
    stop: Stop,
    read: Callable[[str], Photo | Unreadable],
    drawn: Mapping[str, str],
    annotate: annotation_files.Write,
) -> Iterator[tuple[Entry, Result]]:
    """The entry of each photo in detections.json, and what was detected, once its own files are written."""

    def finish(found: tuple[Waiting, Result]) -> tuple[Entry, Result]:
        photo, result = found
        entry = _finish(photo, result, read, detector.classes, drawn)
        annotate(photo.path, photo.size, result, photo.turn)
        return entry, result

    threads = num_cores()
    detected = detect(detector, photos, stop)
    with contextlib.closing(overlap.in_order(finish, detected, threads, threads + detector.batch_size)) as finished:
        yield from finished


def _finish(
    photo: Waiting,
    result: Result,
    read: Callable[[str], Photo | Unreadable],
    classes: Sequence[str],
    drawn: Mapping[str, str],
) -> Entry:
    """Draws a photo, if that is asked for, in a thread; returns its entry in detections.json."""
    entry: Entry = {'image': storage.printable(photo.path)}
    if photo.path in drawn:
        pixels = _read_again(photo.path, read) if photo.pixels is None else photo.pixels
        picture = draw_detections(pixels, result.relative_boxes, result.classes, result.scores, classes)
        storage.write(drawn[photo.path], images.encode_png(picture))
        entry['drawn'] = posixpath.basename(drawn[photo.path])
    return {**entry, **writers.describe(photo.size, result)}


def _read_again(path: str, read: Callable[[str], Photo | Unreadable]) -> np.ndarray:
    """The pixels of a photo that is too large to be kept; ValueError if it has changed meanwhile."""
    photo = read(path)
    if isinstance(photo, Unreadable):
        raise ValueError(f'{path} could be read at first, and then not any more: {photo.problem}')
    return photo.pixels


def draw_sheet(drawn_files: Sequence[str]) -> bytes:
    """The PNG of a contact sheet of image files, each with its name underneath."""
    tiles = [images.decode(storage.read(path)) for path in drawn_files]
    captions = [posixpath.basename(path).removesuffix('.png') for path in drawn_files]
    return images.encode_png(contact_sheet(tiles, captions))
