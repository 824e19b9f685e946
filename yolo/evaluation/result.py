"""The files `metrics.json` and `detections.npz`: the latter lets two detectors be compared later."""

import dataclasses
import io
import json
import posixpath

import numpy as np
from absl import logging

from yolo import descriptions, storage
from yolo.detection.best_f1 import METRICS_FILE
from yolo.evaluation import npz
from yolo.evaluation.voc_matching import Detections, GroundTruth

DETECTIONS_FILE = 'detections.npz'
# The arrays of detections.npz: letters of their NumPy kinds, and dimensions.
ARRAYS = {
    'classes': ('U', 1),
    'image_ids': ('U', 1),
    'truth_images': ('iu', 1),
    'truth_classes': ('iu', 1),
    'truth_boxes': ('fiu', 2),
    'truth_difficult': ('b', 1),
    'detections_images': ('iu', 1),
    'detections_classes': ('iu', 1),
    'detections_scores': ('fiu', 1),
    'detections_boxes': ('fiu', 2),
}


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """The objects and the detections of a split, from which all metrics follow. Images are numbered as in image_ids."""

    classes: tuple[str, ...]
    image_ids: tuple[str, ...]
    truth: GroundTruth
    detections: Detections


def write_metrics(report_dir: str, metrics: dict) -> str:
    """Writes `metrics.json` into a folder and returns its path."""
    storage.make_folder(report_dir)
    path = posixpath.join(report_dir, METRICS_FILE)
    storage.write(path, json.dumps(metrics, indent=1) + '\n')
    return path


def write(report_dir: str, result: EvaluationResult) -> None:
    """Writes `detections.npz` into a folder."""
    arrays = {
        f'{kind}_{name}': value
        for kind, items in (('truth', result.truth), ('detections', result.detections))
        for name, value in vars(items).items()
    }
    classes, image_ids = np.array(result.classes, str), np.array(result.image_ids, str)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, classes=classes, image_ids=image_ids, **arrays)
    storage.make_folder(report_dir)
    storage.write(posixpath.join(report_dir, DETECTIONS_FILE), buffer.getvalue())


def read(metrics_path: str) -> EvaluationResult:
    """Reads `detections.npz` beside a `metrics.json`, or in a folder that has one.

    ValueError if there is none, or it is damaged.
    """
    path = posixpath.join(folder_of(metrics_path), DETECTIONS_FILE)
    if not storage.exists(metrics_path):
        raise ValueError(f'there is no {metrics_path}')
    if not storage.exists(path):
        raise ValueError(f'there is no {path}: evaluate that detector (again) with this eval.py')
    try:
        arrays = npz.read_arrays(path, ARRAYS)
        names = {name: tuple(arrays.pop(name).tolist()) for name in ('classes', 'image_ids')}
        result = EvaluationResult(
            **names,
            truth=GroundTruth(**_starting_with('truth_', arrays)),
            detections=Detections(**_starting_with('detections_', arrays)),
        )
        _check(result)
    except ValueError as error:
        raise ValueError(
            f'{path}: not a file of detections that this version reads ({error}); evaluate that detector again'
        ) from error
    return result


def _starting_with(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _check(result: EvaluationResult) -> None:
    """ValueError for arrays that do not fit each other."""
    descriptions.check_names(result.classes, 'classes')
    if len(set(result.image_ids)) < len(result.image_ids):
        raise ValueError('image_ids has an image twice')
    for kind, items in (('truth', result.truth), ('detections', result.detections)):
        shapes = {name: array.shape for name, array in vars(items).items()}
        number = len(items.images)
        if any(shape != ((number, 4) if name == 'boxes' else (number,)) for name, shape in shapes.items()):
            raise ValueError(f'the shapes of {kind} do not fit each other: {shapes}')
        for field, numbers, names in (
            ('images', items.images, result.image_ids),
            ('classes', items.classes, result.classes),
        ):
            if number and not 0 <= numbers.min() <= numbers.max() < len(names):
                raise ValueError(f'{kind}_{field} numbers {numbers.min()} to {numbers.max()} of {len(names)}')


def folder_of(metrics_path: str) -> str:
    """The folder of a `metrics.json`; metrics_path may be that folder itself."""
    return metrics_path if storage.is_folder(metrics_path) else posixpath.dirname(metrics_path)


def aligned(result: EvaluationResult, other: EvaluationResult, path: str) -> Detections:
    """The detections of `other`, with images and classes by the numbers of `result`.

    ValueError if the two differ in classes or images. Warns if they differ in objects: metrics of both are to be
    computed with those of `result`. path: of `other`, for the messages.
    """
    if sorted(result.classes) != sorted(other.classes):
        raise ValueError(
            f'{path} has the classes {", ".join(other.classes)}, this evaluation has {", ".join(result.classes)}; '
            'compare evaluations of the same classes'
        )
    if sorted(result.image_ids) != sorted(other.image_ids):
        only = sorted(set(result.image_ids) ^ set(other.image_ids))[0]
        raise ValueError(
            f'{path} has {len(other.image_ids)} images, this evaluation has {len(result.image_ids)}: '
            f'{only!r} is only in {"this" if only in result.image_ids else "that"} one; compare the same images'
        )
    images, classes = _numbers(other.image_ids, result.image_ids), _numbers(other.classes, result.classes)
    truth = dataclasses.replace(other.truth, images=images[other.truth.images], classes=classes[other.truth.classes])
    if not np.array_equal(_sorted_rows(truth), _sorted_rows(result.truth)):
        logging.warning(
            '%s has other annotations, %d objects; both detectors are compared on the %d objects of this evaluation',
            path,
            len(truth.images),
            len(result.truth.images),
        )
    return dataclasses.replace(
        other.detections, images=images[other.detections.images], classes=classes[other.detections.classes]
    )


def _sorted_rows(truth: GroundTruth) -> np.ndarray:
    """The objects as rows (T, 7), in an order that does not depend on theirs."""
    rows = np.column_stack([truth.images, truth.classes, truth.boxes, truth.difficult])
    return rows[np.lexsort(rows.T[::-1])]


def _numbers(names: tuple[str, ...], among: tuple[str, ...]) -> np.ndarray:
    """The number of each name in another list."""
    number_of = {name: number for number, name in enumerate(among)}
    return np.array([number_of[name] for name in names], int)
