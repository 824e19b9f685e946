"""Peak memory of prediction for few photos and for many, with a detector that only sleeps.

  python benchmarks/prediction_memory.py

Makes folders of links to a few JPEGs, and detects in them by the function behind `yolo predict --write=json,drawn`, the
search for the files included. Prints the peak of this process, and how much more the many photos took than the few.
"""

import os
import pathlib
import shutil
import tempfile

import cv2
import numpy as np
import peak_memory
from absl import app, flags

from yolo.detection.detector import Backend, Detector
from yolo.prediction import photos, sources
from yolo.prediction.stop import Stop

FLAGS = flags.FLAGS
flags.DEFINE_integer('few', 2000, 'Photos.')
flags.DEFINE_integer('many', 20_000, 'Photos.')
flags.DEFINE_multi_integer('size', [160, 120], 'Width and height of a photo.')
flags.DEFINE_list('write', ['json', 'drawn'], 'What to write.')
DIFFERENT = 20  # photos, to which the others are links


def make_detector() -> Detector:
    """It finds three objects everywhere."""
    boxes = np.array([[0.1, 0.1, 0.4, 0.5], [0.5, 0.2, 0.9, 0.7], [0.2, 0.6, 0.6, 0.9]], np.float32)

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        count = len(images)
        return {
            'boxes': np.tile(boxes, (count, 1, 1)),
            'scores': np.tile(np.array([0.9, 0.8, 0.7], np.float32), (count, 1)),
            'classes': np.tile(np.array([0, 1, 2], np.int32), (count, 1)),
            'count': np.full(count, 3, np.int32),
        }

    return Detector(Backend(run, 'fixed'), ('one', 'two', 'three'), [(1, 1)], (416, 416))


def make_photos(folder: pathlib.Path, number: int) -> None:
    """JPEGs of noise with shapes, and links to them."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    width, height = FLAGS.size
    for i in range(number):
        path = folder / f'photo_{i:07d}.jpg'
        if i < DIFFERENT:
            image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            cv2.imwrite(str(path), cv2.circle(image, (width // 2, height // 2), height // 4, (0, 200, 255), -1))
        else:
            os.link(folder / f'photo_{i % DIFFERENT:07d}.jpg', path)


def measure(scratch: pathlib.Path, number: int) -> int:
    """The peak bytes of detecting in so many photos."""
    folder, out_dir = scratch / f'in{number}', scratch / 'out'
    make_photos(folder, number)
    out_dir.mkdir()
    peak_memory.reset()
    found = sources.find(str(folder))
    counts = photos.predict_photos(make_detector(), found.photos, str(out_dir), Stop(), FLAGS.write)
    peak = peak_memory.peak()
    if counts.images != number:
        raise RuntimeError(f'{counts.images} of {number} photos')
    shutil.rmtree(folder)
    shutil.rmtree(out_dir)
    return peak


def main(_) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as scratch:
        measure(pathlib.Path(scratch), 100)  # the libraries' own memory
        few, many = (measure(pathlib.Path(scratch), number) for number in (FLAGS.few, FLAGS.many))
    bytes_each = (many - few) / (FLAGS.many - FLAGS.few)
    print(
        f'{FLAGS.few:,} photos: {few / 1e6:.0f} MB, {FLAGS.many:,} photos: {many / 1e6:.0f} MB, '
        f'ratio {many / few:.3f}, {bytes_each:.0f} bytes a photo'
    )


if __name__ == '__main__':
    app.run(main)
