"""What the records are like: counts in fixed bins and a few single records; their memory does not grow with the data.

They are gathered as records are written, and all of them are whole numbers, so that neither the shards nor their order
of writing nor a kill between them changes the sum.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from yolo.data.records import Record
from yolo.geometry.assignment import sizes_iou
from yolo.settings import recorded

SIZE_BINS = (
    29  # of the side of an object in pixels: from 2 ** (i / 2) up to 2 ** ((i + 1) / 2); 8 is in bin 6, 32 in 10
)
PLANE = 32  # rows and columns of the map of centres
MOST_ASPECT = 8  # aspects have bins of half doublings, from 1 : 16 to 16 : 1
IOU_STEPS = 10_000  # an IoU is counted in these
MOST_CROWDED = 8  # images
LEAST_PIXELS = 1e-6  # of width and height; letterboxing can round a thinner box to nothing
ROUNDING = 1e-5  # relative; an object of 8 pixels stays one when its box is rounded to float32


@dataclasses.dataclass
class Sight:
    """An object or image worth showing. record: its number in the split; object: its number in the record."""

    record: int = recorded(0, low=0)
    object: int = recorded(0, low=0)
    rank: int = recorded(0, low=0)  # of an example: 1 if it is difficult; of a crowded image: its objects


@dataclasses.dataclass
class ClassStatistics:
    """The objects of one class.

    num_lost: those whose cell and anchor another object of the image takes; examples: the first object, not difficult
    if there is such a one, of each bin of sizes that has any, by the bin's number.
    """

    num_images: int = recorded(0, low=0)
    num_lost: int = recorded(0, low=0)
    sizes: list[int] = dataclasses.field(default_factory=list)  # (SIZE_BINS,) by side
    examples: dict[str, Sight] = dataclasses.field(default_factory=dict)

    @property
    def num_objects(self) -> int:
        """All of them."""
        return sum(self.sizes)

    @property
    def example(self) -> Sight:
        """An object of the size nearest to the median of the class, not difficult if there is such a one."""
        median = int(np.searchsorted(np.cumsum(self.sizes), self.num_objects / 2))
        return min(self.examples.items(), key=lambda each: (each[1].rank, abs(int(each[0]) - median), int(each[0])))[1]

    def num_below(self, size_bin: int) -> int:
        """Objects whose side is in a bin below."""
        return sum(self.sizes[:size_bin])


@dataclasses.dataclass
class Statistics:
    """The objects of a split or a part of it; lists are empty as long as there are no objects.

    The side of an object is the square root of its width x height, in pixels of the network's image.
    """

    classes: dict[str, ClassStatistics] = dataclasses.field(default_factory=dict)  # those with objects
    centres: list[int] = dataclasses.field(default_factory=list)  # (PLANE * PLANE,) row by row
    aspects: list[int] = dataclasses.field(default_factory=list)  # (2 MOST_ASPECT + 1,) by width / height in pixels
    anchors: list[int] = dataclasses.field(default_factory=list)  # (A,) objects by their anchor
    overlaps: list[int] = dataclasses.field(default_factory=list)  # (A,) sums of IoU with the anchor, in IOU_STEPS
    crowded: list[Sight] = dataclasses.field(default_factory=list)  # images with most objects, at least two

    def add(self, other: 'Statistics', num_before: int) -> None:
        """Takes another part in, whose records begin behind num_before ones."""
        for name, theirs in other.classes.items():
            ours = self.classes.get(name)
            ours = ours or ClassStatistics()
            examples = dict(ours.examples)
            for size_bin, sight in theirs.examples.items():
                both = [_moved(sight, num_before), *filter(None, [examples.get(size_bin)])]
                examples[size_bin] = min(both, key=lambda each: (each.rank, each.record))
            self.classes[name] = ClassStatistics(
                ours.num_images + theirs.num_images,
                ours.num_lost + theirs.num_lost,
                _sum(ours.sizes, theirs.sizes),
                examples,
            )
        for name in ('centres', 'aspects', 'anchors', 'overlaps'):
            setattr(self, name, _sum(getattr(self, name), getattr(other, name)))
        crowded = self.crowded + [_moved(sight, num_before) for sight in other.crowded]
        self.crowded = sorted(crowded, key=lambda sight: (-sight.rank, sight.record))[:MOST_CROWDED]

    def find_problem(self, objects: Mapping[str, int], num_images: int) -> str:
        """What cannot be in the statistics of objects by name in so many images, '' if all can."""
        total = sum(objects.values())
        counted = {name: each.num_objects for name, each in self.classes.items()}
        if counted != {name: number for name, number in objects.items() if number}:
            return f'statistics.classes counts {sum(counted.values())} objects, or other classes; there are {total}'
        lists = {'centres': PLANE**2, 'aspects': 2 * MOST_ASPECT + 1, 'anchors': len(self.anchors)}
        lists |= {'overlaps': len(self.anchors)}
        for name, length in lists.items():
            values = getattr(self, name)
            if (values or total) and (len(values) != length or min(values, default=0) < 0):
                return f'statistics.{name} is not {length} counts'
            if name != 'overlaps' and sum(values) != total:
                return f'statistics.{name} counts {sum(values)} objects; there are {total}'
        classes = self.classes.values()
        if any(len(each.sizes) != SIZE_BINS or min(each.sizes) < 0 for each in classes):
            return f'statistics.classes has sizes that are not {SIZE_BINS} counts'
        if any({str(i) for i, number in enumerate(each.sizes) if number} != set(each.examples) for each in classes):
            return 'statistics.classes has examples of other sizes than there are'
        sights = [*self.crowded, *(sight for each in classes for sight in each.examples.values())]
        if any(sight.record >= num_images for sight in sights):
            return f'statistics shows a record that is not among {num_images}'
        return ''


def _sum(ours: Sequence[int], theirs: Sequence[int]) -> list[int]:
    """The sum of two lists, of which either may be empty."""
    return (np.array(ours) + np.array(theirs)).tolist() if ours and theirs else list(ours or theirs)


def _moved(sight: Sight, num_before: int) -> Sight:
    return dataclasses.replace(sight, record=sight.record + num_before)


def gather(
    written: Sequence[Record], classes: Sequence[str], anchors: np.ndarray, image_size: tuple[int, int]
) -> Statistics:
    """The statistics of some records with places; anchors (A, 2) w, h in cells; image_size: height, width."""
    counts = [len(record.labels) for record in written]
    if not sum(counts):
        return Statistics()
    owners = np.repeat(np.arange(len(counts)), counts)  # (N,) the record of each object
    boxes = np.concatenate([record.boxes for record in written]).astype(float)  # (N, 4)
    labels = np.concatenate([record.labels for record in written])  # (N,)
    places = np.concatenate([record.places for record in written])  # (N, 3) row, column, anchor
    difficult = np.concatenate([record.difficult for record in written])  # (N,)
    pixels = np.maximum((boxes[:, 2:] - boxes[:, :2]) * image_size[::-1], LEAST_PIXELS)  # (N, 2) w, h
    taken = np.maximum(places[:, 2], 0)  # (N,) the anchor; 0 for a box that was rounded to nothing
    overlaps = np.rint(sizes_iou(pixels / 32, anchors)[np.arange(len(taken)), taken] * IOU_STEPS)
    return Statistics(
        _by_class(owners, labels, pixels, _lost(owners, places), difficult, classes),
        _count_centres(boxes),
        np.bincount(_aspects(pixels) + MOST_ASPECT, minlength=2 * MOST_ASPECT + 1).tolist(),
        np.bincount(taken, minlength=len(anchors)).tolist(),
        np.bincount(taken, overlaps, len(anchors)).astype(int).tolist(),
        _crowded(counts),
    )


def _lost(owners: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Which objects (N,) bool have a later one of their image at their cell and anchor: that one is the target."""
    keys = np.concatenate([owners[:, None], places], 1)[::-1]
    _, last = np.unique(keys, axis=0, return_index=True)
    is_lost = np.ones(len(owners), bool)
    is_lost[len(owners) - 1 - last] = False
    return is_lost


def _size_bins(pixels: np.ndarray) -> np.ndarray:
    """The bin (N,) of the side of objects of width and height (N, 2)."""
    sides = np.sqrt(pixels.prod(1)) * (1 + ROUNDING)
    return np.clip(np.floor(2 * np.log2(np.maximum(sides, 1))), 0, SIZE_BINS - 1).astype(int)


def _aspects(pixels: np.ndarray) -> np.ndarray:
    """The bin (N,), -MOST_ASPECT..MOST_ASPECT, of width / height."""
    return np.clip(np.rint(2 * np.log2(pixels[:, 0] / pixels[:, 1])), -MOST_ASPECT, MOST_ASPECT).astype(int)


def _count_centres(boxes: np.ndarray) -> list[int]:
    """How many centres of boxes (N, 4) are in each part of the image, row by row."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    cells = np.clip((centres * PLANE).astype(int), 0, PLANE - 1)
    return np.bincount(cells[:, 1] * PLANE + cells[:, 0], minlength=PLANE**2).tolist()


def _crowded(counts: Sequence[int]) -> list[Sight]:
    """The records with most objects, at least two; the first of equal ones."""
    order = np.argsort(-np.array(counts), kind='stable')[:MOST_CROWDED].tolist()
    return [Sight(record, 0, counts[record]) for record in order if counts[record] > 1]


def _by_class(
    owners: np.ndarray,
    labels: np.ndarray,
    pixels: np.ndarray,
    is_lost: np.ndarray,
    difficult: np.ndarray,
    classes: Sequence[str],
) -> dict[str, ClassStatistics]:
    num = len(classes)
    keys = labels * SIZE_BINS + _size_bins(pixels)  # (N,) class and bin of each object
    sizes = np.bincount(keys, minlength=num * SIZE_BINS).reshape(num, SIZE_BINS)
    pairs = np.unique(owners * num + labels)  # of image and class
    num_images = np.bincount(pairs % num, minlength=num)
    num_lost = np.bincount(labels[is_lost], minlength=num)
    order = np.lexsort((difficult, keys))  # stable: the first of equal ones
    present, best = np.unique(keys[order], return_index=True)
    first_of = np.searchsorted(owners, owners)  # (N,) the first object of each object's record
    found: dict[str, ClassStatistics] = {}
    for key, i in zip(present.tolist(), order[best].tolist(), strict=True):
        k, size_bin = divmod(key, SIZE_BINS)
        each = found.setdefault(classes[k], ClassStatistics(int(num_images[k]), int(num_lost[k]), sizes[k].tolist()))
        each.examples[str(size_bin)] = Sight(int(owners[i]), i - int(first_of[i]), int(difficult[i]))
    return found
