"""`report.html`: what to improve first, how good a detector is, and pictures of its errors; needs no network."""

import posixpath
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from yolo import storage
from yolo.data.draw import draw_regions, draw_tag
from yolo.evaluation import report_tables
from yolo.evaluation.error_analysis import ERROR_TYPES, ErrorTypes
from yolo.evaluation.ignore_regions import ANY_CLASS
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_ap import AveragePrecision
from yolo.evaluation.voc_matching import Matches, areas
from yolo.pages import page, plots

PAGE = 'report.html'
MOST_PICTURES = 24  # of a gallery
MOST_OF_CLASS = 6  # false positives among them, as long as there are others
PICTURE_SIZE = (290, 218)  # most width and height of one
MOST_POINTS = 400  # of a curve
MOST_EMPHASISED = 5  # curves in colours where there are too many classes for a colour each
RED, GREEN = (40, 40, 220), (60, 170, 60)  # BGR
# Images by number: (H, W, 3) uint8 BGR, with the original height and width; images that cannot be read are missing.
Pictures = Callable[[Sequence[int]], dict[int, tuple[np.ndarray, tuple[int, int]]]]


def write_page(
    report_dir: str,
    title: str,
    result: EvaluationResult,
    matches: Matches,
    curves: AveragePrecision,
    error_types: ErrorTypes,
    metrics: dict,
    pictures: Pictures,
) -> str:
    """Writes the page into a folder and returns its path; metrics: what `metrics.json` holds."""
    false = _most_confident(matches, error_types)
    missed = _largest_missed(result, error_types)
    wanted = {*matches.sorted_detections.images[false].tolist(), *result.truth.images[missed].tolist()}
    shown = pictures(sorted(wanted))
    storage.make_folder(report_dir)
    path = posixpath.join(report_dir, PAGE)
    page.write(
        path,
        'evaluation.html.jinja',
        title=title,
        picture_size=PICTURE_SIZE,
        **report_tables.tables(metrics),
        **_charts(result, curves, metrics),
        num_false=len(false),
        most_of_class=MOST_OF_CLASS,
        num_missed=len(missed),
        false_positives=(_false_positive(result, matches, error_types, int(d), shown) for d in false),
        missed=(_missed_object(result, int(t), shown) for t in missed),
    )
    return path


def _charts(result: EvaluationResult, curves: AveragePrecision, metrics: dict) -> dict[str, str | None]:
    return {
        **_curves(result, curves),
        'confusion': _confusion(result.classes, np.array(metrics['confusion'])),
        'by_size': _map_of_groups(metrics['by_size']),
        'by_number': _map_of_groups(metrics['by_number']),
        **_scores(metrics['per_class']),
    }


def _curves(result: EvaluationResult, curves: AveragePrecision) -> dict[str, str]:
    """The curves of all classes with objects; of many classes only those of the lowest AP have a colour."""
    has_objects = np.flatnonzero(curves.num_objects > 0)
    lines = {
        result.classes[k]: _thin_out(
            np.append(0, curves.recall[k]), np.append(curves.precision[k][:1], curves.precision[k])
        )
        for k in has_objects
        if len(curves.recall[k])
    }
    if len(has_objects) <= plots.MOST_COLOURED:
        emphasised, caption = has_objects, 'precision over recall, by class'
    else:
        order = np.argsort(curves.ap_area[has_objects], kind='stable')
        emphasised = has_objects[order][:MOST_EMPHASISED]
        caption = (
            f'precision over recall: the {MOST_EMPHASISED} classes of the lowest AP in colours, the others in grey'
        )
    chart = plots.curves(lines, [result.classes[k] for k in emphasised], 'recall', 'precision')
    return {'curves': chart, 'curves_caption': caption}


def _thin_out(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MOST_POINTS points of a line (N,), (N,)."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(MOST_POINTS, len(x))).astype(int))
    return x[kept], y[kept]


def _confusion(classes: Sequence[str], confusion: np.ndarray) -> str:
    """confusion (C + 1, C + 1): rows are true classes, then no object; columns detected classes, then no detection."""
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    rows, columns = [*classes, 'no object'], [*classes, 'missed']
    return plots.heat_map(shares, confusion, rows, columns, ('true class', 'detected class'))


def _map_of_groups(groups: dict[str, dict]) -> str:
    known = {name: row for name, row in groups.items() if row['map_area'] is not None}
    names = [f'{name} ({row["num_objects"]:,})' for name, row in known.items()]
    return plots.bars(names, [row['map_area'] for row in known.values()], 'mAP (area)')


def _scores(per_class: dict[str, dict]) -> dict[str, str | None]:
    """One histogram of the scores of all classes, and a strip for each class with objects or detections."""
    kept = {name: row for name, row in per_class.items() if row['num_objects'] or row['num_detections']}
    num_bins, score_range = next(
        ((len(row['scores_right']), tuple(row['score_range'])) for row in per_class.values()), (1, (0.0, 1.0))
    )
    true_positives, false_positives = (
        np.array([row[key] for row in kept.values()], int).reshape(-1, num_bins)
        for key in ('scores_right', 'scores_wrong')
    )
    totals = {'true positives': true_positives.sum(0), 'false positives': false_positives.sum(0)}
    panels = {'true positives': true_positives, 'false positives': false_positives}
    return {
        'scores': plots.counts_by_score(totals, score_range, 'score'),
        'score_strips': plots.strips(panels, list(kept), score_range, 'score') if len(kept) > 1 else None,
    }


def _most_confident(matches: Matches, error_types: ErrorTypes) -> np.ndarray:
    """The false positives (N,) to show, best score first.

    No more than MOST_OF_CLASS of a class, then no more than one of an image, as long as there are others: else the
    commonest class and a few images would fill the gallery.
    """
    false = np.flatnonzero(error_types.types >= 0)  # best score first
    images, classes = (getattr(matches.sorted_detections, name)[false] for name in ('images', 'classes'))
    is_left, is_few, is_new = np.ones((3, len(false)), bool)  # not shown; few of its class are; none of its image is
    shown: list[int] = []
    for _ in range(min(MOST_PICTURES, len(false))):
        preferred = is_left & is_few & is_new, is_left & is_few, is_left & is_new, is_left
        best = int(next(each for each in preferred if each.any()).argmax())
        shown.append(best)
        is_left[best] = False
        is_new &= images != images[best]
        if np.sum(classes[shown] == classes[best]) == MOST_OF_CLASS:
            is_few &= classes != classes[best]
    return false[np.sort(np.array(shown, int))]


def _largest_missed(result: EvaluationResult, error_types: ErrorTypes) -> np.ndarray:
    """The objects (N,) that were missed, largest first."""
    missed = np.flatnonzero(error_types.is_missed)
    return missed[np.argsort(-areas(result.truth.boxes[missed]), kind='stable')][:MOST_PICTURES]


def _false_positive(
    result: EvaluationResult, matches: Matches, error_types: ErrorTypes, d: int, shown: dict
) -> tuple[str, str, list[str]]:
    """Picture, title and lines: the detection in red, the object it should have been in green."""
    detections, target = matches.sorted_detections, int(error_types.targets[d])
    number, name = int(detections.images[d]), result.classes[detections.classes[d]]
    boxes = [(detections.boxes[d], RED, name)]
    if target >= 0:
        boxes.insert(0, (result.truth.boxes[target], GREEN, result.classes[result.truth.classes[target]]))
    title = f'{name} {detections.scores[d]:.2f}: {ERROR_TYPES[error_types.types[d]]}'
    return _draw(shown.get(number), boxes, _regions_of(result, number)), title, [result.image_ids[number]]


def _missed_object(result: EvaluationResult, t: int, shown: dict) -> tuple[str, str, list[str]]:
    """Picture, title and lines."""
    number, name = int(result.truth.images[t]), result.classes[result.truth.classes[t]]
    picture = _draw(shown.get(number), [(result.truth.boxes[t], GREEN, name)], _regions_of(result, number))
    return picture, name, [result.image_ids[number]]


def _regions_of(result: EvaluationResult, number: int) -> np.ndarray:
    """The ignore regions (R, 4) of an image."""
    return result.regions.boxes[result.regions.images == number]


def _draw(picture: tuple[np.ndarray, tuple[int, int]] | None, boxes: Sequence[tuple], regions: np.ndarray) -> str:
    """A small picture with boxes in VOC pixels of the original, each with its colour and label; empty for None.

    regions (R, 4): ignore regions, hatched.
    """
    if picture is None:
        return ''
    image, (height, width) = picture
    scale = min(PICTURE_SIZE[0] / width, PICTURE_SIZE[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    drawn = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    relative = (regions - [1, 1, 0, 0]) / [width, height, width, height]
    drawn = draw_regions(drawn, relative, np.full(len(regions), ANY_CLASS))
    for box, colour, label in boxes:
        x0, y0, x1, y1 = np.rint((box - [1, 1, 0, 0]) * scale).astype(int).tolist()
        cv2.rectangle(drawn, (x0, y0), (max(x1 - 1, x0), max(y1 - 1, y0)), colour, 1)
        draw_tag(drawn, label, (x0, y0), colour, below=y1)
    return page.picture(drawn, *PICTURE_SIZE)
