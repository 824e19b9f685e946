"""Detection in image files: boxes drawn on each, and what was detected as data."""

import itertools
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from absl import logging

from yolo import storage
from yolo.data import images
from yolo.data.draw import contact_sheet, draw_detections
from yolo.detection.detector import Detector, PhotoDetections

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
SIDES = ('xmin', 'ymin', 'xmax', 'ymax')


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


def read_images(paths: Sequence[str], problems: dict[str, str]) -> Iterator[tuple[str, np.ndarray]]:
    """Path and image (H, W, 3) uint8 RGB of every file that can be read; the others' reasons go to `problems`."""
    for path in paths:
        try:
            yield path, images.decode(storage.read(path))
        except (ValueError, OSError) as error:
            problems[path] = str(error)
            logging.error('%s left out: %s', path, error)


def drawn_paths(out_dir: str, paths: Sequence[str]) -> dict[str, str]:
    """Where each image goes when it is drawn: under its name, or its whole path where two have the same name."""
    times = Counter(posixpath.basename(path) for path in paths)
    names = {
        path: posixpath.basename(path) if times[posixpath.basename(path)] == 1 else path.strip('./').replace('/', '_')
        for path in paths
    }
    return {path: posixpath.join(out_dir, f'{name}.png') for path, name in names.items()}


def predict_files(detector: Detector, paths: Sequence[str], out_dir: str) -> tuple[list[dict], dict[str, str]]:
    """Detects in image files, and writes each with its boxes drawn under its own name (as PNG) into `out_dir`.

    Returns for every image {image, width, height, detections}, detections {label, score, xmin, ymin, xmax, ymax} in
    pixels of the file, whose top left corner is 0, 0; and the reason for each file that could not be read, by path.
    """
    problems: dict[str, str] = {}
    results: list[dict] = []
    drawn = drawn_paths(out_dir, paths)
    readable = read_images(paths, problems)
    while batch := list(itertools.islice(readable, detector.batch_size)):
        detections = detector.detect_batch([image for _, image in batch])
        for (path, image), result in zip(batch, detections, strict=True):
            pixels = draw_detections(image, result.relative_boxes, result.classes, result.scores, detector.classes)
            storage.write(drawn[path], images.encode_png(pixels))
            results.append({'image': path, **describe(image, result)})
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
