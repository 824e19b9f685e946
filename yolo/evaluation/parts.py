"""What is known of some images of a split after inference, as arrays that are joined, and sent to other processes."""

import io
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from yolo.evaluation.ignore_regions import IgnoreRegions
from yolo.evaluation.voc_matching import Detections, GroundTruth

# By name: a value for each image, object, detection or batch, and so in the first dimension.
Part = dict[str, np.ndarray]
TRUTH, DETECTIONS, REGIONS = 'truth_', 'detections_', 'regions_'


class Workers(Protocol):
    """The processes that evaluate together: the number of this one, how many there are, and bytes of all to all."""

    index: int
    count: int

    def gather(self, data: bytes) -> list[bytes]:
        """The bytes that each process gives, in the order of the processes; each of them has to call this."""


def make(
    image_ids: Sequence[str], truth: GroundTruth, detections: Detections, regions: IgnoreRegions, **values: np.ndarray
) -> Part:
    """The part of some images."""
    named = {f'{TRUTH}{name}': array for name, array in vars(truth).items()}
    named |= {f'{DETECTIONS}{name}': array for name, array in vars(detections).items()}
    named |= {f'{REGIONS}{name}': array for name, array in vars(regions).items()}
    return {'image_ids': np.array(image_ids, str), **named, **values}


def join(parts: Sequence[Part]) -> Part:
    """One part of several; none at all of none."""
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def of_all(part: Part, workers: Workers | None) -> Part:
    """The part of all images, in every process, of those that the processes have."""
    if workers is None or workers.count == 1:
        return part
    every = [_unpack(data) for data in workers.gather(_pack(part))]
    return join([part for part in every if part])  # with few images, processes may have none


def known(part: Part) -> tuple[tuple[str, ...], GroundTruth, Detections, IgnoreRegions]:
    """Image ids, objects, detections and ignore regions of a part."""
    return (
        tuple(part['image_ids'].tolist()),
        GroundTruth(**_starting_with(TRUTH, part)),
        Detections(**_starting_with(DETECTIONS, part)),
        IgnoreRegions(**_starting_with(REGIONS, part)),
    )


def _starting_with(prefix: str, part: Part) -> Part:
    return {name.removeprefix(prefix): array for name, array in part.items() if name.startswith(prefix)}


def _pack(part: Part) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **part)  # type: ignore[arg-type]
    return buffer.getvalue()


def _unpack(data: bytes) -> Part:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)
