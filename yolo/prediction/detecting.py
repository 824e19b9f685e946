"""The network's part of prediction: full batches, in a thread beside those that read and write."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

from yolo import overlap
from yolo.detection.detector import Detector, PhotoDetections, Prepared
from yolo.prediction.stop import Stop

T = TypeVar('T')


def detect(detector: Detector, items: Iterable[tuple[T, Prepared]], stop: Stop) -> Iterator[tuple[T, PhotoDetections]]:
    """Items, each with its prepared photo, and then with what is detected in that, in a thread of its own.

    Up to the signal: of three batches, one that is read, one that waits and one that is in the network, the last one
    is finished.
    """

    def detect_batch(batch: list[tuple[T, Prepared]]) -> list[tuple[T, PhotoDetections]]:
        if stop.received is not None:
            return []
        results = detector.detect_prepared([prepared for _, prepared in batch])
        return [(item, result) for (item, _), result in zip(batch, results, strict=True)]

    batches = overlap.batches(stop.until(items), detector.batch_size)
    with contextlib.closing(overlap.in_order(detect_batch, batches, threads=1, bound=2)) as detected:
        for batch in detected:
            yield from batch
