"""The first pass: all annotations, read for classes and box sizes, and cached for the second pass."""

import collections
import contextlib
import dataclasses
import math
import pickle
from collections.abc import Iterable, Iterator, Sequence

import google_crc32c
import numpy as np

from preprocess import example
from preprocess.box_sizes import SizeCounts, count_sizes
from preprocess.example import Objects
from preprocess.label_rules import AS_ANNOTATED, LabelRules
from yolo import storage
from yolo.data import voc_folder
from yolo.data.images import LEAVE_OUT, MAX_PIXELS
from yolo.geometry.letterbox import to_canvas
from yolo.names import find_file_problem

CHUNK = 64  # images whose objects are worked on at once
MOST_REASONS = 3
MOST_SIZES = 10_000  # of boxes, for the anchors


@dataclasses.dataclass(frozen=True)
class ScanJob:
    """Annotations to read; the result is cached in the file `cache_path`."""

    source: voc_folder.Source
    ids: tuple[str, ...]
    classes: frozenset[str] | None  # None: all
    image_size: tuple[int, int]
    resize: str
    cache_path: str
    max_pixels: int = MAX_PIXELS
    damaged: str = LEAVE_OUT
    rules: LabelRules = AS_ANNOTATED


@dataclasses.dataclass(frozen=True)
class Scan:
    """A summary of annotations: usable objects by name, and sizes (N, 2) w, h of their boxes.

    The sizes are relative to the stored image, bars included; at most MOST_SIZES of them, taken at equal steps.
    size_counts: of all of them. annotated: objects by their name in the annotations, where there are rules for names.
    """

    counts: collections.Counter
    sizes: np.ndarray
    size_counts: SizeCounts
    num_unread: int  # annotations
    reasons: tuple[str, ...]  # of the first of them; or else of the first boxes left out, where no object is left
    wrong_names: dict[str, str] = dataclasses.field(default_factory=dict)  # of objects -> first image: no file's name
    annotated: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    checksums: tuple[int, ...] = ()  # of the annotations, of each chunk in order

    @property
    def checksum(self) -> int:
        """Of all annotations."""
        return google_crc32c.value(repr(self.checksums).encode())


@dataclasses.dataclass(frozen=True)
class Scanned:
    """An annotation; size: height, width as in the XML, or else of the image itself."""

    filename: str
    size: tuple[int, int]
    objects: Objects


def scan(job: ScanJob) -> Scan:
    """Reads some annotations and caches, for each, a Scanned or the reason why it cannot be read."""
    scans = []
    with storage.writer(job.cache_path) as file:
        for start in range(0, len(job.ids), CHUNK):
            result, cached = _scan_chunk(job, job.ids[start : start + CHUNK])
            pickle.dump(cached, file, pickle.HIGHEST_PROTOCOL)
            scans.append(result)
    return join(scans, math.inf)  # every size: which ones are taken must not depend on the shards


def _scan_chunk(job: ScanJob, ids: Sequence[str]) -> tuple[Scan, list[Scanned | str]]:
    annotations, sizes, reasons = [], [], []
    for image_id in ids:
        try:
            annotation = voc_folder.read_annotation(job.source, image_id)
            size = annotation.size or _size_of_image(job, image_id, annotation.filename)
        except ValueError as error:
            reasons.append(str(error))
            continue
        annotations.append(annotation)
        sizes.append(size)
        reasons.append('')
    usable = example.usable_objects_of(annotations, sizes, job.classes, job.rules)
    good = iter(
        [
            Scanned(annotation.filename, size, objects)
            for annotation, size, objects in zip(annotations, sizes, usable, strict=True)
        ]
    )
    counts = collections.Counter(name for objects in usable for name in objects.names)
    counts.update({name: 0 for objects in usable for name in objects.region_names if name})  # a class of crowds alone
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(objects.boxes for objects in usable)])
    of_images = np.array(sizes, int).reshape(-1, 2)
    checksums = (_checksum(reasons, usable, [boxes, of_images]),)
    owners = np.repeat(of_images, [len(objects.names) for objects in usable], 0)
    boxes = to_canvas(boxes, owners, job.image_size, job.resize)
    unread = [reason for reason in reasons if reason]
    box_sizes = boxes[:, 2:] - boxes[:, :2]
    read_ids = [image_id for image_id, reason in zip(ids, reasons, strict=True) if not reason]
    wrong = {name: _first(name, read_ids, usable) for name in counts if find_file_problem(name)}
    annotated: collections.Counter = collections.Counter()
    if job.rules != AS_ANNOTATED:
        annotated.update(name for annotation in annotations for name in annotation.names if name)
    left_out = [] if counts else [reason for objects in usable for _, reason in objects.problems]
    some = tuple((unread or left_out)[:MOST_REASONS])
    result = Scan(counts, box_sizes, count_sizes(box_sizes), len(unread), some, wrong, annotated, checksums)
    return result, [reason or next(good) for reason in reasons]


def _checksum(reasons: Sequence[str], usable: Sequence[Objects], numbers: Sequence[np.ndarray]) -> int:
    """CRC-32C of what the records take from some annotations; numbers: boxes and sizes of all of them.

    It is of few large pieces, since it must cost little.
    """
    texts = list(reasons)
    for each in usable:
        texts += each.names
        texts.append('')
        texts += each.region_names
    flags = [each.difficult for each in usable] + [each.truncated for each in usable]
    regions = [each.regions for each in usable if each.region_names]
    crc = google_crc32c.value('\0'.join(texts).encode(errors='surrogatepass'))
    for array in (*numbers, np.concatenate([np.zeros(0, bool), *flags]), *regions):
        crc = google_crc32c.extend(crc, array.tobytes())
    return crc


def _first(name: str, ids: Sequence[str], usable: Sequence[Objects]) -> str:
    """The first image that has an object of that name."""
    return next(
        image_id for image_id, objects in zip(ids, usable, strict=True) if name in objects.names + objects.region_names
    )


def _size_of_image(job: ScanJob, image_id: str, filename: str) -> tuple[int, int]:
    image, _ = voc_folder.read_image(job.source, image_id, filename, None, job.max_pixels, job.damaged)
    return image.shape[0], image.shape[1]


def read_cache(path: str) -> Iterator[list[Scanned | str]]:
    """What `scan` cached, in order, CHUNK images at a time."""
    with storage.reader(path) as file, contextlib.suppress(EOFError):
        while True:
            yield pickle.load(file)


def join(scans: Iterable[Scan], most_sizes: float = MOST_SIZES) -> Scan:
    """One scan of many, in order; of too many sizes every 2nd, 4th, 8th ... is taken, so that memory is flat."""
    counts: collections.Counter = collections.Counter()
    sizes: list[np.ndarray] = [np.zeros((0, 2), np.float32)]
    size_counts = count_sizes(sizes[0])
    total, num_kept, step, num_unread = 0, 0, 1, 0
    reasons: tuple[str, ...] = ()
    wrong_names: dict[str, str] = {}
    annotated: collections.Counter = collections.Counter()
    checksums: list[int] = []
    for each in scans:
        checksums += each.checksums
        counts.update(each.counts)
        annotated.update(each.annotated)
        size_counts += each.size_counts
        sizes.append(each.sizes[-total % step :: step])
        total, num_kept = total + len(each.sizes), num_kept + len(sizes[-1])
        while num_kept > most_sizes:
            sizes, step = [np.concatenate(sizes)[::2]], 2 * step
            num_kept = len(sizes[0])
        num_unread += each.num_unread
        reasons = (*reasons, *each.reasons)[:MOST_REASONS]
        wrong_names = each.wrong_names | wrong_names
    return Scan(
        counts, np.concatenate(sizes), size_counts, num_unread, reasons, wrong_names, annotated, tuple(checksums)
    )
