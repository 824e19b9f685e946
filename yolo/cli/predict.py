"""Detects objects in image files: draws them and writes `detections.json`.

python -m yolo.predict --model_dir=runs/voc --images=photos --out_dir=found
"""

import json
import posixpath
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from yolo import storage
from yolo.cli import flags as commands
from yolo.data import images
from yolo.data.draw import contact_sheet, draw_detections
from yolo.detection import nms
from yolo.evaluation import inference
from yolo.geometry import letterbox
from yolo.geometry.letterbox import from_canvas
from yolo.models import model_folder

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags of the command; not when the module is only imported."""
    flags.DEFINE_string('model_dir', None, 'Folder of a run of train.py.', required=True)
    flags.DEFINE_string(
        'images', None, 'An image, a folder of images, or a pattern such as photos/a*.jpg.', required=True
    )
    flags.DEFINE_string('out_dir', None, 'Folder for the drawn images and detections.json.', required=True)
    flags.DEFINE_string('checkpoint', '', 'best, latest, or the path of one; the default is the best if there is one.')
    flags.DEFINE_float('score_threshold', 0.25, 'Lowest score, objectness x class, of a detection.', 0, 1)
    flags.DEFINE_float('nms_iou', nms.IOU_THRESHOLD, 'IoU over which a better box of its class suppresses a box.', 0, 1)
    flags.DEFINE_enum(
        'resize', None, letterbox.RESIZES, "How images come to the network's size; the default is as in training."
    )
    flags.DEFINE_integer('max_detections', 100, 'Most detections an image.', 1)
    flags.DEFINE_integer('batch_size', 8, 'Images at once.', 1)
    flags.DEFINE_integer('sheet', 0, 'Also draws the first so many images on one sheet.png.', 0)


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


def run() -> int:
    """Flags to library; returns the number of files that could not be read."""
    paths = find_images(FLAGS.images)
    model, info, _ = model_folder.load_trained(FLAGS.model_dir, FLAGS.checkpoint)
    region = model.network.region
    classes = info.classes or tuple(f'class {i}' for i in range(region.classes))
    thresholds = inference.Thresholds(FLAGS.score_threshold, FLAGS.nms_iou, FLAGS.max_detections)
    predict = inference.make_predict(model, region.anchors, thresholds)
    storage.make_folder(FLAGS.out_dir)
    how = model.network.image_size, FLAGS.resize or info.resize
    results, problems = predict_files(paths, predict, how, classes, FLAGS.out_dir, FLAGS.batch_size)
    path = posixpath.join(FLAGS.out_dir, 'detections.json')
    storage.write(path, json.dumps(results, indent=1) + '\n')
    if FLAGS.sheet and results:
        drawn_to = drawn_paths(FLAGS.out_dir, paths)
        drawn = [images.decode(storage.read(drawn_to[result['image']])) for result in results[: FLAGS.sheet]]
        names = [posixpath.basename(result['image']) for result in results[: FLAGS.sheet]]
        storage.write(posixpath.join(FLAGS.out_dir, 'sheet.png'), images.encode_png(contact_sheet(drawn, names)))
    print(f'{sum(len(result["detections"]) for result in results)} objects in {len(results)} images: {path}')
    return len(problems)


def main(argv: list[str]) -> None:
    """Runs, and turns bad input into a line."""
    commands.refuse_words(argv)
    with commands.errors_as_lines(tf.errors.OpError):
        left_out = run()
    sys.exit(1 if left_out else 0)


if __name__ == '__main__':
    define_flags()
    app.run(main)
