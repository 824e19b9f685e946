"""Backgrounds and shapes in many colours and textures, for the images of `shapes`."""

import math

import cv2
import numpy as np

HUE_SPREAD = 0.09  # of a turn, either way; the classes are 0.2 apart
MIN_CONTRAST = 130.0  # Euclidean RGB distance of a shape's colour from the background's mean


def contours(rng, name: str, centre: np.ndarray, radius: float) -> list[np.ndarray]:
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


def fill(contours: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Coverage (H, W) float32 0..1 of polygons (P, 2), anti-aliased; a polygon in a polygon is a hole."""
    alpha = np.zeros((height, width), np.uint8)
    fixed = [np.rint(points * 256).astype(np.int32) for points in contours]  # 8 fractional bits
    cv2.fillPoly(alpha, fixed, 255, cv2.LINE_AA, shift=8)
    return alpha.astype(np.float32) / 255


def paint(rng, image: np.ndarray, alpha: np.ndarray, colour: np.ndarray, centre: np.ndarray, radius: float) -> None:
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


def contrasting(rng, mean: np.ndarray, hue: float) -> np.ndarray:
    """A vivid colour (3,) RGB around a hue (0..1) that stands out from the background's mean (3,)."""
    colours = _colours(rng, 16, hue=(hue - HUE_SPREAD, hue + HUE_SPREAD), saturation=(90, 256), value=(70, 256))
    far = np.linalg.norm(colours - mean, axis=-1)
    return colours[(far > MIN_CONTRAST).argmax() if (far > MIN_CONTRAST).any() else far.argmax()]


def _colours(rng, count: int, saturation: tuple[int, int], value: tuple[int, int], hue=(0.0, 1.0)) -> np.ndarray:
    """Random colours (count, 3) float32 RGB 0..255, their hue of a whole turn of 1."""
    hues = rng.uniform(*hue, count) % 1 * 180
    hsv = np.stack([hues, rng.integers(*saturation, count), rng.integers(*value, count)], -1)
    return cv2.cvtColor(hsv[None].astype(np.uint8), cv2.COLOR_HSV2RGB)[0].astype(np.float32)


def _clouds(rng, height: int, width: int, octaves: int) -> np.ndarray:
    """Smooth noise (H, W) float32, 0..1: random grids, each finer and fainter than the one before."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        grid = rng.random((3 * 2**octave, 3 * 2**octave), np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return (total - total.min()) / np.ptp(total)


def background(rng, height: int, width: int) -> np.ndarray:
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
    for start, angle, grey in zip(
        rng.uniform(0, (width, height), (70, 2)), rng.uniform(0, 2 * np.pi, 70), rng.random(70), strict=True
    ):
        end = start + rng.uniform(10, 70) * np.array([np.cos(angle), np.sin(angle)])
        (x0, y0), (x1, y1) = np.rint(start).astype(int).tolist(), np.rint(end).astype(int).tolist()
        cv2.line(field, (x0, y0), (x1, y1), float(grey), int(rng.integers(1, 8)))
    return cv2.GaussianBlur(field, (0, 0), rng.uniform(0.5, 1.5))
