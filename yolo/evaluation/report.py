"""`report.html`: how good a detector is, what keeps it from being better, and pictures of that, without any network."""

import html
import posixpath
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from yolo import storage
from yolo.data.draw import draw_tag
from yolo.evaluation import error_analysis
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_ap import AveragePrecision
from yolo.evaluation.voc_matching import Matches
from yolo.pages import plots

PAGE = 'report.html'
MOST_PICTURES = 24  # of a gallery
PICTURE = (290, 218)  # most width and height of one
RED, GREEN = (40, 40, 220), (60, 170, 60)  # BGR
# Pictures of images by their numbers, (H, W, 3) uint8 BGR, with the original height and width; without unreadable ones.
Pictures = Callable[[Sequence[int]], dict[int, tuple[np.ndarray, tuple[int, int]]]]


def write_page(
    report_dir: str,
    title: str,
    found: EvaluationResult,
    matches: Matches,
    curves: AveragePrecision,
    error_types: error_analysis.ErrorTypes,
    metrics: dict,
    pictures: Pictures,
) -> str:
    """Writes the page into a folder and returns its path; metrics: what `metrics.json` holds."""
    false = np.flatnonzero(error_types.types >= 0)[:MOST_PICTURES]
    missed = np.flatnonzero(error_types.is_missed)
    sizes = np.prod(found.truth.boxes[missed, 2:] - found.truth.boxes[missed, :2] + 1, 1)
    missed = missed[np.argsort(-sizes, kind='stable')][:MOST_PICTURES]
    wanted = {*matches.sorted_detections.images[false].tolist(), *found.truth.images[missed].tolist()}
    shown = pictures(sorted(wanted))
    parts = [
        plots.page_head(title, PICTURE[0]),
        _table(metrics),
        '<h2>Precision and recall</h2><div class="plots">',
        *_plots(found, curves, metrics),
        '</div>',
        *_costs(metrics),
        *_confusion(found, metrics),
        *_groups(metrics),
        '<h2>The most confident false positives</h2><div class="images">',
        *(_false_positive(found, matches, error_types, int(d), shown) for d in false),
        '</div><h2>The largest objects that were missed</h2><div class="images">',
        *(_miss(found, int(t), shown) for t in missed),
        '</div></body></html>\n',
    ]
    path = posixpath.join(report_dir, PAGE)
    storage.make_folder(report_dir)
    storage.write(path, ''.join(parts))
    return path


def _table(metrics: dict) -> str:
    rows = []
    for name, row in metrics['per_class'].items():
        point = row['best_f1'] or {}
        rows.append(
            [
                name,
                _number(row['ap_11pt']),
                _number(row['ap_area']),
                f'{row["num_objects"]:,}',
                f'{row["num_difficult"]:,}',
                f'{row["num_detections"]:,}',
                *(_number(point.get(key)) for key in ('score', 'precision', 'recall', 'f1')),
            ]
        )
    rows.append(['mAP', _number(metrics['map_11pt']), _number(metrics['map_area'])])
    head = [
        '',
        'AP 11-point',
        'AP area',
        'objects',
        'difficult',
        'detections',
        'best F1 from score',
        'precision',
        'recall',
        'F1',
    ]
    coco, sizes = metrics.get('coco'), metrics.get('image_sizes', {})
    more = (
        ''
        if coco is None
        else f'<p>COCO: AP {_number(coco["ap"])}, at IoU 0.5 {_number(coco["ap_50"])}, at 0.75 '
        f'{_number(coco["ap_75"])}.</p>'
    )
    intro = f'<p>{metrics["num_images"]:,} images of {html.escape(metrics["split"])}.</p>'
    by_size = [
        [
            name,
            _number(row['map_11pt']),
            _number(row['map_area']),
            f'{row["ms_per_image"]:.1f}',
            f'{1000 / row["ms_per_image"]:.1f}',
        ]
        for name, row in sizes.items()
    ]
    if by_size:
        more += '<h2>Accuracy and speed by size of the images</h2>' + plots.table(
            ['pixels', 'mAP 11-point', 'mAP area', 'ms an image', 'images/s'], by_size
        )
    if 'compared' in metrics:
        head_of_compared = ['', 'AP (area) more than the other', '95 % of samples', '', 'real']
        more += '<h2>Against the other evaluation</h2>' + plots.table(
            head_of_compared,
            [
                [
                    name,
                    *(
                        ('-',)
                        if row is None
                        else (
                            f'{row["difference"]:+.4f}',
                            f'{row["low"]:+.4f}',
                            f'{row["high"]:+.4f}',
                            'yes' if row['real'] else 'no',
                        )
                    ),
                ]
                for name, row in metrics['compared'].items()
            ],
        )
    return intro + plots.table(head, rows) + more


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'


def _plots(found: EvaluationResult, curves: AveragePrecision, metrics: dict) -> list[str]:
    names = [name for name, row in metrics['per_class'].items() if row['ap_area'] is not None]
    lines = {
        name: (np.append(0, curves.recall[k]), np.append(curves.precision[k][:1], curves.precision[k]))
        for k, name in enumerate(found.classes)
        if name in names and len(curves.recall[k])
    }
    lines = {name: _thinned(*line) for name, line in lines.items()}
    parts = [
        plots.figure(plots.curves(lines, 'recall', 'precision'), 'precision over recall, by class'),
        plots.figure(
            plots.bars(
                [*names, 'mAP'],
                [*(metrics['per_class'][name]['ap_area'] for name in names), metrics['map_area'] or 0.0],
            ),
            'AP (area)',
        ),
    ]
    for name in names:
        right, wrong = metrics['per_class'][name]['scores_right'], metrics['per_class'][name]['scores_wrong']
        low, high = metrics['per_class'][name]['score_range']
        first = 1 if (low, high) == (0, 1) else 0  # most are below 0.05
        step = (high - low) / len(right)
        edges = [f'{low + i * step:.3g}' if i % 3 == 1 else '' for i in range(first, len(right))]
        caption = (
            f'scores of {html.escape(name)} from {low + first * step:.3g} on: right (below, blue) and wrong '
            '(above, red)'
        )
        parts.append(plots.figure(plots.bars(edges, right[first:], wrong[first:]), caption))
    return parts


def _thinned(x: np.ndarray, y: np.ndarray, most: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """At most so many points of a line."""
    at = np.unique(np.linspace(0, len(x) - 1, min(most, len(x))).astype(int))
    return x[at], y[at]


def _costs(metrics: dict) -> list[str]:
    names = list(error_analysis.ERROR_TYPES)
    costs = [metrics['errors'][name]['cost'] for name in names]
    counts = [metrics['errors'][name]['count'] for name in names]
    worst = names[int(np.argmax(costs))]
    text = (
        '<p>By how much the mAP (area) would rise without each kind of error (as TIDE defines them). '
        f'Most is lost by: <b>{worst}</b>, {max(costs):.3f}.</p>'
    )
    return [
        '<h2>What the errors cost</h2>',
        text,
        '<div class="plots">',
        plots.figure(plots.bars(names, costs), 'mAP that each kind of error costs'),
        plots.figure(plots.bars(names, counts), 'how many there are, of any score'),
        '</div>',
    ]


def _confusion(found: EvaluationResult, metrics: dict) -> list[str]:
    head = ['true \\ detected', *found.classes, 'not found']
    rows = [
        [name, *(f'{value:,}' for value in row)]
        for name, row in zip([*found.classes, 'nothing'], metrics['confusion'], strict=True)
    ]
    rows[-1][-1] = ''
    text = (
        '<p>Detections from the score of best F1 on; of a class of which none is right, from that of all classes '
        'taken for one.</p>'
    )
    return ['<h2>What is taken for what</h2>', text, plots.table(head, rows)]


def _groups(metrics: dict) -> list[str]:
    parts = ['<h2>Which objects, which images</h2><div class="plots">']
    for key, text in (
        ('by_size', "mAP (area) by size of the object: COCO's, below 32 x 32 pixels, below 96 x 96"),
        ('by_number', 'mAP (area) by number of objects in the image'),
    ):
        rows = {name: row for name, row in metrics[key].items() if row['map_area'] is not None}
        names = [f'{name} ({row["num_objects"]:,})' for name, row in rows.items()]
        parts.append(plots.figure(plots.bars(names, [row['map_area'] for row in rows.values()]), text))
    return [*parts, '</div>']


def _false_positive(
    found: EvaluationResult, matches: Matches, error_types: error_analysis.ErrorTypes, d: int, shown: dict
) -> str:
    ranked = matches.sorted_detections
    number, name = int(ranked.images[d]), found.classes[ranked.classes[d]]
    kind = error_analysis.ERROR_TYPES[error_types.types[d]]
    caption = f'<b>{html.escape(name)} {ranked.scores[d]:.2f}: {kind}</b><br>{html.escape(found.image_ids[number])}'
    near = [error_types.targets[d]] if error_types.targets[d] >= 0 else []
    boxes = [(found.truth.boxes[t], GREEN, found.classes[found.truth.classes[t]]) for t in near]
    return plots.figure(_drawn(shown.get(number), [*boxes, (ranked.boxes[d], RED, name)]), caption)


def _miss(found: EvaluationResult, t: int, shown: dict) -> str:
    number, name = int(found.truth.images[t]), found.classes[found.truth.classes[t]]
    caption = f'<b>{html.escape(name)}</b><br>{html.escape(found.image_ids[number])}'
    return plots.figure(_drawn(shown.get(number), [(found.truth.boxes[t], GREEN, name)]), caption)


def _drawn(picture: tuple[np.ndarray, tuple[int, int]] | None, boxes: Sequence[tuple]) -> str:
    """A small picture with boxes in VOC pixels of the original, each with its colour and label."""
    if picture is None:
        return plots.picture(None)
    image, (height, width) = picture
    scale = min(PICTURE[0] / width, PICTURE[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    drawn = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    for box, colour, label in boxes:
        x0, y0, x1, y1 = np.rint((box - [1, 1, 0, 0]) * scale).astype(int).tolist()
        cv2.rectangle(drawn, (x0, y0), (max(x1 - 1, x0), max(y1 - 1, y0)), colour, 1)
        draw_tag(drawn, label, (x0, y0), colour, below=y1)
    return plots.picture(drawn, *PICTURE)
