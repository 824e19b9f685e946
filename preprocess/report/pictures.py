"""Pictures of records for a page: the most crowded images, and an object of each class, as they are stored."""

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from preprocess.resume import Summary
from preprocess.statistics import MOST_CROWDED, Sight
from yolo import storage
from yolo.data import grey, images, index, records, tfrecord
from yolo.data.draw import class_colour
from yolo.data.records import Description, Record
from yolo.geometry.letterbox import COLOUR, from_canvas, inner_pixels
from yolo.pages import page

MOST_EXAMPLES = 200  # classes
EXAMPLE_SIDE = 112  # pixels
CROWDED_SIZE = (310, 232)  # most width and height
MARGIN = 0.25  # around an object, of its longer side
LEAST_SIDE = 24  # pixels of the stored image that are shown of an object
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
LUMINANCE, DARK = (0.299, 0.587, 0.114), 90  # of RGB; a colour that is no brighter has a white outline

Named = tuple[str, Sight]  # a split, and what is shown of it


def crowded(summaries: Mapping[str, Summary]) -> list[Named]:
    """The images with most objects of all splits; of equal ones those of the first split first."""
    found = [(split, sight) for split, summary in summaries.items() for sight in summary.statistics.crowded]
    return sorted(found, key=lambda each: -each[1].rank)[:MOST_CROWDED]


def examples(classes: Sequence[str], summaries: Mapping[str, Summary]) -> dict[str, Named]:
    """Where an object of each class is: of the first split that has some."""
    found: dict[str, Named] = {}
    for name in classes:
        for split, summary in summaries.items():
            if name in summary.statistics.classes and name not in found:
                found[name] = split, summary.statistics.classes[name].example
    return found


def draw_crowded(
    data_dir: str, description: Description, shown: Sequence[Named]
) -> Iterator[tuple[str, str, list[str], str]]:
    """Picture, title, lines and text in place of the picture of each image."""
    for (split, sight), record in zip(shown, _read(data_dir, description, shown), strict=True):
        image, boxes = _as_photographed(record, description, split)
        small = _fit(image, *CROWDED_SIZE)
        for box, label in zip(boxes, record.labels.tolist(), strict=True):
            _draw_box(small, box * np.tile(small.shape[1::-1], 2), class_colour(label))
        alt = f'{record.image_id} with the boxes of its {sight.rank:,} objects'
        yield page.picture(small, *CROWDED_SIZE), f'{sight.rank:,} objects', [f'{split} {record.image_id}'], alt


def draw_examples(
    data_dir: str, description: Description, shown: Mapping[str, Named]
) -> Iterator[tuple[str, str, list[str], str]]:
    """The same for an object of each class, at most MOST_EXAMPLES."""
    chosen = dict(list(shown.items())[:MOST_EXAMPLES])
    for (name, (split, sight)), record in zip(
        chosen.items(), _read(data_dir, description, list(chosen.values())), strict=True
    ):
        image, boxes = _as_photographed(record, description, split)
        crop = _crop(image, boxes[sight.object], class_colour(description.classes.index(name)))
        alt = f'an object of class {name} with its box'
        yield page.picture(crop, EXAMPLE_SIDE, EXAMPLE_SIDE), name, [f'{split} {record.image_id}'], alt


def _read(data_dir: str, description: Description, shown: Sequence[Named]) -> Iterator[Record]:
    """The records in which something is shown, one after the other."""
    indices = {split: index.read_index(data_dir, split, description) for split in dict(shown)}
    for split, sight in shown:
        place = indices[split]
        path = place.paths[place.files[sight.record]]
        with storage.reader(path) as file:
            file.seek(int(place.offsets[sight.record]))
            yield records.deserialize(next(tfrecord.unframe(file, path)))


def _as_photographed(record: Record, description: Description, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The stored image (H, W, 3) uint8 BGR without bars and with the aspect of the original, and boxes (N, 4) in it."""
    canvas = description.stored_size(split), description.resize
    how = description.image_format, canvas[0], description.channels
    stored = grey.to_channels(images.decode_stored(record.image, *how), COLOUR)
    left, top, width, height = inner_pixels(record.size, *canvas).tolist()
    inner = cv2.cvtColor(stored[top : top + height, left : left + width], cv2.COLOR_RGB2BGR)
    aspect = record.size[1] / record.size[0]
    size = (
        (max(1, round(height * aspect)), height) if aspect < width / height else (width, max(1, round(width / aspect)))
    )
    boxes = from_canvas(record.boxes, record.size, *canvas)
    return cv2.resize(inner, size, interpolation=cv2.INTER_AREA), boxes


def _crop(image: np.ndarray, box: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A square around an object, EXAMPLE_SIDE wide, with its box; box: relative to the image."""
    corners = box * np.tile(image.shape[1::-1], 2)
    centre, longer = (corners[:2] + corners[2:]) / 2, (corners[2:] - corners[:2]).max()
    half = max(longer * (0.5 + MARGIN), LEAST_SIDE / 2)
    low = np.maximum(np.floor(centre - half), 0).astype(int)
    high = np.minimum(np.ceil(centre + half), image.shape[1::-1]).astype(int)
    part = _fit(image[low[1] : high[1], low[0] : high[0]], EXAMPLE_SIDE, EXAMPLE_SIDE)
    scale = part.shape[1] / (high[0] - low[0])
    _draw_box(part, (corners - np.tile(low, 2)) * scale, colour)
    return part


def _fit(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The image as large as it can be in so many pixels, its sides in proportion."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _draw_box(image: np.ndarray, corners: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draws a box (4,) in pixels, in place; colour: RGB, the image is BGR."""
    x0, y0, x1, y1 = np.rint(corners - [0, 0, 1, 1]).astype(int).tolist()
    outline = BLACK if np.dot(colour, LUMINANCE) > DARK else WHITE  # to be seen on any picture
    for more, drawn in ((1, outline), (0, colour[::-1])):
        cv2.rectangle(image, (x0 - more, y0 - more), (max(x0, x1) + more, max(y0, y1) + more), drawn, 1)
