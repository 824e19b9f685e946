"""Texts and tables of `report.html`, from what `metrics.json` holds."""

from typing import Any

from yolo.evaluation.advice import MEANINGS, NEXT_STEPS, SMALLEST_COST, advise
from yolo.evaluation.breakdowns import most_confused
from yolo.evaluation.error_analysis import ERROR_TYPES
from yolo.evaluation.tables import NO_VALUE

MOST_CONFUSED = 15  # rows of a table
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
        'verdict': ' '.join(advise(metrics)),
        'diagnosis': _diagnosis(metrics['errors']),
        'ap_head': AP_HEAD,
        'ap_rows': _ap_rows(metrics),
        'coco': _coco(metrics.get('coco')),
        'sizes': _sizes(metrics.get('image_sizes', {})),
        'compared': _compared(metrics.get('compared', {})),
        'confused': _confused(metrics),
    }


def _intro(metrics: dict) -> str:
    area, eleven = format_number(metrics['map_area']), format_number(metrics['map_11pt'])
    text = f'mAP {area} (area), {eleven} (11-point) on {metrics["num_images"]:,} images of {metrics["split"]}.'
    number = metrics.get('num_ignore_regions')
    return f'{text} Hatched in the pictures: some of the {number:,} ignore regions.' if number else text


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
            'next_step': f'{NEXT_STEPS[name][0].upper()}{NEXT_STEPS[name][1:]}.',
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


def _confused(metrics: dict) -> list[list[str]]:
    """The pairs of a true and another detected class with the most objects, one a row."""
    return [
        [true, taken, f'{count:,}', f'{100 * share:.1f} %']
        for true, taken, count, share in most_confused(metrics, MOST_CONFUSED)
    ]


def format_number(value: float | None) -> str:
    """Three digits, or a dash for a number that is not defined."""
    return NO_VALUE if value is None else f'{value:.3f}'
