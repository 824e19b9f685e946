"""How near the pixels of a training step are to the photo, by the size at which images are stored.

  python benchmarks/stored_pixels.py --images_dir=VOC/JPEGImages --image_size=416 --store_size=608

Takes the photos in equal steps of their sorted names. Each is stored as preprocessing does (JPEG of quality 95) at both
sizes and brought to the smallest, the network's and the largest training size by the function of the training step, not
jittered. What it is compared with is the photo resized once to that size, as prediction sees it. Prints the root mean
square of the differences (of 255), and the sharpness: mean difference of neighbouring pixels, relative to the photo's.
The last rows have a filter that grows as the image shrinks (antialiasing), in place of the step's bilinear one.
"""

import pathlib

import numpy as np
import tensorflow as tf
from absl import app, flags

from yolo.data import augment, images
from yolo.geometry import image_sizes

FLAGS = flags.FLAGS
flags.DEFINE_string('images_dir', None, 'Folder of photos, JPEG.', required=True)
flags.DEFINE_integer('num_images', 60, 'How many of them.', lower_bound=1)
flags.DEFINE_integer('image_size', 416, 'Pixels of the network.', lower_bound=32)
flags.DEFINE_integer('store_size', 608, 'Pixels of the larger stored images.', lower_bound=32)


def read(folder: str, number: int) -> list[np.ndarray]:
    """Photos (H, W, 3) uint8 RGB."""
    paths = sorted(pathlib.Path(folder).glob('*.jpg'))
    if not paths:
        raise ValueError(f'no photo {folder}/*.jpg')
    chosen = np.unique(np.linspace(0, len(paths) - 1, number).astype(int))
    return [images.decode(paths[i].read_bytes()) for i in chosen]


def store(photo: np.ndarray, side: int) -> np.ndarray:
    """A photo as a record of that size holds it."""
    resized = np.ascontiguousarray(images.resize(photo, (side, side))[..., ::-1])
    return images.decode_stored(images.encode_stored(resized, 'jpeg', 95), 'jpeg', (side, side))


def cut(stored: np.ndarray, side: int, is_filtered: bool) -> np.ndarray:
    """A stored image in a training step of that size, (side, side, 3) float32 0..255."""
    if is_filtered:
        return tf.image.resize(stored, (side, side), antialias=True).numpy()
    warp = tf.constant(augment.IDENTITY)
    return 255 * augment.warp_images(tf.cast(stored[None], tf.float32) / 255, warp, (side, side)).numpy()[0]


def sharpness(image: np.ndarray) -> float:
    """The mean difference of neighbouring pixels, along both axes."""
    return float(np.mean([np.abs(np.diff(image.astype(np.float32), axis=axis)).mean() for axis in (0, 1)]))


def main(_) -> None:
    """Compares and prints a row for each training size and stored size."""
    photos, own, larger = read(FLAGS.images_dir, FLAGS.num_images), FLAGS.image_size, FLAGS.store_size
    smallest, largest = image_sizes.usual_sizes((own, own))
    rows = [(side, stored, False) for side in (smallest, own, largest) for stored in (own, larger)]
    print(f'{len(photos)} photos of {FLAGS.images_dir}')
    print(f'{"trained at":>10} {"stored at":>9} {"difference":>10} {"sharpness":>9}')
    for side, stored, is_filtered in [*rows, (smallest, larger, True), (own, larger, True)]:
        differences, sharp = [], []
        for photo in photos:
            expected, got = images.resize(photo, (side, side)), cut(store(photo, stored), side, is_filtered)
            differences.append(np.square(got - expected).mean())
            sharp.append((sharpness(got), sharpness(expected)))
        relative = np.divide(*np.mean(sharp, 0))
        filtered = ' filtered' if is_filtered else ''
        print(f'{side:>10} {stored:>9} {np.sqrt(np.mean(differences)):10.2f} {relative:9.2f}{filtered}', flush=True)


if __name__ == '__main__':
    app.run(main)
