"""The part of the page that shows what the records are like: warnings, classes, objects and pictures of them."""

from collections.abc import Mapping
from typing import Any

from preprocess.report import charts, class_table, data_warnings, object_warnings, pictures
from preprocess.report.data_warning import SHOWN, percent
from preprocess.resume import Summary
from yolo.data.records import Description


def values(out_dir: str, description: Description, summaries: Mapping[str, Summary]) -> dict[str, Any]:
    """What the templates records_*.html.jinja need of it; pictures are read from the records in out_dir, one by one."""
    first = next(iter(description.splits))
    examples, crowded = pictures.examples(description.classes, summaries), pictures.crowded(summaries)
    return {
        'warnings': data_warnings.find(description, summaries),
        'most_items': SHOWN,
        'split_names': list(description.splits),
        'class_rows': class_table.rows(description, summaries),
        'is_logarithmic': class_table.is_logarithmic(description),
        'small_pixels': object_warnings.SMALL[0],
        'anchor_rows': object_warnings.describe_anchors(description, summaries[first].statistics),
        'lost_intro': _lost_intro(first, summaries[first]),
        **charts.draw(description, summaries),
        'num_examples': len(examples),
        'most_examples': pictures.MOST_EXAMPLES,
        'examples': pictures.draw_examples(out_dir, description, examples),
        'num_crowded': len(crowded),
        'crowded': pictures.draw_crowded(out_dir, description, crowded),
    }


def _lost_intro(first: str, summary: Summary) -> str:
    """How many objects are no targets."""
    classes = summary.statistics.classes.values()
    num_lost, total = sum(each.num_lost for each in classes), sum(each.num_objects for each in classes)
    share = f'{num_lost:,} of {total:,} objects of {first} ({percent(num_lost, total)})'
    return f'{share} are lost as targets: another object of the image has the same cell and anchor.'
