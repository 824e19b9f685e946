"""`detections.npz`: what was found and what was there, so that two detectors can be compared later."""

import dataclasses
import io
import posixpath
import zipfile
import zlib

import numpy as np
from absl import logging

from yolo import storage
from yolo.evaluation.voc_ap import Detections, Truth

FOUND = 'detections.npz'


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """A split's objects and what was detected: all that metrics are made of. Images are numbered as in image_ids."""

    classes: tuple[str, ...]
    image_ids: tuple[str, ...]
    truth: Truth
    detections: Detections


def write(report_dir: str, found: EvaluationResult) -> None:
    """Writes the file into a folder."""
    arrays = {
        f'{kind}_{name}': value
        for kind, items in (('truth', found.truth), ('detections', found.detections))
        for name, value in vars(items).items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, classes=np.array(found.classes, str), image_ids=np.array(found.image_ids, str), **arrays
    )
    storage.make_folder(report_dir)
    storage.write(posixpath.join(report_dir, FOUND), buffer.getvalue())


def read(metrics_path: str) -> EvaluationResult:
    """Reads the file beside a `metrics.json`, or in a folder that has one; ValueError if there is none."""
    path = posixpath.join(folder_of(metrics_path), FOUND)
    if not storage.exists(metrics_path):
        raise ValueError(f'there is no {metrics_path}')
    if not storage.exists(path):
        raise ValueError(f'there is no {path}: evaluate that detector (again) with this eval.py')
    try:
        with np.load(io.BytesIO(storage.read(path))) as stored:
            arrays = dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f'{path}: not a file of detections ({error})') from error

    def part(kind: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(kind): array for name, array in arrays.items() if name.startswith(kind)}

    try:
        found = EvaluationResult(
            tuple(arrays['classes'].tolist()),
            tuple(arrays['image_ids'].tolist()),
            Truth(**part('truth_')),
            Detections(**part('detections_')),
        )
        for items in (found.truth, found.detections):
            for numbers, names in ((items.images, found.image_ids), (items.classes, found.classes)):
                if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(names):
                    raise ValueError(f'{path} is damaged: it numbers {numbers.max()} of {len(names)}')
        return found
    except (KeyError, TypeError) as error:
        raise ValueError(f'{path}: not a file of detections that this version reads ({error})') from error


def folder_of(metrics_path: str) -> str:
    """The folder of a `metrics.json`, which may also be named itself."""
    return metrics_path if storage.is_folder(metrics_path) else posixpath.dirname(metrics_path)


def aligned(found: EvaluationResult, other: EvaluationResult, path: str) -> Detections:
    """The other's detections, with images and classes by the numbers of `found`; ValueError if they do not agree.

    Warns if the objects are others: both are held against those of `found`.
    """
    if sorted(found.classes) != sorted(other.classes):
        raise ValueError(f'{path} is of the classes {", ".join(other.classes)}, not of {", ".join(found.classes)}')
    if sorted(found.image_ids) != sorted(other.image_ids):
        only = sorted(set(found.image_ids) ^ set(other.image_ids))[0]
        raise ValueError(
            f'{path} is of {len(other.image_ids)} images, not of the same {len(found.image_ids)}: '
            f'{only!r} is only in {"this" if only in found.image_ids else "that"} one'
        )
    images, classes = _numbers(other.image_ids, found.image_ids), _numbers(other.classes, found.classes)
    truth = dataclasses.replace(other.truth, images=images[other.truth.images], classes=classes[other.truth.classes])
    if not np.array_equal(_sorted(truth), _sorted(found.truth)):
        logging.warning(
            '%s has other annotations, %d objects; both are held against the %d of this evaluation',
            path,
            len(truth.images),
            len(found.truth.images),
        )
    return dataclasses.replace(
        other.detections, images=images[other.detections.images], classes=classes[other.detections.classes]
    )


def _sorted(truth: Truth) -> np.ndarray:
    """The objects as rows, in an order that does not depend on theirs."""
    rows = np.column_stack([truth.images, truth.classes, truth.boxes, truth.difficult])
    return rows[np.lexsort(rows.T[::-1])]


def _numbers(names: tuple[str, ...], among: tuple[str, ...]) -> np.ndarray:
    place = {name: number for number, name in enumerate(among)}
    return np.array([place[name] for name in names], int)
