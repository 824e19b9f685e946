"""Ignore regions added to records that have none."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
from conftest import write_manifest

from yolo.data import records, tfrecord

Make = Callable[[records.Record], tuple[np.ndarray, np.ndarray]]  # record -> regions (R, 4), classes (R,)


def add_regions(folder: str, split: str, make: Make) -> str:
    """Writes the records of a split again with regions, and the folder's description and manifest; the folder."""
    description = records.read_description(folder)
    numbers = []
    for path in records.shard_paths(folder, split, description):
        with open(path, 'rb') as file:
            found = [records.deserialize(data) for data in tfrecord.unframe(file, path)]
        made = [make(record) for record in found]
        numbers += [len(labels) for _, labels in made]
        changed = [
            dataclasses.replace(record, regions=regions, region_labels=labels)
            for record, (regions, labels) in zip(found, made, strict=True)
        ]
        pathlib.Path(path).write_bytes(b''.join(tfrecord.frame(records.serialize(record)) for record in changed))
    counted = dataclasses.replace(description.split(split), num_regions=sum(numbers), max_regions=max(numbers))
    described = dataclasses.replace(description, splits=description.splits | {split: counted})
    records.write_description(folder, described)
    write_manifest(folder)
    return folder


def random_regions(record: records.Record) -> tuple[np.ndarray, np.ndarray]:
    """No to three regions, which depend on the id of the image."""
    rng = np.random.default_rng(sum(record.image_id.encode()))
    low = rng.uniform(0, 0.7, (int(rng.integers(0, 4)), 2))
    boxes = np.concatenate([low, low + rng.uniform(0.05, 0.3, low.shape)], 1).astype(np.float32)
    return boxes, rng.integers(-1, 2, len(boxes))
