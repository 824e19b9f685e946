"""One shard: the records of its images in one TFRecord file, by one worker."""

import dataclasses
import math
import posixpath
from collections.abc import Sequence

import google_crc32c
import numpy as np

from preprocess import example, resume, scan, statistics
from preprocess.leaks import fingerprint
from preprocess.resume import Summary
from preprocess.scan import Scanned
from preprocess.settings import IMAGES_PER_SHARD, OFF, Settings
from yolo import storage
from yolo.data import grey, images, records, tfrecord, voc_folder
from yolo.data.problems import LEFT_OUT_IMAGE, REPAIRED, Problem
from yolo.geometry.assignment import responsible_places
from yolo.geometry.letterbox import to_canvas


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file to write. cache_path: the file in which the first pass cached its annotations."""

    settings: Settings
    classes: tuple[str, ...]
    anchors: np.ndarray  # (A, 2) w, h in grid cells
    split: str
    index: int
    num_shards: int
    ids: tuple[str, ...]
    cache_path: str
    size: tuple[int, int]  # height, width of the stored images

    @property
    def path(self) -> str:
        """The path of the TFRecord file."""
        return records.shard_path(self.settings.out_dir, self.split, self.index, self.num_shards)


def num_shards(settings: Settings, ids: Sequence[str]) -> int:
    """How many files a split of these images has: no more than images."""
    return min(settings.num_shards or math.ceil(len(ids) / IMAGES_PER_SHARD), len(ids))


def split_ids(settings: Settings, ids: Sequence[str]) -> list[tuple[str, ...]]:
    """The image ids of each shard of a split, in order."""
    num = num_shards(settings, ids)
    bounds = np.linspace(0, len(ids), num + 1).astype(int)
    return [tuple(ids[bounds[i] : bounds[i + 1]]) for i in range(num)]


def part_of(settings: Settings, ids: Sequence[str]) -> Settings:
    """The settings as a shard of these images needs them: their size does not grow with the dataset."""
    return dataclasses.replace(settings, source=settings.source.part(ids), splits={}, notes=())


def cache_path(scratch: str, split: str, index: int) -> str:
    """Where the annotations of a shard are cached between the two passes."""
    return posixpath.join(scratch, f'{split}-{index}')


def write_shard(shard: Shard) -> tuple[records.ShardFile, Summary]:
    """Writes one file of records, unless an earlier run finished it; returns its manifest entry and a summary."""
    finished = resume.finished(shard.path)
    if finished:
        return finished
    summary, length, crc = Summary(), 0, 0
    ids = iter(shard.ids)
    with storage.writer(shard.path) as file:
        for chunk in scan.read_cache(shard.cache_path):
            for record in _make_records(shard, [(next(ids), scanned) for scanned in chunk], summary):
                data = tfrecord.frame(records.serialize(record))
                file.write(data)
                summary.lengths.append(len(data) - tfrecord.FRAME_BYTES)
                length, crc = length + len(data), google_crc32c.extend(crc, data)
    written = records.ShardFile(summary.num_images, length, crc)
    resume.note(shard.path, written, summary)
    return written, summary


def _make_records(shard: Shard, chunk: Sequence[tuple[str, Scanned | str]], summary: Summary) -> list[records.Record]:
    """The records of some images, in order; adds counts and problems to `summary`."""
    made = []
    for image_id, scanned in chunk:
        try:
            made.append(_make_record(shard, image_id, scanned, summary))
        except ValueError as error:
            summary.problems.append(Problem(shard.split, image_id, LEFT_OUT_IMAGE, str(error)))
    placed = _add_places(made, shard)
    gathered = statistics.gather(placed, shard.classes, shard.anchors, shard.settings.image_size)
    summary.statistics.add(gathered, summary.num_images - len(placed))
    return placed


def _add_places(made: Sequence[records.Record], shard: Shard) -> list[records.Record]:
    """The records with the responsible cell and anchor of each object, found for all of them at once."""
    height, width = shard.settings.image_size
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(record.boxes for record in made)])  # (N, 4)
    labels = np.concatenate([np.zeros(0, np.int64), *(record.labels for record in made)])  # (N,)
    places = responsible_places(boxes, labels, shard.anchors.astype(np.float32), (height // 32, width // 32))  # (N, 3)
    ends = np.cumsum([len(record.labels) for record in made]).tolist()
    return [
        dataclasses.replace(record, places=places[end - len(record.labels) : end])
        for record, end in zip(made, ends, strict=True)
    ]


def fit(settings: Settings, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image (H, W, 3) uint8 BGR with the channels of the records and `size`, height and width."""
    image = grey.to_channels(image, settings.channels, is_bgr=True)
    return images.resize(image, size, settings.resize)


def _make_record(shard: Shard, image_id: str, scanned: Scanned | str, summary: Summary) -> records.Record:
    """The record of one image, without places yet; ValueError with the reason if it must be left out."""
    if isinstance(scanned, str):  # why its annotation cannot be read
        raise ValueError(scanned)
    settings, objects = shard.settings, scanned.objects
    how = settings.max_pixels, settings.damaged, settings.grey_range
    image, problems = voc_folder.read_image(settings.source, image_id, scanned.filename, scanned.size, *how)
    size = image.shape[:2]
    if scanned.size != size:
        annotation = voc_folder.read_annotation(settings.source, image_id, size)
        objects = example.usable_objects(annotation, size, frozenset(shard.classes), settings.label_rules)
    problems += objects.problems
    repairs = [reason for kind, reason in problems if kind == REPAIRED]
    if settings.strict and repairs:
        raise ValueError('--strict: ' + '; '.join(repairs))
    resized = fit(settings, image, shard.size)
    encoded = images.encode_stored(resized, settings.image_format, settings.jpeg_quality)
    boxes, regions = (to_canvas(each, size, shard.size, settings.resize) for each in (objects.boxes, objects.regions))
    summary.take_image(objects.names, objects.difficult, len(regions))
    if settings.leaks != OFF:
        # Images of all splits are compared at one size.
        seen = resized if shard.size == settings.image_size else fit(settings, image, settings.image_size)
        summary.fingerprints[image_id] = fingerprint.of_stored(seen, size, settings.resize)
    summary.num_truncated += int(objects.truncated.sum())
    summary.dropped.update(objects.dropped)
    summary.crowds.update(name for name in objects.region_names if name)
    summary.problems += [Problem(shard.split, image_id, kind, reason) for kind, reason in problems]
    labels = _numbers(shard.classes, objects.names)
    of_regions = _numbers(('', *shard.classes), objects.region_names) - 1  # -1: of any class
    none = np.zeros((0, 3))
    return records.Record(image_id, encoded, size, boxes, labels, objects.difficult, none, regions, of_regions)


def _numbers(classes: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """The number of each name (N,)."""
    return np.array([classes.index(name) for name in names], np.int64)
