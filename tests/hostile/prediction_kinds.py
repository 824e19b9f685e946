"""Damaged videos, detected in and drawn."""

import json
import pathlib

import cv2
import numpy as np
from case import Case, FaultError, RefusedError, captured
from mutations import choose, damage

from yolo.detection.detector import Backend, Detector
from yolo.prediction import streams, video
from yolo.prediction.stop import Stop

FORMATS = (('a.mp4', 'mp4v'), ('a.avi', 'MJPG'), ('a.avi', 'XVID'), ('a.mkv', 'VP80'))
NUM_FRAMES, SIDES = 12, (96, 64)


def videos(case: Case) -> None:
    """A damaged video: lines, drawn frames and what is said agree, and no library prints anything."""
    name, codec = choose(case.rng, FORMATS)
    path = case.folder / name
    with video.quiet(), captured() as output:
        _write(path, codec)
        path.write_bytes(damage(case.rng, path.read_bytes(), int(case.rng.choice([0, 0, 400]))))
        [counts] = streams.predict_streams(_detector(), [str(path)], str(case.folder), Stop())
        printed = [line for line in output().splitlines() if line.startswith('[')]  # as FFmpeg and OpenCV begin theirs
    if printed:
        raise FaultError(f'a library printed {printed[0][:300]!r}')
    lines = case.folder / streams.LINES
    numbers = [json.loads(line)['frame'] for line in lines.read_text().splitlines()] if lines.exists() else []
    if numbers != list(range(counts.frames)):
        raise FaultError(f'{counts.frames} frames, lines {numbers}')
    drawn = int(cv2.VideoCapture(counts.drawn, cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT)) if numbers else 0
    if drawn != counts.frames:
        raise FaultError(f'{counts.frames} frames, {drawn} of them drawn')
    if counts.problem:
        raise RefusedError(counts.problem)


def _write(path: pathlib.Path, codec: str) -> None:
    file = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 12.5, SIDES)
    for i in range(NUM_FRAMES):
        frame = np.full((SIDES[1], SIDES[0], 3), 40 + 10 * i, np.uint8)
        frame[20:40, 5 * i : 5 * i + 20] = (0, 200, 255)
        file.write(frame)
    file.release()


def _detector() -> Detector:
    """It finds nothing."""

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        shape = len(images), 1
        zeros = np.zeros(shape, np.float32)
        return {'boxes': np.zeros((*shape, 4), np.float32), 'scores': zeros, 'classes': zeros.astype(np.int32)} | {
            'count': np.zeros(len(images), np.int32)
        }

    return Detector(Backend(run, 'none'), ('a',), [(1, 1)], (64, 64), batch_size=4)
