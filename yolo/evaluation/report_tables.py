"""Texts and tables of `report.html`, from what `metrics.json` holds."""

from typing import Any

import numpy as np

from yolo.evaluation.error_analysis import ERROR_TYPES
from yolo.evaluation.tables import NO_VALUE

MOST_CONFUSED = 15  # rows of a table
SMALLEST_COST = 0.0005  # of the mAP: less is shown as 0
MEANINGS = {
    'class': 'The box fits an object, the class is another one.',
    'localisation': 'The class is that of the object, the box fits too badly to match it.',
    'both': 'The class is another one and the box fits badly.',
    'duplicate': 'A second box on an object that a better detection matched.',
    'background': 'A box where no annotated object is.',
    'missed': 'An object that no detection comes close to.',
}
NEXT_STEPS = {
    'class': 'Look at the most often confused classes below: correct their annotations, add images of the rarer one, '
    'or make one class of two that people cannot tell apart.',
    'localisation': 'Check that the annotated boxes are tight, fit anchors to your boxes (--anchors=kmeans:5), use '
    'larger images, and train for longer with the smaller learning rates.',
    'both': 'Train for longer, and start from pretrained weights if you have not: the detector has not learned these '
    'objects yet. Then look at the class and localisation errors.',
    'duplicate': 'Lower --nms_iou, and look for objects that are annotated twice.',
    'background': 'Look at the most confident false positives below: objects that nobody annotated are to be annotated '
    '(or marked difficult); for real mistakes add images that show such backgrounds without objects.',
    'missed': 'Look at mAP by size below: small objects need larger images; otherwise add images of the classes with a '
    'low recall and train for longer.',
}
AP_HEAD = (
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
)


def tables(metrics: dict) -> dict[str, Any]:
    """All texts and tables of the page, by their names in the template."""
    return {
        'intro': _intro(metrics),
        'verdict': _verdict(metrics),
        'diagnosis': _diagnosis(metrics['errors']),
        'ap_head': AP_HEAD,
        'ap_rows': _ap_rows(metrics),
        'coco': _coco(metrics.get('coco')),
        'sizes': _sizes(metrics.get('image_sizes', {})),
        'compared': _compared(metrics.get('compared', {})),
        'confused': most_confused(metrics),
    }


def _intro(metrics: dict) -> str:
    area, eleven = format_number(metrics['map_area']), format_number(metrics['map_11pt'])
    text = f'mAP {area} (area), {eleven} (11-point) on {metrics["num_images"]:,} images of {metrics["split"]}.'
    number = metrics.get('num_ignore_regions')
    return f'{text} Hatched in the pictures: some of the {number:,} ignore regions.' if number else text


def _verdict(metrics: dict) -> str:
    """Which kind of error costs most, in a sentence."""
    errors = metrics['errors']
    costliest = max(ERROR_TYPES, key=lambda name: errors[name]['cost'])
    cost = errors[costliest]['cost']
    if metrics['map_area'] is None:
        return 'The split has no objects to find, so there is no mAP and nothing to lose.'
    if cost < SMALLEST_COST:
        return 'No kind of error costs any mAP.'
    return f'Most is lost by: {costliest}, {cost:.3f} of mAP. {MEANINGS[costliest]} {NEXT_STEPS[costliest]}'


def _diagnosis(errors: dict[str, dict]) -> list[dict[str, str]]:
    """A row for each kind of error, the costliest first; percent: of the costliest one."""
    highest = max(*(row['cost'] for row in errors.values()), SMALLEST_COST)
    return [
        {
            'name': name,
            'cost': f'{errors[name]["cost"]:.3f}',
            'percent': f'{max(100 * errors[name]["cost"] / highest, 0):.0f}',
            'count': f'{errors[name]["count"]:,}',
            'meaning': MEANINGS[name],
            'next_step': NEXT_STEPS[name],
        }
        for name in sorted(ERROR_TYPES, key=lambda name: -errors[name]['cost'])
    ]


def _ap_rows(metrics: dict) -> list[list[str]]:
    """A row a class, then the means."""
    rows = []
    for name, row in metrics['per_class'].items():
        point = row['best_f1'] or {}
        aps = [format_number(row[key]) for key in ('ap_11pt', 'ap_area')]
        counts = [f'{row[key]:,}' for key in ('num_objects', 'num_difficult', 'num_detections')]
        rows.append([name, *aps, *counts, *(format_number(point.get(key)) for key in ('score', *_POINT))])
    means = ['mAP', format_number(metrics['map_11pt']), format_number(metrics['map_area'])]
    return [*rows, [*means, *[''] * (len(AP_HEAD) - len(means))]]


_POINT = ('precision', 'recall', 'f1')


def _coco(coco: dict | None) -> str:
    if coco is None:
        return ''
    ap, ap_50, ap_75 = (format_number(coco[name]) for name in ('ap', 'ap_50', 'ap_75'))
    return f'COCO: AP {ap}, at IoU 0.5 {ap_50}, at 0.75 {ap_75}.'


def _sizes(sizes: dict[str, dict]) -> list[list[str]]:
    """A row for each size of the images."""
    return [
        [
            name,
            format_number(row['map_11pt']),
            format_number(row['map_area']),
            f'{row["ms_per_image"]:.1f}',
            f'{1000 / row["ms_per_image"]:.1f}',
        ]
        for name, row in sizes.items()
    ]


def _compared(rows: dict[str, dict | None]) -> list[list[str]]:
    """A row for each class, then the mean."""
    return [[name, *_difference(row)] for name, row in rows.items()]


def _difference(row: dict | None) -> list[str]:
    if row is None:
        return [NO_VALUE]
    return [*(f'{row[key]:+.4f}' for key in ('difference', 'low', 'high')), 'yes' if row['real'] else 'no']


def most_confused(metrics: dict) -> list[list[str]]:
    """The pairs of a true and another detected class with the most objects: both names, objects, share of the class."""
    names, confusion = list(metrics['per_class']), np.array(metrics['confusion'])
    totals = confusion.sum(1)
    pairs = [(int(confusion[i, j]), i, j) for i, j in np.argwhere(confusion[:-1, :-1] > 0).tolist() if i != j]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    return [
        [names[i], names[j], f'{count:,}', f'{100 * count / totals[i]:.1f} %'] for count, i, j in pairs[:MOST_CONFUSED]
    ]


def format_number(value: float | None) -> str:
    """Three digits, or a dash for a number that is not defined."""
    return NO_VALUE if value is None else f'{value:.3f}'
