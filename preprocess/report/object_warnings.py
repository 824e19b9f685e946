"""Warnings about objects at this size of images and with these anchors: too small, lost as targets, fitted badly."""

import math
from collections.abc import Collection, Iterator, Mapping

from preprocess.report.data_warning import DataWarning, counted, percent
from preprocess.statistics import IOU_STEPS, ClassStatistics, Statistics
from yolo.data.records import Description

CELL = 32  # pixels
MOST_LOST, MOST_LOST_OF_CLASS = 0.05, 0.1  # of the objects; of VOC 2007 at 416 with five anchors 3 % are lost
# Pixels, bin of Statistics, and most objects below: 8 pixels are half a position of the network's finest features.
SMALL = 8, 6, 0.1
BELOW_CELL = CELL, 10, 0.5
LEAST_OBJECTS = 10  # that are lost or small: the share of fewer says nothing
LEAST_OF_ANCHOR = 0.01  # of the objects: an anchor with fewer is idle
LEAST_MEAN_IOU = 0.5  # of objects with their anchors; five anchors that are fitted to VOC 2007 have 0.6
LARGEST_ADVISED = 1216  # pixels of a side

Counts = Mapping[str, tuple[int, int]]  # by class: objects that are small or lost, and all


def lost(first: str, statistics: Statistics) -> Iterator[DataWarning]:
    """Objects that are no target, since another one of their image has their cell and anchor."""
    counts = {name: (each.num_lost, each.num_objects) for name, each in statistics.classes.items()}
    items, (number, total) = _worst(counts, MOST_LOST_OF_CLASS), _total(counts)
    is_most = number > MOST_LOST * total and number >= LEAST_OBJECTS
    if items or is_most:
        what = 'are lost as targets, since another one has the same cell and anchor'
        text = _say(what, first, counts, None if is_most else (len(items), MOST_LOST_OF_CLASS))
        advice = 'a larger --image_size has more cells (more anchors help less)'
        yield DataWarning('lost targets', text, items, advice)


def small(description: Description, first: str, statistics: Statistics) -> Iterator[DataWarning]:
    """Objects that the network hardly sees at this size of the images; of a class the worse of the two is said."""
    height, width = description.image_size
    size = f'{width}' if width == height else f'{width} x {height}'
    rest = dict(statistics.classes)  # those of which nothing was said yet
    for kind, (pixels, size_bin, most) in (('small objects', SMALL), ('smaller than a cell', BELOW_CELL)):
        counts = {name: (each.num_below(size_bin), each.num_objects) for name, each in statistics.classes.items()}
        items, (number, total) = _worst({name: counts[name] for name in rest}, most), _total(counts)
        is_most = number > most * total and number >= LEAST_OBJECTS and len(rest) == len(counts)
        if items or is_most:
            what = f'a cell of {CELL} pixels' if pixels == CELL else f'{pixels} pixels'
            text = _say(f'are under {what} at {size}', first, counts, None if is_most else (len(items), most))
            said = [rest[name] for name in rest if _worst({name: counts[name]}, most)] or rest.values()
            yield DataWarning(kind, text, items, _advise_size(description, said, size_bin, most))
        rest = {name: each for name, each in rest.items() if counts[name][0] <= most * counts[name][1]}


def _say(what: str, first: str, counts: Counts, classes: tuple[int, float] | None) -> str:
    """How many objects are small or lost; classes: number and share, if only some classes have more than that share."""
    number, total = _total(counts)
    numbers = f'{number:,} of {total:,}'
    if classes is None:
        return f'{percent(number, total)} of the objects of {first} ({numbers}) {what}'
    more = f'{counted(classes[0], "class")} of which more than {100 * classes[1]:.0f} % of the objects of {first}'
    return f'{more} {what} (of all {percent(number, total)}, {numbers})'


def _worst(counts: Counts, most: float) -> tuple[str, ...]:
    """Classes of whose objects more than that share are small or lost, the largest share first."""
    rows = [(name, part, all_) for name, (part, all_) in counts.items() if part >= LEAST_OBJECTS and part > most * all_]
    rows.sort(key=lambda row: -row[1] / row[2])
    return tuple(f'{percent(part, all_)} of {name!r} ({part:,} of {all_:,})' for name, part, all_ in rows)


def _total(counts: Counts) -> tuple[int, int]:
    return sum(part for part, _ in counts.values()), sum(number for _, number in counts.values())


def _advise_size(description: Description, classes: Collection[ClassStatistics], size_bin: int, most: float) -> str:
    """The size of images at which none of these classes has more than that share below a bin, if it is not too large.

    A few small objects of another class, which may be slips, say nothing of it.
    """
    height, width = description.image_size
    missing = [size_bin - _bin_of_share(each.sizes, most, size_bin) for each in classes]
    factor = 2 ** (max(missing) / 2)  # two bins are a doubling
    sides = [CELL * math.ceil(side * factor / CELL) for side in (width, height)]
    size = '' if max(sides) > LARGEST_ADVISED else f'={sides[0]}' if width == height else f'={sides[0]}x{sides[1]}'
    tiles = ', or cut the images into parts before and predict with --tiles'
    larger = f'use --image_size{size}' if size else 'use a larger --image_size'
    return larger if size and size_bin > SMALL[1] else larger + tiles


def _bin_of_share(sizes: list[int], most: float, highest: int) -> int:
    """The highest bin, up to `highest`, below which no more than a share of the objects are."""
    total = sum(sizes)
    return max(size_bin for size_bin in range(highest + 1) if sum(sizes[:size_bin]) <= most * total)


def anchors(description: Description, first: str, statistics: Statistics) -> Iterator[DataWarning]:
    """Anchors that are too small to be seen, that fit hardly an object, or that fit badly on the whole."""
    total, number = sum(statistics.anchors), len(description.anchors)
    if not total:
        return
    is_fitted = description.anchors_from.startswith('kmeans:')
    fit = f'--anchors=kmeans:{number} fits as many to the boxes'
    rows = [
        (f'anchor {i} of {CELL * w:.0f} x {CELL * h:.0f} pixels', CELL * math.sqrt(w * h), objects)
        for i, ((w, h), objects) in enumerate(zip(description.anchors, statistics.anchors, strict=True), 1)
    ]
    tiny = tuple(f'{name} (nearest to {counted(objects, "object")})' for name, side, objects in rows if side < SMALL[0])
    if tiny:
        text = f'{counted(len(tiny), "anchor")} under {SMALL[0]} pixels'
        advice = 'boxes of so few pixels are often slips: look at them; a larger --image_size makes true ones larger'
        yield DataWarning('small anchors', text, tiny, advice)
    idle = tuple(
        f'{name} ({percent(objects, total)}, {objects:,} of {total:,})'
        for name, _, objects in rows
        if objects < LEAST_OF_ANCHOR * total
    )
    if idle:
        text = f'{counted(len(idle), "anchor")} nearest to hardly any object of {first}'
        yield DataWarning('idle anchors', text, idle, 'ask for fewer: --anchors=kmeans:K' if is_fitted else fit)
    mean_iou = description.anchors_mean_iou
    if mean_iou < LEAST_MEAN_IOU:
        text = f'the anchors fit the boxes of {first} badly: their mean IoU is {mean_iou:.3f}, below {LEAST_MEAN_IOU}'
        advice = f'ask for more: --anchors=kmeans:{2 * number}' if is_fitted else fit
        yield DataWarning('anchors that fit badly', text, (), advice)


def describe_anchors(description: Description, statistics: Statistics) -> list[list[str]]:
    """A row for each anchor: number, cells, pixels, objects nearest to it, their share, their mean IoU with it."""
    total = sum(statistics.anchors)
    if not total:
        return []
    rows = zip(description.anchors, statistics.anchors, statistics.overlaps, strict=True)
    return [
        [
            f'{number}',
            f'{w:.2f} × {h:.2f}',
            f'{CELL * w:.0f} × {CELL * h:.0f}',
            f'{objects:,}',
            percent(objects, total),
            f'{overlap / IOU_STEPS / objects:.2f}' if objects else '–',
        ]
        for number, ((w, h), objects, overlap) in enumerate(rows, 1)
    ]
