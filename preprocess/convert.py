"""Lists of images -> shards of records and their description, by several processes."""

import collections
import dataclasses
import json
import math
import posixpath
from collections.abc import Sequence
from contextlib import AbstractContextManager

import google_crc32c
import numpy as np
from tqdm import tqdm

import yolo
from preprocess import anchors as anchor_tools
from preprocess import example, pool, resume, scan, tfds_metadata
from preprocess.example import LEFT_OUT_BOX, LEFT_OUT_IMAGE, Problem
from preprocess.report import page
from preprocess.report import summary as report_summary
from preprocess.resume import Summary
from preprocess.scan import Scanned
from preprocess.settings import IMAGES_PER_SHARD, Settings
from yolo import storage
from yolo.data import images, records, tfrecord, voc_folder
from yolo.data.voc_folder import NOTED, REPAIRED
from yolo.geometry.assignment import responsible_places
from yolo.geometry.letterbox import to_canvas


@dataclasses.dataclass(frozen=True)
class _Shard:
    """One file to write."""

    settings: Settings
    classes: tuple[str, ...]
    anchors: np.ndarray
    split: str
    index: int
    num_shards: int
    ids: tuple[str, ...]
    scanned: str  # the file that the scan kept their annotations in

    @property
    def path(self) -> str:
        """Where it goes."""
        return records.shard_path(self.settings.out_dir, self.split, self.index, self.num_shards)


def build(
    settings: Settings,
    overwrite: bool = False,
    crew: AbstractContextManager[pool.Crew] | None = None,
) -> tuple[records.Description, dict[str, Summary] | None]:
    """Writes the records of all splits and, last, their description; ValueError if the settings do not fit the data.

    Returns the description and, by split, what became of the images; None if all had been written before. Goes on where
    a killed run with the same settings stopped; ValueError, with the differences, for a folder that holds records made
    with others. overwrite: replaces these, but not before the settings have proven to fit. crew: who does the work; the
    default is `settings.workers` processes.
    """
    ids, repeated = {}, {}
    for split, path in settings.splits.items():
        listed = voc_folder.read_split(path)
        ids[split] = list(dict.fromkeys(listed))
        empty = [] if listed else [Problem(split, '', NOTED, f'the list {path} is empty')]
        repeated[split] = empty + [
            Problem(split, image_id, NOTED, 'listed more than once; written once')
            for image_id in _repeated(listed, ids[split])
        ]
    num_files = sum(_num_shards(settings, names) for names in ids.values())
    with crew or pool.local(min(settings.workers, max(num_files, 1))) as hands:
        scans = {split: _scan(settings, split, names, hands) for split, names in ids.items()}
        classes = settings.labels or tuple(sorted({name for found in scans.values() for name in found.counts}))
        if not classes:
            raise ValueError(_nothing_found(scans))
        sizes = scans[next(iter(ids))].sizes
        anchors = anchor_tools.make_anchors(settings.anchors, sizes, _grid(settings))
        told = _told(settings, ids, classes, anchors)
        if overwrite:
            resume.clear(settings.out_dir, list(ids))
        if resume.begin(settings.out_dir, told):
            resume.end(settings.out_dir)
            return records.read_description(settings.out_dir), None
        summaries, written = {}, {}
        for split, names in ids.items():
            summaries[split] = Summary(problems=repeated[split])
            num_shards = _num_shards(settings, names)
            shards = [
                _Shard(settings, classes, anchors, split, i, num_shards, part, _kept_in(hands, split, i))
                for i, part in enumerate(_parts(settings, names))
            ]
            with tqdm(total=len(names), desc=split, unit=' images', disable=None) as bar:
                for shard, (file, summary) in zip(shards, hands.run(write_shard, shards), strict=True):
                    written[posixpath.basename(shard.path)] = file
                    summaries[split].add(summary)
                    bar.update(len(shard.ids))
    mean_iou = anchor_tools.mean_iou(sizes, anchors / _grid(settings)[::-1])  # whatever the unit
    parts = {split: (_num_shards(settings, names), summaries[split]) for split, names in ids.items()}
    description = _describe(settings, classes, anchors, mean_iou, parts)
    manifest = records.Manifest(told, written)
    records.write_manifest(settings.out_dir, manifest)
    tfds_metadata.write(settings.out_dir, description, manifest)
    report_summary.write_report(settings.out_dir, description, summaries)
    page.write_page(settings.out_dir, description, summaries, sizes, settings.source)
    records.write_description(settings.out_dir, description)
    resume.end(settings.out_dir)
    return description, summaries


def _nothing_found(scans: dict[str, scan.Scan]) -> str:
    num = sum(found.num_unread for found in scans.values())
    reasons = '; '.join(reason for found in scans.values() for reason in found.reasons)
    return 'no objects were found in any annotation; check the folders and lists, or give --labels' + (
        f' ({num} annotations could not be read: {reasons}{"; ..." if num > 1 else ""})' if num else ''
    )


def _repeated(listed: Sequence[str], different: Sequence[str]) -> list[str]:
    if len(listed) == len(different):
        return []
    return [image_id for image_id, times in collections.Counter(listed).items() if times > 1]


def _told(settings: Settings, ids: dict[str, list[str]], classes: tuple[str, ...], anchors: np.ndarray) -> dict:
    """What the records depend on, for the manifest: as JSON gives it back."""
    lists = {
        split: f'{len(names)} images, {google_crc32c.value(chr(10).join(names).encode()):08x}'
        for split, names in ids.items()
    }
    told = {
        'annotations_dir': settings.source.annotations_dir,
        'images_dir': settings.source.images_dir,
        'splits': lists,
        'classes': classes,
        'image_size': settings.image_size,
        'resize': settings.resize,
        'anchors': anchors.tolist(),
        'anchors_from': settings.anchors,
        'image_format': settings.image_format,
        'jpeg_quality': settings.jpeg_quality,
        'strict': settings.strict,
        'num_shards': {split: _num_shards(settings, names) for split, names in ids.items()},
        'tool_version': yolo.__version__,
    }
    return json.loads(json.dumps(told))


def _grid(settings: Settings) -> tuple[int, int]:
    return settings.image_size[0] // 32, settings.image_size[1] // 32


def _scan(settings: Settings, split: str, ids: Sequence[str], crew: pool.Crew) -> scan.Scan:
    classes = frozenset(settings.labels) if settings.labels else None
    jobs = [
        scan.ScanJob(settings.source, part, classes, settings.image_size, settings.resize, _kept_in(crew, split, i))
        for i, part in enumerate(_parts(settings, ids))
    ]
    return scan.join(crew.run(scan.scan, jobs))


def _kept_in(crew: pool.Crew, split: str, shard: int) -> str:
    return posixpath.join(crew.scratch, f'{split}-{shard}')


def _num_shards(settings: Settings, ids: Sequence[str]) -> int:
    return min(settings.num_shards or math.ceil(len(ids) / IMAGES_PER_SHARD), len(ids))


def _parts(settings: Settings, ids: Sequence[str]) -> list[tuple[str, ...]]:
    """The ids of each shard of a split."""
    num = _num_shards(settings, ids)
    bounds = np.linspace(0, len(ids), num + 1).astype(int)
    return [tuple(ids[bounds[i] : bounds[i + 1]]) for i in range(num)]


def write_shard(shard: _Shard) -> tuple[records.ShardFile, Summary]:
    """Writes one file of records, if an earlier run did not, and tells what became of its images."""
    done = resume.finished(shard.path)
    if done:
        return done
    summary, length, crc = Summary(), 0, 0
    ids = iter(shard.ids)
    with storage.writer(shard.path) as file:
        for chunk in scan.kept_chunks(shard.scanned):
            for record in _make_records(shard, [(next(ids), scanned) for scanned in chunk], summary):
                data = tfrecord.frame(records.serialize(record))
                file.write(data)
                length, crc = length + len(data), google_crc32c.extend(crc, data)
    written = records.ShardFile(summary.num_images, length, crc)
    resume.note(shard.path, written, summary)
    return written, summary


def _make_records(shard: _Shard, chunk: Sequence[tuple[str, Scanned | str]], summary: Summary) -> list[records.Record]:
    """The records of some images, in order; what goes wrong is told in `summary`."""
    made = []
    for image_id, scanned in chunk:
        try:
            made.append(_make_record(shard, image_id, scanned, summary))
        except ValueError as error:
            summary.problems.append(Problem(shard.split, image_id, LEFT_OUT_IMAGE, str(error)))
    counts = [len(record.labels) for record in made]
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(record.boxes for record in made)])
    labels = np.concatenate([np.zeros(0, np.int64), *(record.labels for record in made)])
    places = responsible_places(boxes, labels, shard.anchors.astype(np.float32), _grid(shard.settings))
    ends = np.cumsum(counts).tolist()
    return [
        dataclasses.replace(record, places=places[end - count : end])
        for record, count, end in zip(made, counts, ends, strict=True)
    ]


def _make_record(shard: _Shard, image_id: str, scanned: Scanned | str, summary: Summary) -> records.Record:
    """The record of one image, its places still missing; ValueError with the reason if it must be left out."""
    if isinstance(scanned, str):
        raise ValueError(scanned)
    settings, objects = shard.settings, scanned.objects
    image, problems = voc_folder.read_image(settings.source, image_id, scanned.filename, scanned.size)
    size = image.shape[:2]
    if scanned.size != size:
        annotation = voc_folder.read_annotation(settings.source, image_id)
        objects = example.usable_objects(annotation, size, frozenset(shard.classes))
    problems += objects.problems
    if settings.strict and any(kind == REPAIRED for kind, _ in problems):
        raise ValueError('--strict: ' + '; '.join(reason for kind, reason in problems if kind == REPAIRED))
    resized = images.resize(image, settings.image_size, settings.resize)
    encoded = images.encode_stored(resized, settings.image_format, settings.jpeg_quality)
    boxes = to_canvas(objects.boxes, size, settings.image_size, settings.resize)
    summary.take_image(objects.names, objects.difficult)
    summary.num_truncated += int(objects.truncated.sum())
    summary.problems += [Problem(shard.split, image_id, kind, reason) for kind, reason in problems]
    labels = np.array([shard.classes.index(name) for name in objects.names], np.int64)
    return records.Record(image_id, encoded, size, boxes, labels, objects.difficult, np.zeros((0, 3)))


def _describe(
    settings: Settings, classes, anchors: np.ndarray, mean_iou: float, parts: dict[str, tuple[int, Summary]]
) -> records.Description:
    splits = {
        split: records.Split(
            num_images=summary.num_images,
            num_shards=num_shards,
            num_objects=summary.num_objects,
            num_difficult=summary.num_difficult,
            objects_per_class={name: summary.objects[name] for name in classes},
            max_boxes=summary.max_boxes,
            images_left_out=summary.count(LEFT_OUT_IMAGE),
            boxes_left_out=summary.count(LEFT_OUT_BOX),
            num_truncated=summary.num_truncated,
        )
        for split, (num_shards, summary) in parts.items()
    }
    return records.Description(
        tuple(classes),
        settings.image_size,
        tuple((float(w), float(h)) for w, h in anchors),
        settings.anchors,
        mean_iou,
        settings.jpeg_quality,
        splits,
        yolo.__version__,
        settings.resize,
        settings.image_format,
    )
