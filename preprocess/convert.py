"""Lists of images -> shards of records and their description, by a pool of workers.

Two passes: the first reads all annotations, for the classes and the anchors; the second writes the records.
"""

import dataclasses
import posixpath
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
from tqdm import tqdm

from preprocess import anchors as anchor_tools
from preprocess import (
    classes_of_records,
    conventions,
    label_rules,
    planning,
    recorded_settings,
    resume,
    scan,
    shards,
    tfds_metadata,
)
from preprocess.leaks import search as leak_search
from preprocess.leaks.leaks import Leaks
from preprocess.limits import check_workers
from preprocess.pool import WorkerPool, local
from preprocess.report import page
from preprocess.report import summary as report_summary
from preprocess.resume import Summary
from preprocess.settings import Settings
from preprocess.splitting import kept_lists
from yolo import lock
from yolo.data import index, records
from yolo.data.problems import LEFT_OUT_BOX, LEFT_OUT_IMAGE
from yolo.version import VERSION


def convert(
    settings: Settings,
    overwrite: bool = False,
    pool: AbstractContextManager[WorkerPool] | None = None,
) -> tuple[records.Description, dict[str, Summary] | None]:
    """Writes the records of all splits and, last, their description; ValueError if the settings do not fit the data.

    Returns the description and a summary of each split; None for these if all records had been written before.
    Continues where a killed run with the same settings stopped; ValueError, with the differences, for a folder that
    holds records made with other settings. overwrite: replaces these, after the settings have been checked against
    the data. pool: the workers; the default is `settings.workers` processes. OSError if another command writes there.
    """
    with lock.hold(settings.out_dir, 'preprocess', '--out_dir') as check_lock:
        return _convert(settings, overwrite, pool, check_lock)


def _convert(
    settings: Settings,
    overwrite: bool,
    pool: AbstractContextManager[WorkerPool] | None,
    check_lock: Callable[[], None],
) -> tuple[records.Description, dict[str, Summary] | None]:
    plan = planning.read(settings)
    number = min(settings.workers, max(1, sum(shards.num_shards(settings, ids) for ids in plan.lists.values())))
    if pool is None:
        check_workers(number, settings.first_size, settings.channels)
    with pool or local(number) as workers:
        plan = planning.complete(settings, plan, workers)
        lists, problems = plan.lists, plan.problems
        scans = {split: _scan_split(settings, split, ids, workers) for split, ids in lists.items()}
        classes = classes_of_records.choose(settings, scans)
        first, first_scan = next(iter(scans.items()))
        problems[first] += classes_of_records.note_unknown(settings, first, scans)
        anchors = anchor_tools.make_anchors(settings.anchors, first_scan.sizes, _grid(settings))
        recorded = recorded_settings.record(settings, lists, classes, anchors, scans)
        if overwrite:
            resume.clear(settings.out_dir, list(lists))
        if resume.begin(settings.out_dir, recorded, recorded_settings.defaults(settings, recorded), plan.keep):
            resume.end(settings.out_dir)
            return records.read_description(settings.out_dir), None
        kept_lists.write_texts(settings.out_dir, plan.made)
        written, summaries = {}, {}
        for split, ids in lists.items():
            summaries[split] = Summary(problems=problems[split])
            parts = _parts(settings, split, ids, workers)
            size = settings.first_size if split == first else settings.image_size
            jobs = [
                shards.Shard(shards.part_of(settings, part), classes, anchors, split, i, len(parts), part, path, size)
                for i, part, path in parts
            ]
            written.update(_write_split(jobs, summaries[split], workers))
            check_lock()
    leaks = leak_search.search(settings, lists, summaries)
    description = _describe(settings, classes, anchors, first_scan.sizes, lists, summaries)
    _write_metadata(settings, description, records.Manifest(recorded, written), summaries, leaks, first_scan)
    return description, summaries


def _parts(
    settings: Settings, split: str, ids: Sequence[str], workers: WorkerPool
) -> list[tuple[int, tuple[str, ...], str]]:
    """The index, image ids and cache path of each shard of a split."""
    parts = shards.split_ids(settings, ids)
    return [(i, part, shards.cache_path(workers.scratch, split, i)) for i, part in enumerate(parts)]


def _scan_split(settings: Settings, split: str, ids: Sequence[str], workers: WorkerPool) -> scan.Scan:
    """The first pass over a split."""
    classes = frozenset(settings.labels) if settings.labels else None
    jobs = [
        scan.ScanJob(
            settings.source.part(part),
            part,
            classes,
            settings.image_size,
            settings.resize,
            path,
            settings.max_pixels,
            settings.damaged,
            settings.label_rules,
        )
        for _, part, path in _parts(settings, split, ids, workers)
    ]
    return scan.join(workers.run(scan.scan, jobs))


def _grid(settings: Settings) -> tuple[int, int]:
    return settings.image_size[0] // 32, settings.image_size[1] // 32


def _write_split(jobs: Sequence[shards.Shard], summary: Summary, workers: WorkerPool) -> dict[str, records.ShardFile]:
    """The second pass over a split: its files by name; adds counts and problems to `summary`."""
    written = {}
    num_images, desc = sum(len(shard.ids) for shard in jobs), jobs[0].split if jobs else ''
    with tqdm(total=num_images, desc=desc, unit=' images', disable=None) as bar:
        for shard, (file, part) in zip(jobs, workers.run(shards.write_shard, jobs), strict=True):
            written[posixpath.basename(shard.path)] = file
            summary.add(part)
            bar.update(len(shard.ids))
    summary.problems = label_rules.say_dropped(desc, summary.dropped) + conventions.say_once(summary.problems)
    return written


def _write_metadata(
    settings: Settings,
    description: records.Description,
    manifest: records.Manifest,
    summaries: dict[str, Summary],
    leaks: Leaks,
    first_scan: scan.Scan,
) -> None:
    """Writes all other files; the description last, since a folder with it is a finished one."""
    index.write_indices(settings.out_dir, {split: summary.lengths for split, summary in summaries.items()})
    records.write_manifest(settings.out_dir, manifest)
    tfds_metadata.write(settings.out_dir, description, manifest)
    report_summary.write_report(settings.out_dir, description, summaries, leaks)
    sizes = first_scan.sizes, first_scan.size_counts
    page.write_page(settings.out_dir, description, summaries, *sizes, settings.source, leaks)
    records.write_description(settings.out_dir, description)
    resume.end(settings.out_dir)


def _describe(
    settings: Settings,
    classes: Sequence[str],
    anchors: np.ndarray,
    sizes: np.ndarray,  # (N, 2) of the first split
    lists: planning.Lists,
    summaries: Mapping[str, Summary],
) -> records.Description:
    splits = {
        split: _describe_split(classes, shards.num_shards(settings, ids), summaries[split])
        for split, ids in lists.items()
    }
    if settings.first_size != settings.image_size:
        first = next(iter(splits))
        splits[first] = dataclasses.replace(splits[first], stored_size=settings.first_size)
    return records.Description(
        tuple(classes),
        settings.image_size,
        tuple((float(w), float(h)) for w, h in anchors),
        settings.anchors,
        anchor_tools.mean_iou(sizes, anchors / _grid(settings)[::-1]),  # both relative to the image
        settings.jpeg_quality,
        splits,
        VERSION,
        settings.resize,
        settings.image_format,
        settings.channels,
        settings.grey_range,
    )


def _describe_split(classes: Sequence[str], num_shards: int, summary: Summary) -> records.Split:
    return records.Split(
        num_images=summary.num_images,
        num_shards=num_shards,
        num_objects=summary.num_objects,
        num_difficult=summary.num_difficult,
        objects_per_class={name: summary.objects[name] for name in classes},
        max_boxes=summary.max_boxes,
        images_left_out=summary.count(LEFT_OUT_IMAGE),
        boxes_left_out=summary.count(LEFT_OUT_BOX),
        num_truncated=summary.num_truncated,
        num_regions=summary.num_regions,
        max_regions=summary.max_regions,
    )
