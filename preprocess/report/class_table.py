"""The classes for a page: how many objects each has, as bars that can be read for 80 classes and rare ones."""

import math
from collections.abc import Mapping

from preprocess.report.data_warning import percent
from preprocess.report.object_warnings import SMALL
from preprocess.resume import Summary
from yolo.data.records import Description

MOST_LINEAR = 50  # times as many objects as in the rarest class; beyond that short bars could not be seen


def rows(description: Description, summaries: Mapping[str, Summary]) -> list[dict]:
    """A row for each class, most objects in the first split first.

    name; bars: for each split the number and the bar's length in percent; images: of the first split that have it;
    small, lost: shares of its objects in the first split.
    """
    splits, first = description.splits, next(iter(description.splits))
    numbers = {name: [each.objects_per_class[name] for each in splits.values()] for name in description.classes}
    most, is_log = max([1, *(max(each) for each in numbers.values())]), is_logarithmic(description)
    classes = summaries[first].statistics.classes
    made = []
    for name in sorted(description.classes, key=lambda name: [-number for number in numbers[name]]):
        each, total = classes.get(name), max(numbers[name][0], 1)
        lengths = [math.log1p(n) / math.log1p(most) if is_log else n / most for n in numbers[name]]
        bars = [(f'{number:,}', f'{100 * length:.1f}') for number, length in zip(numbers[name], lengths, strict=True)]
        small = percent(each.num_below(SMALL[1]), total) if each else '–'
        lost = percent(each.num_lost, total) if each else '–'
        images = f'{each.num_images:,}' if each else '0'
        made.append({'name': name, 'bars': bars, 'images': images, 'small': small, 'lost': lost})
    return made


def is_logarithmic(description: Description) -> bool:
    """Whether the numbers of objects differ so much that bars are on a logarithmic scale."""
    numbers = [n for each in description.splits.values() for n in each.objects_per_class.values() if n]
    return max(numbers, default=1) > MOST_LINEAR * min(numbers, default=1)
