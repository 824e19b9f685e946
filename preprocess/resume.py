"""How a killed run continues: with the settings in the manifest, and without the shards that are finished.

While a run is under way the folder has `manifest.json` without shards, finished shards, and for each of these a note in
`progress/`. A shard without its note, or that is not as the note says, is written again. At the end come the manifest
with all shards, then `dataset.json`, and the notes go.
"""

import collections
import contextlib
import dataclasses
import json
import posixpath
import re
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from preprocess import tfds_metadata
from preprocess.leaks import fingerprint
from preprocess.statistics import Statistics
from yolo import descriptions, storage
from yolo.data import index, records, tfrecord
from yolo.data.problems import Problem
from yolo.settings import recorded

FOLDER = 'progress'
ANNOTATIONS = 'annotations'  # the name of their checksum among the settings
OTHERS = (records.MANIFEST, 'report.json', 'report.html', *tfds_metadata.NAMES)


@dataclasses.dataclass
class Summary:
    """What became of the images of a split or a part of it."""

    num_images: int = recorded(0, low=0)
    num_difficult: int = recorded(0, low=0)
    num_truncated: int = recorded(0, low=0)
    max_boxes: int = recorded(0, low=0)
    num_regions: int = recorded(0, low=0)
    max_regions: int = recorded(0, low=0)
    objects: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)  # by name
    objects_per_image: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    problems: list[Problem] = dataclasses.field(default_factory=list)
    fingerprints: dict[str, str] = dataclasses.field(default_factory=dict)  # by image id, of those that were written
    leak_warnings: list[str] = dataclasses.field(default_factory=list)
    lengths: list[int] = dataclasses.field(default_factory=list)  # bytes of each record that was written
    dropped: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )  # by --label_map, by name
    crowds: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)  # regions of one class
    statistics: Statistics = dataclasses.field(default_factory=Statistics)

    @property
    def num_objects(self) -> int:
        """Objects of all names."""
        return self.objects.total()

    def take_image(self, names: Sequence[str], difficult: np.ndarray, num_regions: int = 0) -> None:
        """Counts an image with objects of these names, difficult (N,) bool, and so many ignore regions."""
        self.num_images += 1
        self.num_difficult += int(difficult.sum())
        self.max_boxes = max(self.max_boxes, len(names))
        self.num_regions += num_regions
        self.max_regions = max(self.max_regions, num_regions)
        self.objects.update(names)
        self.objects_per_image[len(names)] += 1

    def add(self, other: 'Summary') -> None:
        """Takes another part in."""
        self.statistics.add(other.statistics, self.num_images)
        self.num_images += other.num_images
        self.num_difficult += other.num_difficult
        self.num_truncated += other.num_truncated
        self.max_boxes = max(self.max_boxes, other.max_boxes)
        self.num_regions += other.num_regions
        self.max_regions = max(self.max_regions, other.max_regions)
        self.objects.update(other.objects)
        self.objects_per_image.update(other.objects_per_image)
        self.problems += other.problems
        self.lengths += other.lengths
        self.dropped.update(other.dropped)
        self.crowds.update(other.crowds)
        self.fingerprints |= other.fingerprints
        self.leak_warnings += other.leak_warnings

    def count(self, kind: str) -> int:
        """Problems of a kind."""
        return sum(problem.kind == kind for problem in self.problems)


@dataclasses.dataclass(frozen=True)
class Note:
    """That a shard is finished."""

    shard: records.ShardFile
    summary: Summary


def differences(before: Mapping, now: Mapping) -> str:
    """The differences of two manifests' settings as text; empty if there are none.

    The checksum of the annotations is of what these settings take from them: it is named where it alone differs.
    """
    names = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    names = [name for name in names if name != ANNOTATIONS] or names
    return '; '.join(f'{name}: {_short(before.get(name))} there, {_short(now.get(name))} now' for name in names)


def _short(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f'{text[:97]}...'


def begin(
    out_dir: str, settings: Mapping, defaults: Mapping, prepare: Callable[[str], object] = lambda _: None
) -> bool:
    """Prepares a folder for records with these settings; returns whether it holds all of them already.

    defaults: what settings were before they could be set, for records that were made then; prepare: is called with
    the folder before the manifest is written, for what that depends on. ValueError, with the differences, if it holds
    records, whole or not, that were made with other settings.
    """
    there = records.read_manifest(out_dir)
    described = storage.exists(posixpath.join(out_dir, records.DESCRIPTION))
    if there is None and described:
        raise ValueError(f'{out_dir!r} holds records without a {records.MANIFEST}; --overwrite replaces them')
    if there is None:
        storage.make_folder(out_dir)
        end(out_dir)  # the settings of notes without a manifest are unknown
        prepare(out_dir)
        records.write_manifest(out_dir, records.Manifest(dict(settings), {}))
        return False
    before = {name: defaults[name] for name in settings if name in defaults} | there.settings
    if before != settings:
        raise ValueError(
            f'{out_dir!r} holds records that were made with other settings: '
            f'{differences(before, settings)}; --overwrite replaces them'
        )
    return described


def note(path: str, shard: records.ShardFile, summary: Summary) -> None:
    """Notes that the shard of this path is finished."""
    problems = [dataclasses.asdict(problem) for problem in summary.problems]
    statistics = dataclasses.asdict(summary.statistics)
    fields = {
        'shard': dataclasses.asdict(shard),
        'summary': {**vars(summary), 'problems': problems, 'statistics': statistics},
    }
    storage.make_folder(posixpath.dirname(_note_path(path)))
    storage.write(_note_path(path), json.dumps(fields, ensure_ascii=False))


def finished(path: str) -> tuple[records.ShardFile, Summary] | None:
    """The note on the shard of this path, if the shard is there with the noted checksum; else None.

    A note that is damaged is said and counts as none: the shard is written again.
    """
    if not (storage.exists(_note_path(path)) and storage.exists(path)):
        return None
    try:
        noted = read_note(path)
    except ValueError as error:
        print(error, file=sys.stderr)
        return None
    return (
        (noted.shard, noted.summary) if records.checksum(path) == (noted.shard.num_bytes, noted.shard.crc32c) else None
    )


def read_note(path: str) -> Note:
    """The note on the shard of this path; ValueError if it is not understood."""
    return descriptions.read(_note_path(path), Note, 'a note', f'{path} is written again', _check_note)


def _check_note(noted: Note) -> None:
    """ValueError for counts that do not fit each other."""
    summary, per_image = noted.summary, noted.summary.objects_per_image
    odd = [image_id for image_id, text in summary.fingerprints.items() if not fingerprint.is_fingerprint(text)]
    if odd:
        raise ValueError(f'summary.fingerprints has {odd[0]!r}, which is none')
    num_objects = sum(number * times for number, times in per_image.items())
    most = max([0, *(number for number, times in per_image.items() if times)])
    for name, value, counted in (
        ('shard.num_images', noted.shard.num_images, summary.num_images),
        ('summary.num_images', summary.num_images, per_image.total()),
        ('summary.objects', summary.num_objects, num_objects),
        ('summary.max_boxes', summary.max_boxes, most),
        ('summary.fingerprints', min(len(summary.fingerprints), summary.num_images), len(summary.fingerprints)),
        ('summary.lengths', len(summary.lengths), noted.shard.num_images),
        ('shard.num_bytes', noted.shard.num_bytes, sum(summary.lengths) + tfrecord.FRAME_BYTES * len(summary.lengths)),
    ):
        if value != counted:
            raise ValueError(f'{name} counts {value}, the rest of the note {counted}')
    if problem := summary.statistics.find_problem(summary.objects, summary.num_images):
        raise ValueError(f'summary.{problem}')


def _note_path(path: str) -> str:
    return posixpath.join(posixpath.dirname(path), FOLDER, posixpath.basename(path) + '.json')


def end(out_dir: str) -> None:
    """Removes the notes, and what a killed run left half written."""
    folder = posixpath.join(out_dir, FOLDER)
    if storage.is_folder(folder):
        storage.remove_folder(folder)
    for name in storage.names(out_dir):
        if re.fullmatch(r'(\w+\.json|.*\.index|.*\.tfrecord-\d{5}-of-\d{5})\.partial', name):
            storage.remove(posixpath.join(out_dir, name))


def clear(out_dir: str, splits: Sequence[str]) -> None:
    """Removes the records and their descriptions from a folder, `dataset.json` first; other files stay."""
    if not storage.is_folder(out_dir):
        return
    with contextlib.suppress(ValueError):  # no description, or not one of this version
        splits = [*splits, *records.read_description(out_dir).splits]
    alternatives = '|'.join(re.escape(split) for split in splits)
    ours = re.compile(rf'({alternatives})(\.tfrecord-\d{{5}}-of-\d{{5}}(\.partial)?|{re.escape(index.SUFFIX)})')
    if storage.exists(posixpath.join(out_dir, records.DESCRIPTION)):
        storage.remove(posixpath.join(out_dir, records.DESCRIPTION))
    end(out_dir)  # without its note no shard counts as finished
    for name in [n for n in storage.names(out_dir) if n in OTHERS or ours.fullmatch(n)]:
        storage.remove(posixpath.join(out_dir, name))
