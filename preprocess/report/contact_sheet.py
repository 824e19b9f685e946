"""A contact sheet of records: what training will see.

python -m preprocess show --data_dir=data/voc416 --split=test --out=sheet.png
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from absl import flags

from preprocess import commands
from yolo import storage
from yolo.cli.flags import errors_as_lines
from yolo.data import images, parsing, records
from yolo.data.draw import FONT, class_colour, contact_sheet, draw_detections

TILE = 480  # pixels of the longer side of a tile
GRID_COLOUR = (255, 255, 255)


def draw_record(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    places: np.ndarray,
    anchors: Sequence[tuple[float, float]],
    class_names: Sequence[str],
) -> np.ndarray:
    """A record drawn large: grid, responsible cells, chosen anchors and true boxes.

    image (H, W, 3) uint8 RGB; boxes (N, 4) relative corners; labels (N,); places (N, 3) row, column, anchor;
    anchors (A, 2) w, h in cells.
    """
    rows, columns = image.shape[0] // 32, image.shape[1] // 32
    cell = max(1, TILE // max(rows, columns))
    canvas = cv2.resize(image, (columns * cell, rows * cell), interpolation=cv2.INTER_CUBIC)
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


def read_records(data_dir: str, split: str, num: int, seed: int | None) -> list[dict[str, Any]]:
    """`num` records of a split, or as many as there are: the first ones, or drawn by `seed` and in their order.

    Each as `parsing.parse_annotations` gives it, without padding, and `image` (H, W, 3) uint8 RGB. ValueError for a
    folder or a split that is not there, and for one without images.
    """
    description = records.read_description(data_dir)
    dataset = tf.data.TFRecordDataset(records.shard_paths(data_dir, split, description))
    num_images = description.split(split).num_images
    if not num_images:
        raise ValueError(f'split {split!r} of {data_dir!r} has no images')
    num = min(num, num_images)
    chosen = np.arange(num) if seed is None else np.random.default_rng(seed).choice(num_images, num, replace=False)
    chosen = np.sort(chosen)
    if seed is not None:
        dataset = dataset.enumerate().filter(lambda i, _: tf.reduce_any(i == chosen)).map(lambda _, record: record)
    found = []
    for serialized in dataset.take(num):
        parsed = parsing.parse_annotations(serialized[None], description.max_boxes)
        record: dict[str, Any] = {name: value.numpy()[0] for name, value in parsed.items()}
        real = record['labels'] >= 0
        record |= {name: record[name][real] for name in ('boxes', 'labels', 'places', 'difficult')}
        found.append(
            record
            | {
                'image': images.decode_stored(
                    parsing.parse_image(serialized).numpy(), description.image_format, description.image_size
                )
            }
        )
    return found


def make_sheet(data_dir: str, split: str, num: int, seed: int | None = None) -> tuple[np.ndarray, int]:
    """A sheet (H, W, 3) uint8 RGB of records of a split, captioned, with a legend; and how many they are.

    Which records, and the errors: as `read_records`.
    """
    found = read_records(data_dir, split, num, seed)
    description = records.read_description(data_dir)
    tiles = [
        draw_record(
            each['image'], each['boxes'], each['labels'], each['places'], description.anchors, description.classes
        )
        for each in found
    ]
    sheet = contact_sheet(
        tiles, [f'{each["image_id"].decode()}  {each["size"][1]} x {each["size"][0]}' for each in found]
    )
    return np.concatenate([sheet, _legend(description, sheet.shape[1])]), len(found)


def _legend(description: records.Description, width: int) -> np.ndarray:
    """What the drawing means, and the classes in their colours; as many lines as they need."""
    words = [('solid: true box   dashed: its anchor   filled: its responsible cell   grid: 32-pixel cells', (0, 0, 0))]
    words += [(name, class_colour(i)) for i, name in enumerate(description.classes)]
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


def _flags() -> flags.FlagValues:
    """The flags of this command, apart from those of the other commands."""
    values = flags.FlagValues()
    flags.DEFINE_string('data_dir', None, 'Folder of records.', flag_values=values, required=True)
    flags.DEFINE_string('split', 'test', 'Split to show.', flag_values=values)
    flags.DEFINE_string('out', 'sheet.png', 'PNG to write.', flag_values=values)
    flags.DEFINE_integer('num', 12, 'Records to show, the first ones unless there is a seed.', 1, flag_values=values)
    flags.DEFINE_integer('seed', None, 'Shows records drawn at random with this seed.', 0, flag_values=values)
    return values


def main(argv: list[str]) -> None:
    """Runs the command; argv as sys.argv, so that argv[0] is its name. Bad input becomes a line and exit code 1."""
    values = _flags()
    with errors_as_lines(tf.errors.OpError):
        if not commands.parse(values, argv, __doc__):
            return
        sheet, num = make_sheet(values.data_dir, values.split, values.num, values.seed)
        storage.write(values.out, images.encode_png(sheet))
    print(f'{values.out}: {num} records of {values.split}, {sheet.shape[1]} x {sheet.shape[0]} pixels')
