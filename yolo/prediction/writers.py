"""What is written of detections: JSON, piece by piece, so that no number of photos or frames needs more memory."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from yolo import storage
from yolo.detection.detector import PhotoDetections

FORMATS = JSON, DRAWN, COCO, YOLO, YOLO_SCORES, XML = ('json', 'drawn', 'coco', 'yolo', 'yolo_scores', 'xml')
USUAL = (JSON, DRAWN)
OF_PHOTOS = (COCO, YOLO, YOLO_SCORES, XML)  # that videos do not have
SIDES = ('xmin', 'ymin', 'xmax', 'ymax')


def describe(size: tuple[int, int], result: PhotoDetections) -> dict:
    """What was detected in an image of `size` = height, width in pixels, as data: its size, and its detections."""
    corners = result.boxes.round(2).tolist()
    detections = [
        {'label': label, 'score': round(float(score), 5), **dict(zip(SIDES, box, strict=True))}
        for label, score, box in zip(result.labels, result.scores, corners, strict=True)
    ]
    return {'width': size[1], 'height': size[0], 'detections': detections}


@contextlib.contextmanager
def json_list(path: str) -> Iterator[Callable[[Any], None]]:
    """A JSON file with a list, whose entries are given one by one to the function that this yields.

    It is the same as that of `json.dumps(entries, indent=1)`. The file is there at the end of the list, with all bytes.
    """
    start = '['
    with storage.writer(path) as file:

        def add(entry: Any) -> None:
            nonlocal start
            text = json.dumps(entry, indent=1).replace('\n', '\n ')  # JSON has no line end inside of a text
            file.write(f'{start}\n {text}'.encode())
            start = ','

        yield add
        file.write(b'[]\n' if start == '[' else b'\n]\n')


@contextlib.contextmanager
def json_lines(path: str) -> Iterator[Callable[[Any], None]]:
    """A file with a line of JSON for each entry, which are given one by one to the function that this yields.

    It is made with its first line. A local file has whole lines at any moment, and every line at once, also after an
    error; elsewhere (`gs://...`) the file is there at its end.
    """
    with contextlib.ExitStack() as stack:
        files: list[Any] = []

        def add(entry: Any) -> None:
            if not files and storage.is_local(path):
                files.append(stack.enter_context(open(path, 'wb', buffering=0)))
            elif not files:
                files.append(stack.enter_context(storage.writer(path)))
            _write_line(files[0], path, json.dumps(entry).encode() + b'\n')

        yield add


def _write_line(file: Any, path: str, line: bytes) -> None:
    """Writes the whole line, or none of it: OSError."""
    if not storage.is_local(path):
        file.write(line)
        return
    length = file.tell()
    try:
        written = file.write(line)
        if written != len(line):  # the disk was full in the middle; the next call says so
            file.write(line[written:])
    except OSError as error:
        os.truncate(path, length)
        raise OSError(error.errno, error.strerror, path) from error
