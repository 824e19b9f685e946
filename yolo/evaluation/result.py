"""The files `metrics.json` and `detections.npz`: the latter lets two detectors be compared later."""

import dataclasses
import io
import json
import posixpath
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from absl import logging

from yolo import descriptions, storage
from yolo.detection.best_f1 import METRICS_FILE
from yolo.evaluation import npz
from yolo.evaluation.ignore_regions import ANY_CLASS, IgnoreRegions, mark, no_regions
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
# Those of ignore regions, where there are any.
REGION_ARRAYS = {'regions_images': ('iu', 1), 'regions_classes': ('iu', 1), 'regions_boxes': ('fiu', 2)}


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """The objects and the detections of a split, from which all metrics follow. Images are numbered as in image_ids.

    regions: its ignore regions; the detections are marked by them.
    """

    classes: tuple[str, ...]
    image_ids: tuple[str, ...]
    truth: GroundTruth
    detections: Detections
    regions: IgnoreRegions = dataclasses.field(default_factory=no_regions)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'detections', mark(self.detections, self.regions))


def write_metrics(report_dir: str, metrics: dict) -> str:
    """Writes `metrics.json` into a folder and returns its path."""
    storage.make_folder(report_dir)
    path = posixpath.join(report_dir, METRICS_FILE)
    storage.write(path, json.dumps(metrics, indent=1) + '\n')
    return path


def write(report_dir: str, result: EvaluationResult) -> None:
    """Writes `detections.npz` into a folder."""
    kinds = {'truth': result.truth, 'detections': result.detections}
    if len(result.regions.images):
        kinds['regions'] = result.regions
    arrays = {f'{kind}_{name}': value for kind, items in kinds.items() for name, value in vars(items).items()}
    del arrays['detections_in_region']  # which follows from the others
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
        arrays = npz.read_arrays(path, ARRAYS, REGION_ARRAYS)
        names = {name: tuple(arrays.pop(name).tolist()) for name in ('classes', 'image_ids')}
        truth = GroundTruth(**_starting_with('truth_', arrays))
        detections = Detections(**_starting_with('detections_', arrays))
        regions = _starting_with('regions_', arrays)
        known = truth, detections, IgnoreRegions(**regions) if regions else no_regions()
        _check(names['classes'], names['image_ids'], *known)
        result = EvaluationResult(names['classes'], names['image_ids'], *known)
    except ValueError as error:
        raise ValueError(
            f'{path}: not a file of detections that this version reads ({error}); evaluate that detector again'
        ) from error
    return result


def _starting_with(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _check(
    classes: tuple[str, ...],
    image_ids: tuple[str, ...],
    truth: GroundTruth,
    detections: Detections,
    regions: IgnoreRegions,
) -> None:
    """ValueError for arrays that do not fit each other."""
    descriptions.check_names(classes, 'classes')
    if len(set(image_ids)) < len(image_ids):
        raise ValueError('image_ids has an image twice')
    for kind, items, lowest in (('truth', truth, 0), ('detections', detections, 0), ('regions', regions, ANY_CLASS)):
        shapes = {name: array.shape for name, array in vars(items).items()}
        number = len(items.images)
        if any(shape != ((number, 4) if name == 'boxes' else (number,)) for name, shape in shapes.items()):
            raise ValueError(f'the shapes of {kind} do not fit each other: {shapes}')
        for field, numbers, names, low in (
            ('images', items.images, image_ids, 0),
            ('classes', items.classes, classes, lowest),
        ):
            if number and not low <= numbers.min() <= numbers.max() < len(names):
                raise ValueError(f'{kind}_{field} numbers {numbers.min()} to {numbers.max()} of {len(names)}')


def pool(results: Sequence[EvaluationResult], numbers: Sequence[np.ndarray]) -> EvaluationResult:
    """One evaluation of several of one split, each of other images of it, all classes being the same.

    numbers: of the images of each in the split, which are those of the images of the result.
    """
    everything = np.concatenate(numbers)
    ids = np.concatenate([np.array(each.image_ids, str) for each in results])
    if not np.array_equal(np.sort(everything), np.arange(len(ids))):
        raise ValueError(f'the {len(ids)} images of {len(results)} parts are not all of a split, each once')
    names = tuple(ids[np.argsort(everything)].tolist())
    truth = _joined([each.truth for each in results], numbers)
    detections = _joined([each.detections for each in results], numbers)
    return EvaluationResult(
        results[0].classes, names, truth, detections, _joined([each.regions for each in results], numbers)
    )


Items = TypeVar('Items', GroundTruth, Detections, IgnoreRegions)


def _joined(parts: Sequence[Items], numbers: Sequence[np.ndarray]) -> Items:
    """Items of several evaluations, with the images by their numbers in the split."""
    arrays = {name: np.concatenate([getattr(each, name) for each in parts]) for name in vars(parts[0])}
    arrays['images'] = np.concatenate([own[each.images] for each, own in zip(parts, numbers, strict=True)])
    return type(parts[0])(**arrays)


def folder_of(metrics_path: str) -> str:
    """The folder of a `metrics.json`; metrics_path may be that folder itself."""
    return metrics_path if storage.is_folder(metrics_path) else posixpath.dirname(metrics_path)


def aligned(result: EvaluationResult, other: EvaluationResult, path: str) -> Detections:
    """The detections of `other`, with images and classes by the numbers of `result`, marked by its ignore regions.

    ValueError if the two differ in classes or images. Warns if they differ in objects or ignore regions: metrics of
    both are to be computed with those of `result`. path: of `other`, for the messages.
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
    if len(other.regions.images) != len(result.regions.images):
        logging.warning(
            '%s has %d ignore regions; both detectors are compared with the %d of this evaluation',
            path,
            len(other.regions.images),
            len(result.regions.images),
        )
    detections = dataclasses.replace(
        other.detections, images=images[other.detections.images], classes=classes[other.detections.classes]
    )
    return mark(detections, result.regions)


def _sorted_rows(truth: GroundTruth) -> np.ndarray:
    """The objects as rows (T, 7), in an order that does not depend on theirs."""
    rows = np.column_stack([truth.images, truth.classes, truth.boxes, truth.difficult])
    return rows[np.lexsort(rows.T[::-1])]


def _numbers(names: tuple[str, ...], among: tuple[str, ...]) -> np.ndarray:
    """The number of each name in another list."""
    number_of = {name: number for number, name in enumerate(among)}
    return np.array([number_of[name] for name in names], int)
