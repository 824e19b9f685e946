"""A small dataset to try everything on: drawn shapes in the folder layout of VOC.

  python -m preprocess shapes --out_dir=demo/VOC --num_train=640 --num_test=120 --seed=0

The same seed gives the same bytes. Image i of a split depends on the seed, the split and i alone: more images leave the
first ones as they are, and no test image is in the training split.
"""

import dataclasses
import math
import os

import cv2
import numpy as np
from absl.flags import FlagValues

from preprocess.demo import painting
from yolo import storage
from yolo.cli import flags
from yolo.data import voc_xml
from yolo.settings import MOST_SEED, setting

CLASSES = ('circle', 'ring', 'square', 'star', 'triangle')
DIFFICULT_COVER, DROPPED_COVER = 0.6, 0.9  # share of a shape under later shapes: difficult, not annotated at all
JPEG_QUALITY = 92
MARK = 'shapes.txt'  # says that this tool may write into the folder


@dataclasses.dataclass(frozen=True)
class Object:
    """One annotated shape: class name, (xmin, ymin, xmax, ymax) in VOC pixels (1-based, inclusive) and VOC's flags."""

    name: str
    box: tuple[int, int, int, int]
    truncated: bool
    difficult: bool


def draw_image(seed: int, split: int, index: int) -> tuple[np.ndarray, list[Object]]:
    """Image (H, W, 3) uint8 RGB, its sides 240 to 400 pixels, and what is annotated in it.

    A box is the exact extent of the shape's pixels that can be seen, as VOC annotates. `truncated`: the shape leaves
    the image; `difficult`: later shapes cover more than 60 % of it. Shapes covered to more than 90 % are left out.
    """
    rng = np.random.default_rng((seed, split, index))
    height, width = (int(side) for side in rng.integers(240, 401, 2))
    image = painting.background(rng, height, width)
    mean = image.mean((0, 1))
    shapes: list[tuple[str, int, bool]] = []
    visible: list[np.ndarray] = []
    for centre, radius in _layout(rng, height, width):
        name = CLASSES[rng.integers(len(CLASSES))]
        contours = painting.contours(rng, name, centre, radius)
        alpha = painting.fill(contours, height, width)
        colour = painting.contrasting(rng, mean, CLASSES.index(name) / len(CLASSES))  # each class has its hues
        painting.paint(rng, image, alpha, colour, centre, radius)
        solid = alpha >= 0.5
        visible = [seen & ~solid for seen in visible] + [solid]
        points = np.concatenate(contours)
        outside = (points < -0.5).any() or (points > (width - 0.5, height - 0.5)).any()
        shapes.append((name, int(solid.sum()), bool(outside)))
    grain = rng.standard_normal((height, width, 1), np.float32)  # of a sensor, over shapes and background
    image += rng.uniform(1, 5) * grain
    objects = []
    for seen, (name, area, truncated) in zip(visible, shapes, strict=True):
        cover = 1 - int(seen.sum()) / area
        if cover <= DROPPED_COVER:
            objects.append(Object(name, _tight_box(seen), truncated, cover > DIFFICULT_COVER))
    return np.clip(np.rint(image, out=image), 0, 255).astype(np.uint8), objects


def _tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """VOC pixels of a mask (H, W) bool that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]) + 1, int(rows[0]) + 1, int(columns[-1]) + 1, int(rows[-1]) + 1


def _layout(rng, height: int, width: int) -> list[tuple[np.ndarray, float]]:
    """Centres (x, y) and radii in pixels: mostly beside each other, some overlapping, some images crowded."""
    crowded = rng.random() < 0.15
    count = rng.integers(5, 9) if crowded else 1 + rng.binomial(4, 0.4)
    smallest, largest = (30, 48) if crowded else (42, 110)
    radii = np.exp(rng.uniform(math.log(smallest), math.log(largest), count))
    places: list[tuple[np.ndarray, float]] = []
    for radius in np.sort(radii)[::-1]:  # large ones first, so that they do not bury the small ones
        if places and rng.random() < 0.04:  # on top of another, which becomes difficult or goes unseen
            other, size = places[rng.integers(len(places))]
            places.append((other + rng.uniform(-0.4, 0.4, 2) * size, size * rng.uniform(0.9, 1.1)))
            continue
        inside = 0.55 if rng.random() < 0.2 else 1.02  # some leave the image a little
        low, high = inside * radius, np.array([width, height]) - 1 - inside * radius
        centres = rng.uniform(low, high, (24, 2))  # candidates: the first that is free, or the freest
        limit = rng.choice([0.3, 0.65, 0.85, 1.0], p=[0.08, 0.2, 0.3, 0.42])  # 1: circles may touch
        room = np.full(len(centres), 1.0)
        for other, size in places:
            room = np.minimum(room, np.hypot(*(centres - other).T) / (radius + size))
        free = np.flatnonzero(room >= limit)
        places.append((centres[free[0] if len(free) else room.argmax()], float(radius)))
    return places


def _annotation(image_id: str, shape: tuple[int, ...], objects: list[Object]) -> bytes:
    """The annotation of an image (H, W, 3) as VOC 2007 writes it."""
    head = {
        'folder': 'shapes',
        'filename': image_id + '.jpg',
        'source': {'database': 'Shapes', 'annotation': 'python -m preprocess shapes', 'image': 'drawn'},
        'size': {'width': shape[1], 'height': shape[0], 'depth': shape[2]},
        'segmented': 0,
    }
    elements = [
        {
            'name': each.name,
            'pose': 'Unspecified',
            'truncated': int(each.truncated),
            'difficult': int(each.difficult),
            'bndbox': dict(zip(voc_xml.SIDES, each.box, strict=True)),
        }
        for each in objects
    ]
    return voc_xml.format_annotation(head, elements, declaration=False)


def write_shapes(out_dir: str, num_train: int, num_test: int, seed: int) -> dict[str, int]:
    """Writes `num_train` images into the split trainval and `num_test` into test; returns the objects of each class.

    ValueError if `out_dir` holds something that this function did not write.
    """
    if os.path.isdir(out_dir) and os.listdir(out_dir) and not os.path.exists(os.path.join(out_dir, MARK)):
        raise ValueError(
            f'{out_dir!r} is not empty and was not made by `python -m preprocess shapes`: '
            'give another --out_dir or empty it'
        )
    for folder in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        storage.make_folder(os.path.join(out_dir, folder))
    command = f'python -m preprocess shapes --num_train={num_train} --num_test={num_test} --seed={seed}\n'
    storage.write(os.path.join(out_dir, MARK), command)
    counts = dict.fromkeys(CLASSES, 0)
    for split, (name, count) in enumerate((('trainval', num_train), ('test', num_test))):
        image_ids = [f'{name}_{index:05d}' for index in range(1, count + 1)]
        for index, image_id in enumerate(image_ids):
            image, objects = draw_image(seed, split, index)
            encoded = cv2.imencode('.jpg', image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1]
            storage.write(os.path.join(out_dir, 'JPEGImages', image_id + '.jpg'), encoded.tobytes())
            annotation = _annotation(image_id, image.shape, objects)
            storage.write(os.path.join(out_dir, 'Annotations', image_id + '.xml'), annotation)
            for each in objects:
                counts[each.name] += 1
        storage.write(
            os.path.join(out_dir, 'ImageSets/Main', name + '.txt'), ''.join(f'{i}\n' for i in image_ids).encode()
        )
    return counts


@dataclasses.dataclass(frozen=True)
class ShapesSettings:
    """What to draw."""

    out_dir: str = setting(None, 'Folder to write to.', required=True)
    num_train: int = setting(640, 'Images of the split trainval.', low=1, high=10**6)
    num_test: int = setting(120, 'Images of the split test.', low=1, high=10**6)
    seed: int = setting(0, 'Another seed, another dataset.', low=0, high=MOST_SEED)


def run(values: FlagValues) -> None:
    """Flags to library."""
    asked = flags.read(values, ShapesSettings)
    counts = write_shapes(asked.out_dir, asked.num_train, asked.num_test, asked.seed)
    shown = ', '.join(f'{count} {name}' for name, count in counts.items())
    print(f'{asked.out_dir}: {asked.num_train} images in trainval, {asked.num_test} in test, {shown}')


COMMAND = flags.Command('preprocess shapes', __doc__ or '', (ShapesSettings,), run, tensorflow=False)
