"""Detection in image files: boxes drawn on each, and what was detected as data."""

import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from absl import logging

from yolo import storage
from yolo.data import images
from yolo.data.draw import contact_sheet, draw_detections
from yolo.geometry.letterbox import from_canvas

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


def find_images(path: str) -> list[str]:
    """The image files that a path or pattern means, or those in a folder, sorted; ValueError if there are none."""
    if storage.is_folder(path):
        names = [name for name in storage.names(path) if name.lower().endswith(SUFFIXES)]
        if not names:
            raise ValueError(f'--images={path}: no image in this folder; looked for {", ".join(SUFFIXES)}')
        return [posixpath.join(path, name) for name in names]
    paths = [path] if storage.exists(path) else storage.glob(path)
    if not paths:
        raise ValueError(f'--images={path}: no such file or folder')
    return paths


def read_images(paths: Sequence[str], problems: dict[str, str]) -> Iterator[tuple[str, np.ndarray]]:
    """Path and image (H, W, 3) uint8 RGB of every file that can be read; the others' reasons go to `problems`."""
    for path in paths:
        try:
            yield path, images.decode(storage.read(path))
        except (ValueError, OSError) as error:
            problems[path] = str(error)
            logging.error('%s left out: %s', path, error)


def drawn_paths(out_dir: str, paths: Sequence[str]) -> dict[str, str]:
    """Where each image goes when it is drawn: under its name, or its whole path where two have the same name."""
    times = Counter(posixpath.basename(path) for path in paths)
    names = {
        path: posixpath.basename(path) if times[posixpath.basename(path)] == 1 else path.strip('./').replace('/', '_')
        for path in paths
    }
    return {path: posixpath.join(out_dir, f'{name}.png') for path, name in names.items()}


def predict_files(
    paths: Sequence[str],
    predict,
    how: tuple[tuple[int, int], str],
    class_names: Sequence[str],
    out_dir: str,
    batch_size: int,
) -> tuple[list[dict], dict[str, str]]:
    """Detects in image files, and writes each with its boxes drawn under its own name (as PNG) into `out_dir`.

    how: the network's image size (height, width) and how images are brought to it, one of letterbox.RESIZES.
    Returns for every image {image, width, height, detections}, detections {label, score, xmin, ymin, xmax, ymax} in
    pixels of the file from its corner (0, 0); and the files that could not be read with the reason.
    """
    problems: dict[str, str] = {}
    drawn_to = drawn_paths(out_dir, paths)
    results, batch = [], []
    for path, image in read_images(paths, problems):
        batch.append((path, image))
        if len(batch) == batch_size:
            results += _predict_batch(batch, predict, how, class_names, drawn_to, batch_size)
            batch = []
    if batch:
        results += _predict_batch(batch, predict, how, class_names, drawn_to, batch_size)
    return results, problems


def _predict_batch(batch, predict, how, class_names, drawn_to: dict[str, str], batch_size: int) -> list[dict]:
    size, resize = how
    inputs = np.zeros((batch_size, *size, 3), np.uint8)  # always full, so that the graph is traced once
    for i, (_, image) in enumerate(batch):
        inputs[i] = images.resize(image, size, resize)
    found = {name: value.numpy() for name, value in predict(inputs).items()}
    results = []
    for i, (path, image) in enumerate(batch):
        boxes, scores, classes = (found[name][i, : found['count'][i]] for name in ('boxes', 'scores', 'classes'))
        boxes = from_canvas(boxes, image.shape[:2], size, resize)
        drawn = draw_detections(image, boxes, classes, scores, class_names)
        storage.write(drawn_to[path], images.encode_png(drawn))
        height, width = image.shape[:2]
        pixels = (boxes * [width, height, width, height]).round(2).tolist()
        results.append(
            {
                'image': path,
                'width': width,
                'height': height,
                'detections': [
                    {
                        'label': class_names[k],
                        'score': round(float(score), 5),
                        **dict(zip(('xmin', 'ymin', 'xmax', 'ymax'), box, strict=True)),
                    }
                    for k, score, box in zip(classes, scores, pixels, strict=True)
                ],
            }
        )
    return results


def draw_sheet(drawn_files: Sequence[str]) -> bytes:
    """The PNG of a contact sheet of image files, each with its name underneath."""
    tiles = [images.decode(storage.read(path)) for path in drawn_files]
    names = [posixpath.basename(path).removesuffix('.png') for path in drawn_files]
    return images.encode_png(contact_sheet(tiles, names))
