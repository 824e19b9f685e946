"""The network's part of prediction: full batches, in a thread beside those that read and write."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

from yolo.detection.detector import Detector, PhotoDetections
from yolo.prediction import overlap
from yolo.prediction.stop import Stop

T = TypeVar('T')


def detect(
    detector: Detector, items: Iterable[tuple[T, np.ndarray]], stop: Stop
) -> Iterator[tuple[T, np.ndarray, PhotoDetections]]:
    """Items and their pixels (H, W, 3) uint8 RGB, with what is detected in them, in a thread of its own.

    Up to the signal: of three batches, one that is read, one that waits and one that is in the network, the last one
    is finished.
    """

    def detect_batch(batch: list[tuple[T, np.ndarray]]) -> list[tuple[T, np.ndarray, PhotoDetections]]:
        if stop.received is not None:
            return []
        results = detector.detect_batch([pixels for _, pixels in batch])
        return [(*item, result) for item, result in zip(batch, results, strict=True)]

    batches = overlap.batches(stop.until(items), detector.batch_size)
    with contextlib.closing(overlap.in_order(detect_batch, batches, threads=1, bound=2)) as detected:
        for batch in detected:
            yield from batch
