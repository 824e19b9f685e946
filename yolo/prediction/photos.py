"""Detection in image files: read, detect, draw and write, all at the same time."""

import contextlib
import dataclasses
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import cv2
import numpy as np
from absl import logging

from yolo import storage
from yolo.data import images, orientation
from yolo.data.draw import contact_sheet, draw_detections
from yolo.detection.detector import Detector, PhotoDetections
from yolo.prediction import names, overlap, writers
from yolo.prediction.detecting import detect
from yolo.prediction.progress import make_bar, say
from yolo.prediction.stop import Stop

JSON = 'detections.json'
SHEET = 'sheet.png'


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


@dataclasses.dataclass
class Counts:
    """What was done: images with their detections written, objects in them, files that could not be read."""

    images: int = 0
    objects: int = 0
    problems: int = 0


def read_photo(path: str, max_pixels: int = images.MAX_PIXELS, damaged: str = images.LEAVE_OUT) -> Photo | Unreadable:
    """Reads an image file, turned upright as its EXIF orientation says. max_pixels, damaged: as in `images.read`."""
    try:
        data = storage.read(path)
        image, notes = images.read(data, max_pixels, damaged)
        turn = orientation.find_turn(data)
        return Photo(path, orientation.apply(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), turn.orientation), turn, notes)
    except images.DamagedError as error:
        return Unreadable(path, str(error), f'; --damaged={images.KEEP} takes what can be decoded')
    except (ValueError, OSError) as error:
        return Unreadable(path, str(error))


def read_photos(
    paths: Iterable[str],
    add_problem: Callable[[str, str], None],
    read: Callable[[str], Photo | Unreadable] = read_photo,
    bound: int = 8,
) -> Iterator[Photo]:
    """The photo of every file that can be read; of others path and reason go to `add_problem`.

    At most `bound` are read ahead, in threads. Warns of what is odd about a file.
    """
    with contextlib.closing(overlap.in_order(read, paths, min(bound, overlap.num_cores()), bound)) as photos:
        for photo in photos:
            path = storage.printable(photo.path)
            if isinstance(photo, Unreadable):
                say(logging.ERROR, '%s left out: %s', path, photo.problem + photo.way_out)
                add_problem(photo.path, photo.problem)
                continue
            for note in photo.notes:
                say(logging.WARNING, '%s: %s', path, note)
            yield photo


def predict_photos(
    detector: Detector,
    paths: Sequence[str],
    out_dir: str,
    stop: Stop,
    formats: Sequence[str] = writers.FORMATS,
    sheet: int = 0,
    read: Callable[[str], Photo | Unreadable] = read_photo,
) -> Counts:
    """Detects in image files and writes what was detected into `out_dir`, up to a signal.

    formats: of writers.FORMATS: `json` is detections.json, {image, drawn, width, height, detections} of every image,
    detections {label, score, xmin, ymin, xmax, ymax} in pixels of the upright photo, whose top left corner is 0, 0;
    `drawn` is each image with its boxes, as PNG under its own name. sheet: how many of the first drawn ones to show
    together. Memory does not grow with the number of images, but for their paths.
    """
    counts = Counts()
    shown: list[str] = []
    drawn = names.drawn_paths(out_dir, paths) if 'drawn' in formats else {}
    with contextlib.ExitStack() as stack:
        add = stack.enter_context(writers.json_list(posixpath.join(out_dir, JSON))) if 'json' in formats else None
        bar = stack.enter_context(make_bar(len(paths), ' images'))

        def add_problem(path: str, reason: str) -> None:
            counts.problems += 1
            bar.update()

        photos = read_photos(stop.until(paths), add_problem, read, detector.batch_size)
        for entry in _finished(detector, photos, stop, drawn):
            if add is not None:
                add(entry)
            if len(shown) < sheet:
                shown.append(posixpath.join(out_dir, entry['drawn']))
            counts.images += 1
            counts.objects += len(entry['detections'])
            bar.update()
    if shown:
        storage.write(posixpath.join(out_dir, SHEET), draw_sheet(shown))
    return counts


def _finished(detector: Detector, photos: Iterable[Photo], stop: Stop, drawn: Mapping[str, str]) -> Iterator[dict]:
    """The entry of each photo in detections.json, once its own files are written."""

    def finish(found: tuple[Photo, np.ndarray, PhotoDetections]) -> dict:
        photo, _, result = found
        return _finish(photo, result, detector.classes, drawn)

    threads = overlap.num_cores()
    detected = detect(detector, ((photo, photo.pixels) for photo in photos), stop)
    with contextlib.closing(overlap.in_order(finish, detected, threads, threads + detector.batch_size)) as finished:
        yield from finished


def _finish(photo: Photo, result: PhotoDetections, classes: Sequence[str], drawn: Mapping[str, str]) -> dict:
    """Writes the files of one photo, in a thread; returns its entry in detections.json."""
    entry = {'image': storage.printable(photo.path)}
    if photo.path in drawn:
        picture = draw_detections(photo.pixels, result.relative_boxes, result.classes, result.scores, classes)
        storage.write(drawn[photo.path], images.encode_png(picture))
        entry['drawn'] = posixpath.basename(drawn[photo.path])
    return {**entry, **writers.describe(photo.pixels, result)}


def draw_sheet(drawn_files: Sequence[str]) -> bytes:
    """The PNG of a contact sheet of image files, each with its name underneath."""
    tiles = [images.decode(storage.read(path)) for path in drawn_files]
    captions = [posixpath.basename(path).removesuffix('.png') for path in drawn_files]
    return images.encode_png(contact_sheet(tiles, captions))
