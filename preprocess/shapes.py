"""A small dataset to try everything on: drawn shapes in the folder layout of VOC.

  python -m preprocess shapes --out_dir=demo/VOC --num_train=480 --num_test=120 --seed=0

The same seed gives the same bytes. Image i of a split depends on the seed, the split and i alone: more images leave the
first ones as they are, and no test image is in the training split.
"""

import dataclasses
import math
import os
import sys
import xml.etree.ElementTree as ET  # for writing only
from typing import Any

import cv2
import numpy as np
from absl import flags, logging

CLASSES = ('circle', 'ring', 'square', 'star', 'triangle')
DIFFICULT_COVER, DROPPED_COVER = 0.6, 0.9  # share of a shape under later shapes: difficult, not annotated at all
MIN_CONTRAST = 130.0  # Euclidean RGB distance of a shape's colour from the background's mean
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
    image = _background(rng, height, width)
    mean = image.mean((0, 1))
    shapes: list[tuple[str, int, bool]] = []
    visible: list[np.ndarray] = []
    for centre, radius in _layout(rng, height, width):
        name = CLASSES[rng.integers(len(CLASSES))]
        contours = _contours(rng, name, centre, radius)
        alpha = _fill(contours, height, width)
        _paint(rng, image, alpha, _contrasting(rng, mean), centre, radius)
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
    count = rng.integers(6, 11) if crowded else 1 + rng.binomial(5, 0.4)
    smallest, largest = (13, 28) if crowded else (18, 80)
    radii = np.exp(rng.uniform(math.log(smallest), math.log(largest), count))
    places: list[tuple[np.ndarray, float]] = []
    for radius in np.sort(radii)[::-1]:  # large ones first, so that they do not bury the small ones
        if places and rng.random() < 0.06:  # on top of another, which becomes difficult or goes unseen
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


def _contours(rng, name: str, centre: np.ndarray, radius: float) -> list[np.ndarray]:
    """Polygons (P, 2) x, y in pixels (centre of the first pixel at 0) of a turned, slightly stretched shape."""

    def regular(corners: int, reach=1.0) -> np.ndarray:
        angles = np.arange(corners) * (2 * np.pi / corners)
        return np.stack([np.cos(angles), np.sin(angles)], -1) * reach

    unit = {
        'circle': lambda: [regular(72)],
        'ring': lambda: [regular(72), regular(72, rng.uniform(0.45, 0.65))],
        'square': lambda: [regular(4)],
        'star': lambda: [regular(10, np.where(np.arange(10) % 2, rng.uniform(0.42, 0.5), 1.0)[:, None])],
        'triangle': lambda: [regular(3)],
    }[name]()
    angle, spin = rng.uniform(0, 2 * np.pi, 2)  # stretch along any direction, turn by any angle
    turn = [np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) for a in (angle, spin)]
    stretch = np.diag([1.0, rng.uniform(0.8, 1.0)])
    return [centre + radius * (points @ turn[0] @ stretch @ turn[1]) for points in unit]


def _fill(contours: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Coverage (H, W) float32 0..1 of polygons (P, 2), anti-aliased; a polygon in a polygon is a hole."""
    alpha = np.zeros((height, width), np.uint8)
    fixed = [np.rint(points * 256).astype(np.int32) for points in contours]  # 8 fractional bits
    cv2.fillPoly(alpha, fixed, 255, cv2.LINE_AA, shift=8)
    return alpha.astype(np.float32) / 255


def _paint(rng, image: np.ndarray, alpha: np.ndarray, colour: np.ndarray, centre: np.ndarray, radius: float) -> None:
    """Lays a shaded, textured shape with a rim and a soft shadow onto the image (H, W, 3) float32, in place."""
    reach = int(radius + 16)
    x, y = (int(value) for value in centre)
    window = slice(max(y - reach, 0), y + reach), slice(max(x - reach, 0), x + reach)
    image, alpha = image[window], alpha[window]
    height, width = alpha.shape
    shift = np.array([[1, 0, rng.uniform(-5, 5)], [0, 1, rng.uniform(2, 6)]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(alpha, shift, (width, height)), (0, 0), 3.5)
    image *= 1 - rng.uniform(0.15, 0.5) * shadow[..., None]

    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    light = ((columns - width / 2) * math.cos(angle) + (rows - height / 2) * math.sin(angle)) / radius
    shade = 1 + rng.uniform(0, 0.25) * np.clip(light, -1, 1) + _texture(rng, rows, columns, radius)
    ink = colour * shade[..., None]
    rim = max(1, round(radius * rng.uniform(0.04, 0.12)))
    inner = cv2.erode(alpha, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1)))
    ink *= 1 - float(rng.choice([0.0, 0.35, 0.55])) * (1 - inner[..., None])
    image += alpha[..., None] * (np.clip(ink, 0, 255) - image)


def _texture(rng, rows: np.ndarray, columns: np.ndarray, radius: float) -> np.ndarray:
    """Relative brightness (H, W) around 0 of a shape's surface: plain, cloudy, striped or dotted."""
    kind = rng.choice(['plain', 'cloudy', 'striped', 'dotted'], p=[0.4, 0.2, 0.2, 0.2])
    strength, period, angle = rng.uniform(0.06, 0.16), max(5.0, radius * rng.uniform(0.2, 0.5)), rng.uniform(0, np.pi)
    if kind == 'plain':
        return np.zeros_like(rows)
    if kind == 'cloudy':
        return 2 * strength * (_clouds(rng, rows.shape[0], rows.shape[1], octaves=3) - 0.5)
    along = np.sin((columns * math.cos(angle) + rows * math.sin(angle)) * (2 * math.pi / period))
    across = np.sin((rows * math.cos(angle) - columns * math.sin(angle)) * (2 * math.pi / period))
    return strength * np.tanh(3 * along) if kind == 'striped' else strength * np.tanh(6 * (along * across - 0.3))


def _contrasting(rng, mean: np.ndarray) -> np.ndarray:
    """A vivid colour (3,) RGB that stands out from the background's mean (3,)."""
    colours = _colours(rng, 16, saturation=(90, 256), value=(70, 256))
    far = np.linalg.norm(colours - mean, axis=-1)
    return colours[(far > MIN_CONTRAST).argmax() if (far > MIN_CONTRAST).any() else far.argmax()]


def _colours(rng, count: int, saturation: tuple[int, int], value: tuple[int, int]) -> np.ndarray:
    """Random colours (count, 3) float32 RGB 0..255 of any hue."""
    hsv = np.stack([rng.integers(0, 180, count), rng.integers(*saturation, count), rng.integers(*value, count)], -1)
    return cv2.cvtColor(hsv[None].astype(np.uint8), cv2.COLOR_HSV2RGB)[0].astype(np.float32)


def _clouds(rng, height: int, width: int, octaves: int) -> np.ndarray:
    """Smooth noise (H, W) float32, 0..1: random grids, each finer and fainter than the one before."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        grid = rng.random((3 * 2**octave, 3 * 2**octave), np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return (total - total.min()) / np.ptp(total)


def _background(rng, height: int, width: int) -> np.ndarray:
    """A textured background (H, W, 3) float32 RGB of low contrast, in one of five manners."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(10, 60)
    along = columns * math.cos(angle) + rows * math.sin(angle)
    across = rows * math.cos(angle) - columns * math.sin(angle)
    kind = rng.choice(['clouds', 'gradient', 'stripes', 'checks', 'clutter'])
    if kind == 'gradient':
        field = (along - along.min()) / np.ptp(along)
    elif kind == 'stripes':
        field = 0.5 + 0.5 * np.tanh(rng.uniform(0.5, 4) * np.sin(along * (2 * math.pi / period)))
    elif kind == 'checks':
        field = 0.5 + 0.5 * np.tanh(6 * np.sin(along * (math.pi / period)) * np.sin(across * (math.pi / period)))
    elif kind == 'clutter':
        field = _clutter(rng, height, width)
    else:
        field = _clouds(rng, height, width, octaves=5)
    field = 0.8 * field + 0.2 * _clouds(rng, height, width, octaves=4)
    dark, light = _colours(rng, 2, saturation=(10, 110), value=(40, 230))
    light = dark + (light - dark) * min(1.0, 75 / (float(np.linalg.norm(light - dark)) + 1e-6))  # kept a low contrast
    return dark + (light - dark) * field[..., None]


def _clutter(rng, height: int, width: int) -> np.ndarray:
    """Brightness (H, W) float32 0..1 of short thick strokes in greys, none of them a closed shape."""
    field = np.full((height, width), 0.5, np.float32)
    for start, angle, grey in zip(rng.uniform(0, (width, height), (70, 2)), rng.uniform(0, 2 * np.pi, 70),
                                  rng.random(70), strict=True):  # fmt: skip
        end = start + rng.uniform(10, 70) * np.array([np.cos(angle), np.sin(angle)])
        (x0, y0), (x1, y1) = np.rint(start).astype(int).tolist(), np.rint(end).astype(int).tolist()
        cv2.line(field, (x0, y0), (x1, y1), float(grey), int(rng.integers(1, 8)))
    return cv2.GaussianBlur(field, (0, 0), rng.uniform(0.5, 1.5))


def _annotation(image_id: str, shape: tuple[int, ...], objects: list[Object]) -> bytes:
    """The annotation of an image (H, W, 3) as VOC 2007 writes it."""

    def add(parent: ET.Element, **texts: Any) -> None:
        for tag, text in texts.items():
            ET.SubElement(parent, tag).text = str(text)

    root = ET.Element('annotation')
    add(root, folder='shapes', filename=image_id + '.jpg')
    add(ET.SubElement(root, 'source'), database='Shapes', annotation='python -m preprocess shapes', image='drawn')
    add(ET.SubElement(root, 'size'), width=shape[1], height=shape[0], depth=shape[2])
    add(root, segmented=0)
    for each in objects:
        element = ET.SubElement(root, 'object')
        add(element, name=each.name, pose='Unspecified', truncated=int(each.truncated), difficult=int(each.difficult))
        add(ET.SubElement(element, 'bndbox'), **dict(zip(('xmin', 'ymin', 'xmax', 'ymax'), each.box, strict=True)))
    ET.indent(root, '\t')
    return ET.tostring(root) + b'\n'


def _write(path: str, data: bytes) -> None:
    with open(path, 'wb') as file:
        file.write(data)


def write_shapes(out_dir: str, num_train: int, num_test: int, seed: int) -> dict[str, int]:
    """Writes `num_train` images into the split trainval and `num_test` into test; returns the objects of each class.

    ValueError if `out_dir` holds something that this function did not write.
    """
    if os.path.isdir(out_dir) and os.listdir(out_dir) and not os.path.exists(os.path.join(out_dir, MARK)):
        raise ValueError(f'{out_dir!r} is not empty and was not made by `python -m preprocess shapes`: '
                         'give another --out_dir or empty it')
    for folder in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        os.makedirs(os.path.join(out_dir, folder), exist_ok=True)
    command = f'python -m preprocess shapes --num_train={num_train} --num_test={num_test} --seed={seed}\n'
    _write(os.path.join(out_dir, MARK), command.encode())
    counts = dict.fromkeys(CLASSES, 0)
    for split, (name, count) in enumerate((('trainval', num_train), ('test', num_test))):
        image_ids = [f'{name}_{index:05d}' for index in range(1, count + 1)]
        for index, image_id in enumerate(image_ids):
            image, objects = draw_image(seed, split, index)
            encoded = cv2.imencode('.jpg', image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1]
            _write(os.path.join(out_dir, 'JPEGImages', image_id + '.jpg'), encoded.tobytes())
            annotation = _annotation(image_id, image.shape, objects)
            _write(os.path.join(out_dir, 'Annotations', image_id + '.xml'), annotation)
            for each in objects:
                counts[each.name] += 1
        _write(os.path.join(out_dir, 'ImageSets/Main', name + '.txt'), ''.join(f'{i}\n' for i in image_ids).encode())
    return counts


def _flags() -> flags.FlagValues:
    """The flags of this command, apart from those of the other commands."""
    values = flags.FlagValues()
    flags.DEFINE_string('out_dir', None, 'Folder to write to.', flag_values=values, required=True)
    flags.DEFINE_integer('num_train', 480, 'Images of the split trainval.', 1, flag_values=values)
    flags.DEFINE_integer('num_test', 120, 'Images of the split test.', 1, flag_values=values)
    flags.DEFINE_integer('seed', 0, 'Another seed, another dataset.', 0, flag_values=values)
    return values


def main(argv: list[str]) -> None:
    """Runs the command; argv as sys.argv, so that argv[0] is its name. Bad input becomes a line and exit code 1."""
    values = _flags()
    try:
        rest = values(argv)[1:]
        if rest:
            raise ValueError(f'unexpected arguments: {" ".join(rest)}; this command takes only flags')
        counts = write_shapes(values.out_dir, values.num_train, values.num_test, values.seed)
    except (ValueError, flags.Error, OSError) as error:
        logging.error('%s', error)
        sys.exit(1)
    print(f'{values.out_dir}: {values.num_train} images in trainval, {values.num_test} in test, '
          + ', '.join(f'{count} {name}' for name, count in counts.items()))  # fmt: skip
