"""Large pictures with small objects: detection in overlapping tiles and in the whole picture, as one result.

A network sees every picture at its own size, so that objects of a few pixels vanish in a large one. Each tile is
detected as a photo of its own, and the whole picture as one more, for the objects that are larger than a tile. An
object in an overlap is found more than once, and one at the edge of a tile is cut there. Boxes of different tiles are
merged:

1. A box that a tile's edge cuts, and of which more than half lies in a box that is not cut, is a part of that object:
   it goes, whatever its score.
2. Two cut boxes of which the smaller lies in the other by more than half are parts of one object: their union remains,
   with the better score.
3. The rest is suppressed as in a photo, by the detector's IoU, or averaged (nms='wbf').

Boxes of one tile are suppressed, and never averaged: a mean may end short of the edge that cuts its object, and would
no longer count as cut.

(Slicing with the whole picture: Akyon et al., "Slicing aided hyper inference", 2022. It merges all boxes by rule 2,
which joins neighbours in a crowd; here that is for cut boxes alone.)
"""

import copy
import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from yolo import settings
from yolo.detection import host
from yolo.detection.detector import Detector, PhotoDetections, Prepared
from yolo.detection.options import ALL_CLASSES, GREEDY

MOST_TILES = 64  # rows or columns
EDGE = 0.02  # of a tile's side: a box that ends so near to an inner edge is taken for cut
PART = 0.5  # of a box's area


def overlap_setting(group: str = '') -> Any:
    """How much tiles overlap."""
    return settings.setting(
        0.2, 'Of --tiles: the share of a tile that lies in the next one.', group=group, low=0, high=0.9
    )


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How pictures are cut: rows x columns of tiles of one size, and the share of a tile that overlaps the next one."""

    rows: int = settings.setting(1, 'Rows.', low=1, high=MOST_TILES)
    columns: int = settings.setting(1, 'Columns.', low=1, high=MOST_TILES)
    overlap: float = overlap_setting()

    def __post_init__(self) -> None:
        settings.check(self)

    def tiles(self, size: tuple[int, int]) -> np.ndarray:
        """Left, top, right, bottom (T, 4) in pixels of the tiles of a picture of `size` = height, width, row by row."""
        tops, height = _spans(size[0], self.rows, self.overlap)
        lefts, width = _spans(size[1], self.columns, self.overlap)
        top, left = (each.ravel() for each in np.meshgrid(tops, lefts, indexing='ij'))
        return np.stack([left, top, left + width, top + height], 1)


def parse_tiles(text: str) -> tuple[int, int]:
    """Rows and columns of '2x3'; ValueError if it is anything else."""
    numbers = re.fullmatch(r'([0-9]{1,3})[xX]([0-9]{1,3})', text)
    if not numbers or not all(1 <= int(number) <= MOST_TILES for number in numbers.groups()):
        raise ValueError(f'--tiles={text[:40]}: not rows x columns, such as 2x3, of at most {MOST_TILES} each')
    return int(numbers[1]), int(numbers[2])


def _spans(length: int, number: int, overlap: float) -> tuple[np.ndarray, int]:
    """Where the parts of a side begin (at most `number`, at equal steps), and how long they are, in pixels."""
    part = min(length, int(np.ceil(length / (number - (number - 1) * overlap))))
    return np.unique(np.rint(np.linspace(0, length - part, number)).astype(int)), part


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found in the tiles of a picture.

    boxes (N, 4) xmin, ymin, xmax, ymax in pixels of the picture; scores (N,); classes (N,); tiles (N,): the number of
    the tile of each; is_cut (N,) bool: whether it ends at an edge of its tile that is none of the picture.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    tiles: np.ndarray
    is_cut: np.ndarray

    def take(self, which: np.ndarray) -> 'Found':
        return Found(*(array[which] for array in vars(self).values()))


class TiledDetector(Detector):
    """The same detector, for which every photo is a large picture.

    What it returns has at most the detector's `max_detections` a photo.
    """

    def __init__(self, detector: Detector, tiling: Tiling):
        sizes = detector.image_size, detector.resize, detector.batch_size
        network = detector.backend, detector.classes, detector.anchors
        kind = detector.channels, detector.grey_range, detector.box_convention
        super().__init__(*network, *sizes, detector.limits, *kind)
        self._plain, self._tiling = copy.copy(detector), tiling
        self._plain.limits = dataclasses.replace(detector.limits, nms=GREEDY)  # of what tiles find: `merge` averages

    def prepare(self, photo: np.ndarray) -> Prepared:
        """The tiles of a photo (H, W, 3 or 1) uint8 RGB or grey, and all of it, each at the network's size."""
        places = _places(photo.shape[:2], self._tiling).tolist()
        crops = [photo[top:bottom, left:right] for left, top, right, bottom in places]
        inputs = np.concatenate([self._plain.prepare(crop).inputs for crop in crops])
        return Prepared(inputs, (photo.shape[0], photo.shape[1]))

    def _detect(self, photos: Sequence[Prepared], batch_size: int) -> list[PhotoDetections]:
        """The objects in each photo, in its pixels. Tiles of several photos are computed together."""
        places = [_places(photo.size, self._tiling) for photo in photos]
        tiles = _tiles(photos, places)
        found: list[PhotoDetections] = []
        while batch := list(itertools.islice(tiles, self.batch_size)):
            found += self._plain.detect_prepared(batch)
        results, ends = [], np.cumsum([len(own) for own in places])
        for photo, own, end in zip(photos, places, ends, strict=True):
            merged = merge(_gather(found[end - len(own) : end], own, photo.size), self.limits)
            results.append(_result(merged, photo.size, self.classes))
        return results


def _places(size: tuple[int, ...], tiling: Tiling) -> np.ndarray:
    """Left, top, right, bottom (T, 4) of the tiles and, as the last one, of the whole picture."""
    whole = np.array([[0, 0, size[1], size[0]]])
    tiles = tiling.tiles((size[0], size[1]))
    return whole if len(tiles) == 1 else np.concatenate([tiles, whole])


def _tiles(photos: Sequence[Prepared], places: Sequence[np.ndarray]) -> Iterator[Prepared]:
    """The tiles of all photos, each as a photo of its own."""
    for photo, own in zip(photos, places, strict=True):
        for tile, (left, top, right, bottom) in zip(photo.inputs, own.tolist(), strict=True):
            yield Prepared(tile[None], (bottom - top, right - left))


def _gather(found: Sequence[PhotoDetections], places: np.ndarray, size: tuple[int, ...]) -> Found:
    """What was found in the tiles of a picture of `size` = height, width."""
    tiles = np.repeat(np.arange(len(found)), [len(each) for each in found])
    corner = np.tile(places[:, :2], 2)
    boxes = np.concatenate([each.boxes for each in found]) + corner[tiles]
    scores, classes = (np.concatenate([getattr(each, name) for each in found]) for name in ('scores', 'classes'))
    low, high = places[tiles, :2], places[tiles, 2:]  # (N, 2) x, y
    near = EDGE * (high - low)
    cut_low = (low > 0) & (boxes[:, :2] < low + near)
    cut_high = (high < [size[1], size[0]]) & (boxes[:, 2:] > high - near)
    return Found(boxes, scores, classes, tiles, (cut_low | cut_high).any(1))


def merge(found: Found, limits: host.Thresholds) -> Found:
    """The detections of a picture, best score first, from those of its tiles: see the top of this file."""
    any_class = limits.nms_scope == ALL_CLASSES
    whole, cut = found.take(~found.is_cut), found.take(found.is_cut)
    cut = cut.take(~_is_part(cut, whole, any_class))
    parts = [whole, *_unions(cut, any_class)]
    together = Found(*(np.concatenate(arrays) for arrays in zip(*(vars(each).values() for each in parts), strict=True)))
    kept, boxes = host.select(together.boxes, together.scores, together.classes, limits)
    return dataclasses.replace(together.take(kept), boxes=boxes)


def _is_part(cut: Found, whole: Found, any_class: bool) -> np.ndarray:
    """Whether more than half of each cut box (N,) lies in a whole box of another tile."""
    is_part = np.zeros(len(cut.boxes), bool)
    for i in range(len(whole.boxes)):
        is_other = (cut.tiles != whole.tiles[i]) & (any_class | (cut.classes == whole.classes[i]))
        is_part |= is_other & (_shared(cut.boxes, whole.boxes[i]) > PART * _areas(cut.boxes))
    return is_part


def _unions(cut: Found, any_class: bool) -> Iterator[Found]:
    """The cut boxes, each grown by its parts in other tiles, of each tile at most one; best score first."""
    rest = cut.take(np.argsort(-cut.scores, kind='stable'))
    while len(rest.boxes):
        best, rest = rest.take(np.arange(1)), rest.take(np.arange(1, len(rest.boxes)))
        box, seen = best.boxes[0], [best.tiles[0]]
        while True:
            may_join = ~np.isin(rest.tiles, seen) & (any_class | (rest.classes == best.classes[0]))
            smaller = np.minimum(_areas(rest.boxes), _areas(box))
            share = np.where(may_join, _shared(rest.boxes, box) / np.maximum(smaller, 1e-9), 0)
            if share.max(initial=0) <= PART:
                break
            joined = int(share.argmax())
            seen.append(rest.tiles[joined])
            box = np.concatenate([np.minimum(box, rest.boxes[joined])[:2], np.maximum(box, rest.boxes[joined])[2:]])
            rest = rest.take(np.arange(len(rest.boxes)) != joined)
        yield dataclasses.replace(best, boxes=box[None])


def _areas(boxes: np.ndarray) -> np.ndarray:
    """Areas (...) of boxes (..., 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _shared(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The area (N,) that each of the boxes (N, 4) shares with one."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    return np.prod(np.maximum(sides, 0), 1)


def _result(found: Found, size: tuple[int, ...], classes: Sequence[str]) -> PhotoDetections:
    """The same as the result of a detector; size: height, width of the picture."""
    relative = (found.boxes / [size[1], size[0], size[1], size[0]]).astype(np.float32)
    labels = tuple(classes[k] for k in found.classes)
    return PhotoDetections(found.boxes, relative, found.scores, found.classes, labels)
