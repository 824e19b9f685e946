"""Detection in image files: boxes drawn on each, and what was detected as data."""

import itertools
import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import cv2
import numpy as np
from absl import logging

from yolo import storage
from yolo.data import images, orientation
from yolo.data.draw import contact_sheet, draw_detections
from yolo.detection.detector import Detector, PhotoDetections

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
TAKEN = ('sheet',)  # names of drawings that mean something else
LONGEST_NAME = 230  # bytes of UTF-8; most file systems allow 255


def find_images(path: str) -> list[str]:
    """The image files that a path or pattern means, or those in a folder, sorted; ValueError if there are none."""
    if storage.is_folder(path):
        names = [name for name in storage.names(path) if name.lower().endswith(SUFFIXES)]
        if not names:
            raise ValueError(f'--images={path}: no image in this folder; looked for {", ".join(SUFFIXES)}')
        return [posixpath.join(path, name) for name in names]
    paths = [path] if storage.exists(path) else storage.glob(path)
    if not paths:
        raise ValueError(f'--images={path}: no such file or folder')
    return paths


def read_images(
    paths: Sequence[str],
    problems: dict[str, str],
    max_pixels: int = images.MAX_PIXELS,
    damaged: str = images.LEAVE_OUT,
) -> Iterator[tuple[str, np.ndarray]]:
    """Path and image (H, W, 3) uint8 RGB of every file that can be read; the others' reasons go to `problems`.

    Photos are turned upright as their EXIF orientation says. max_pixels, damaged: as in `images.read`. Warns of what is
    odd about a file.
    """
    for path in paths:
        try:
            data = storage.read(path)
            image, notes = images.read(data, max_pixels, damaged)
            for each in notes:
                logging.warning('%s: %s', storage.printable(path), each)
            yield path, orientation.apply(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), orientation.read(data))
        except images.DamagedError as error:
            problems[path] = str(error)
            reason = f'{error}; --damaged={images.KEEP} takes what can be decoded'
            logging.error('%s left out: %s', storage.printable(path), reason)
        except (ValueError, OSError) as error:
            problems[path] = str(error)
            logging.error('%s left out: %s', storage.printable(path), error)


def drawn_paths(out_dir: str, paths: Sequence[str]) -> dict[str, str]:
    """Where each image goes when it is drawn, by its path: to a file of its own, which is none of the images.

    Its name is NAME.png if no other image has this name; else that of its whole path, with a number if that is taken.
    Names differ in more than capitals, since some file systems do not keep these apart, and are valid UTF-8. ValueError
    if `out_dir` has an image of such a name.
    """
    paths = list(dict.fromkeys(paths))
    names = {path: _as_name(posixpath.basename(path)) for path in paths}
    times = Counter(map(_folded, names.values()))
    taken = {_folded(name) for name in TAKEN} | {name for name, count in times.items() if count == 1}
    drawn, inputs = {}, {_absolute(path) for path in paths}
    for path in paths:
        name = names[path]
        if times[_folded(name)] > 1 or _folded(name) in TAKEN:
            name = _free_name(_as_name(path.strip('./')), taken)
            taken.add(_folded(name))
        drawn[path] = posixpath.join(out_dir, f'{name}.png')
        if _absolute(drawn[path]) in inputs:
            raise ValueError(f'{drawn[path]} would be overwritten, which is one of the images; give another --out_dir')
    return drawn


def _as_name(path: str) -> str:
    """A path as the name of one file: valid UTF-8, and short enough for the endings that follow."""
    name = storage.printable(path).replace('/', '_')
    while len(name.encode()) > LONGEST_NAME:
        name = name[1:]
    return name


def _folded(name: str) -> str:
    """A name as the least exact file systems compare it."""
    return unicodedata.normalize('NFC', name).casefold()


def _free_name(name: str, taken: Collection[str]) -> str:
    """The name, with the first number from 2 on behind it that makes it another one than those taken."""
    candidates = itertools.chain([name], (f'{name}-{number}' for number in itertools.count(2)))
    return next(candidate for candidate in candidates if _folded(candidate) not in taken)


def _absolute(path: str) -> str:
    return path if '://' in path else os.path.realpath(path)


def predict_files(
    detector: Detector,
    paths: Sequence[str],
    out_dir: str,
    max_pixels: int = images.MAX_PIXELS,
    damaged: str = images.LEAVE_OUT,
) -> tuple[list[dict], dict[str, str]]:
    """Detects in image files, and writes each with its boxes drawn under its own name (as PNG) into `out_dir`.

    Returns for every image {image, width, height, detections}, detections {label, score, xmin, ymin, xmax, ymax} in
    pixels of the upright photo, whose top left corner is 0, 0; and the reason for each file that could not be read, by
    path. max_pixels, damaged: as in `images.read`.
    """
    problems: dict[str, str] = {}
    results: list[dict] = []
    drawn = drawn_paths(out_dir, paths)
    readable = read_images(paths, problems, max_pixels, damaged)
    while batch := list(itertools.islice(readable, detector.batch_size)):
        detections = detector.detect_batch([image for _, image in batch])
        for (path, image), result in zip(batch, detections, strict=True):
            pixels = draw_detections(image, result.relative_boxes, result.classes, result.scores, detector.classes)
            storage.write(drawn[path], images.encode_png(pixels))
            names = {'image': storage.printable(path), 'drawn': posixpath.basename(drawn[path])}
            results.append({**names, **describe(image, result)})
    return results, problems


def describe(image: np.ndarray, result: PhotoDetections) -> dict:
    """An image's entry in detections.json: its width and height in pixels, and its detections."""
    corners = result.boxes.round(2).tolist()
    detections = [
        {'label': label, 'score': round(float(score), 5), **dict(zip(SIDES, box, strict=True))}
        for label, score, box in zip(result.labels, result.scores, corners, strict=True)
    ]
    return {'width': image.shape[1], 'height': image.shape[0], 'detections': detections}


def draw_sheet(drawn_files: Sequence[str]) -> bytes:
    """The PNG of a contact sheet of image files, each with its name underneath."""
    tiles = [images.decode(storage.read(path)) for path in drawn_files]
    names = [posixpath.basename(path).removesuffix('.png') for path in drawn_files]
    return images.encode_png(contact_sheet(tiles, names))
