"""A contact sheet of records: what training will see.

python -m preprocess show --data_dir=data/voc416 --split=test --out=sheet.png
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from absl.flags import FlagValues

from yolo import storage
from yolo.cli import flags
from yolo.data import grey, images, records, tfrecord
from yolo.data.draw import FONT, class_colour, contact_sheet, draw_detections, draw_regions
from yolo.data.records import Record
from yolo.geometry.letterbox import COLOUR
from yolo.settings import MOST_SEED, setting

TILE = 480  # pixels of the longer side of a tile
GRID_COLOUR = (255, 255, 255)
NO_REGIONS = np.zeros((0, 4))


def draw_record(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    places: np.ndarray,
    anchors: Sequence[tuple[float, float]],
    class_names: Sequence[str],
    regions: tuple[np.ndarray, np.ndarray] = (NO_REGIONS, NO_REGIONS[:, 0]),
    grid: tuple[int, int] | None = None,
) -> np.ndarray:
    """A record drawn large: grid, responsible cells, chosen anchors, ignore regions and true boxes.

    image (H, W, 3) uint8 RGB; boxes (N, 4) relative corners; labels (N,); places (N, 3) row, column, anchor;
    anchors (A, 2) w, h in cells; regions: boxes (R, 4) and classes (R,), -1 for any. grid: rows and
    columns; None for cells of 32 x 32 pixels of the image.
    """
    rows, columns = grid or (image.shape[0] // 32, image.shape[1] // 32)
    cell = max(1, TILE // max(rows, columns))
    canvas = cv2.resize(image, (columns * cell, rows * cell), interpolation=cv2.INTER_CUBIC)
    canvas = draw_regions(canvas, *regions)
    for place, label in zip(places, labels, strict=True):
        if place[0] >= 0:
            _fill_cell(canvas, place, cell, class_colour(int(label)))
    _draw_grid(canvas, cell)
    for place, label in zip(places, labels, strict=True):
        if place[0] >= 0:
            _draw_anchor(canvas, place, anchors[place[2]], cell, class_colour(int(label)))
    return draw_detections(canvas, boxes, labels, None, class_names)


def _fill_cell(canvas: np.ndarray, place: np.ndarray, cell: int, colour) -> None:
    area = canvas[place[0] * cell : (place[0] + 1) * cell, place[1] * cell : (place[1] + 1) * cell]
    area[:] = (0.6 * area + 0.4 * np.array(colour)).astype(np.uint8)


def _draw_grid(canvas: np.ndarray, cell: int) -> None:
    canvas[::cell] = (0.7 * canvas[::cell] + 0.3 * np.array(GRID_COLOUR)).astype(np.uint8)
    canvas[:, ::cell] = (0.7 * canvas[:, ::cell] + 0.3 * np.array(GRID_COLOUR)).astype(np.uint8)


def _draw_anchor(canvas: np.ndarray, place: np.ndarray, anchor, cell: int, colour) -> None:
    """The anchor as a dashed box around the middle of its cell."""
    middle = (place[1::-1] + 0.5) * cell
    half = np.array(anchor) * cell / 2
    (x0, y0), (x1, y1) = (middle - half).round().astype(int), (middle + half).round().astype(int)
    mask = np.zeros(canvas.shape[:2], np.uint8)
    cv2.rectangle(mask, (int(x0), int(y0)), (int(x1), int(y1)), 255, 1)
    ys, xs = np.nonzero(mask)
    dash = (xs + ys) % 12
    canvas[ys[dash < 7], xs[dash < 7]] = colour
    canvas[ys[dash >= 10], xs[dash >= 10]] = (0, 0, 0)


def read_records(data_dir: str, split: str, num: int, seed: int | None) -> list[Record]:
    """`num` records of a split, or as many as there are: the first ones, or drawn by `seed` and in their order.

    ValueError for a folder or a split that is not there, and for one without images.
    """
    description = records.read_description(data_dir)
    num_images = description.split(split).num_images
    if not num_images:
        raise ValueError(f'split {split!r} of {data_dir!r} has no images')
    num = min(num, num_images)
    chosen = np.arange(num) if seed is None else np.random.default_rng(seed).choice(num_images, num, replace=False)
    wanted, paths = set(chosen.tolist()), records.shard_paths(data_dir, split, description)
    return [record for number, record in enumerate(_read(paths, max(wanted) + 1)) if number in wanted]


def _read(paths: Sequence[str], num: int) -> Iterator[Record]:
    """The first `num` records of some files."""
    return itertools.islice((record for path in paths for record in _read_file(path)), num)


def _read_file(path: str) -> Iterator[Record]:
    with storage.reader(path) as file:
        for serialized in tfrecord.unframe(file, path):
            yield records.deserialize(serialized)


def make_sheet(data_dir: str, split: str, num: int, seed: int | None = None) -> tuple[np.ndarray, int]:
    """A sheet (H, W, 3) uint8 RGB of records of a split, captioned, with a legend; and how many they are.

    Which records, and the errors: as `read_records`.
    """
    shown = read_records(data_dir, split, num, seed)
    description = records.read_description(data_dir)
    tiles = [_tile(record, description, split) for record in shown]
    captions = [f'{record.image_id}  {record.size[1]} x {record.size[0]}' for record in shown]
    sheet = contact_sheet(tiles, captions)
    return np.concatenate([sheet, _legend(description, sheet.shape[1])]), len(shown)


def _tile(record: Record, description: records.Description, split: str) -> np.ndarray:
    stored = description.image_format, description.stored_size(split), description.channels
    image = grey.to_channels(images.decode_stored(record.image, *stored), COLOUR)
    anchors, classes = description.anchors, description.classes
    regions = record.regions, record.region_labels
    return draw_record(image, record.boxes, record.labels, record.places, anchors, classes, regions, description.grid)


def _legend(description: records.Description, width: int) -> np.ndarray:
    """What the drawing means, and the classes in their colours; as many lines as they need."""
    words = [('solid: true box   dashed: its anchor   filled: its responsible cell   grid: 32-pixel cells', (0, 0, 0))]
    if description.max_regions:
        words.append(('hatched: ignore region, in the colour of its class or white for any', (0, 0, 0)))
    words += [(storage.printable(name), class_colour(i)) for i, name in enumerate(description.classes)]
    line, x, placed = 0, 8, []
    for text, colour in words:
        size = cv2.getTextSize(text, FONT, 0.55, 1)[0][0] + 34
        if x + size > width and x > 8:
            line, x = line + 1, 8
        placed.append((text, colour, x, line))
        x += size
    strip = np.full(((line + 1) * 28 + 8, width, 3), 255, np.uint8)
    for text, colour, x, number in placed:
        y = number * 28 + 24
        if colour != (0, 0, 0):
            cv2.rectangle(strip, (x, y - 12), (x + 12, y), colour, cv2.FILLED)
            x += 18
        cv2.putText(strip, text, (x, y), FONT, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


@dataclasses.dataclass(frozen=True)
class ShowSettings:
    """What to draw."""

    data_dir: str = setting(None, 'Folder of records.', required=True)
    split: str = setting('test', 'Split to show.')
    out: str = setting('sheet.png', 'PNG to write.')
    num: int = setting(12, 'Records to show.', low=1, high=1000)
    seed: int = setting(
        None, 'Show records drawn at random with this seed.', low=0, high=MOST_SEED, unset='the first ones'
    )


def run(values: FlagValues) -> None:
    """Flags to library."""
    asked = flags.read(values, ShowSettings)
    sheet, num = make_sheet(asked.data_dir, asked.split, asked.num, asked.seed)
    storage.write(asked.out, images.encode_png(sheet))
    print(f'{asked.out}: {num} records of {asked.split}, {sheet.shape[1]} x {sheet.shape[0]} pixels')


COMMAND = flags.Command('preprocess show', __doc__ or '', (ShowSettings,), run, tensorflow=False)
