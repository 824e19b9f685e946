"""Checks a folder of records: that every file is whole, every image can be decoded, every target is what it should be.

python -m preprocess verify --data_dir=data/voc416
"""

import dataclasses
import functools
import os
import posixpath
from collections.abc import Iterator

import numpy as np
from absl.flags import FlagValues
from tqdm import tqdm

from preprocess import pool
from preprocess.resume import Summary
from preprocess.settings import MOST_WORKERS
from yolo import storage
from yolo.cli import flags
from yolo.data import damage, index, records, tfrecord
from yolo.geometry.assignment import responsible_places
from yolo.settings import setting

SHOWN = 20  # problems on screen


def verify_shard(
    description: records.Description, recorded: records.ShardFile | None, path: str, size: tuple[int, int]
) -> tuple[Summary, list[str]]:
    """Reads every byte of one file: what it holds, and what is wrong with it.

    size: height, width of its images.
    """
    summary, problems = Summary(), []
    if recorded is None:
        return summary, [f'{path} is not in the {records.MANIFEST}']
    try:
        if records.checksum(path) != (recorded.num_bytes, recorded.crc32c):
            problems.append(f'{path} is not what was written: its length or checksum differs')
        with storage.reader(path) as file:
            for serialized in tfrecord.unframe(file, path):
                summary.lengths.append(len(serialized))
                record = records.deserialize(serialized)
                names = [description.classes[k] for k in record.labels if 0 <= k < len(description.classes)]
                summary.take_image(names, record.difficult, len(record.regions))
                problems += [
                    f'{path}, image {record.image_id!r}: {what}' for what in _record_problems(description, record, size)
                ]
    except (OSError, ValueError) as error:
        return summary, [*problems, str(error)]
    if summary.num_images != recorded.num_images:
        problems.append(f'{path} has {summary.num_images} records, the {records.MANIFEST} says {recorded.num_images}')
    return summary, problems


def _record_problems(description: records.Description, record: records.Record, size: tuple[int, int]) -> Iterator[str]:
    """What is wrong with a record."""
    yield from damage.unreadable(description, record, size)
    if not damage.has_equal_lengths(record):
        return
    if not np.isin(record.labels, range(len(description.classes))).all():
        yield f'a label is not one of the {len(description.classes)} classes'
        return
    if not np.isin(record.region_labels, range(records.ANY_CLASS, len(description.classes))).all():
        yield f'the class of an ignore region is none of the {len(description.classes)}'
    for boxes, what in ((record.boxes, 'a box'), (record.regions, 'an ignore region')):
        low, high = boxes[:, :2], boxes[:, 2:]
        if not ((low >= 0) & (high <= 1) & (low < high)).all():
            yield f'{what} is not within the image, or without area'
    anchors = np.array(description.anchors, np.float32)
    places = responsible_places(record.boxes, record.labels, anchors, description.grid)
    if not np.array_equal(places, record.places):
        yield 'a responsible place is not that of its box'


def _index_problems(data_dir: str, split: str, lengths: list[int]) -> Iterator[str]:
    """What is wrong with the index of a split; lengths: of its records. Nothing if it has none, as in version 0.1."""
    path = index.index_path(data_dir, split)
    if not storage.exists(path):
        return
    try:
        if index.read_lengths(data_dir, split).tolist() != lengths:
            yield f'{path} is not the index of the records of {split!r}'
    except ValueError as error:
        yield str(error)


def verify(data_dir: str, num_workers: int) -> tuple[records.Description, list[str]]:
    """The description of a folder of records, and everything that is wrong there, file by file.

    ValueError if it is not a (whole) folder of records.
    """
    description = records.read_description(data_dir)
    manifest = records.read_manifest(data_dir)
    if manifest is None:
        raise ValueError(f'{data_dir!r} has no {records.MANIFEST}; run `python -m preprocess --overwrite`')
    problems = []
    with pool.local(num_workers) as workers:
        for name, split in description.splits.items():
            paths = [records.shard_path(data_dir, name, i, split.num_shards) for i in range(split.num_shards)]
            recorded = [manifest.shards.get(posixpath.basename(path)) for path in paths]
            check = functools.partial(verify_shard, description, size=description.stored_size(name))
            total = Summary()
            results = workers.run(check, recorded, paths)
            for part, part_problems in tqdm(results, total=len(paths), desc=name, unit=' files', disable=None):
                total.add(part)
                problems += part_problems
            problems += _index_problems(data_dir, name, total.lengths)
            for field in ('num_images', 'num_objects', 'num_difficult', 'max_boxes', 'num_regions', 'max_regions'):
                if getattr(total, field) != getattr(split, field):
                    problems.append(
                        f'split {name!r} has {field} {getattr(total, field)}, the {records.DESCRIPTION} '
                        f'says {getattr(split, field)}'
                    )
            if {label: total.objects[label] for label in description.classes} != split.objects_per_class:
                problems.append(f'split {name!r} has other numbers of objects per class than its description')
    return description, problems


@dataclasses.dataclass(frozen=True)
class VerifySettings:
    """What to check."""

    data_dir: str = setting(None, 'Folder of records.', required=True)
    workers: int = setting(os.cpu_count() or 1, 'Processes.', low=1, high=MOST_WORKERS)


def run(values: FlagValues) -> int:
    """Flags to library; returns the exit status."""
    asked = flags.read(values, VerifySettings)
    description, problems = verify(asked.data_dir, asked.workers)
    for problem in problems[:SHOWN]:
        print(problem)
    if problems:
        print(f'{len(problems)} problems in {asked.data_dir}; `python -m preprocess --overwrite` writes it again')
        return 1
    counts = ', '.join(f'{split.num_images} images in {name}' for name, split in description.splits.items())
    print(f'{asked.data_dir} is whole: {counts}')
    return 0


COMMAND = flags.Command('preprocess verify', __doc__ or '', (VerifySettings,), run, tensorflow=False)
