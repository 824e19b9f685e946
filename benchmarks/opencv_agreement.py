"""The raw output of a model of this project and of OpenCV's reader of Darknet's files, for the same images.

  python benchmarks/opencv_agreement.py --cfg=mine.cfg --weights=mine.weights --images_dir=photos

Prints the largest difference, absolute and relative to the largest value.
"""

import cv2
import numpy as np
from absl import app, flags

import yolo
from yolo import storage
from yolo.data import images

FLAGS = flags.FLAGS
flags.DEFINE_string('cfg', None, "Darknet's .cfg, as `python -m yolo convert` writes it.", required=True)
flags.DEFINE_string('weights', None, 'The .weights that belong to it.', required=True)
flags.DEFINE_string('images_dir', None, 'Folder of images.', required=True)
flags.DEFINE_integer('num_images', 16, 'How many of them.', lower_bound=1)


def opencv_raw(cfg_path: str, weights_path: str, batch: np.ndarray) -> np.ndarray:
    """The last convolution's output (B, GH, GW, channels) for images (B, H, W, 3) 0..1."""
    net = cv2.dnn.readNetFromDarknet(cfg_path, weights_path)
    net.enableFusion(False)
    net.setInput(batch.transpose(0, 3, 1, 2))
    last = [name for name in net.getLayerNames() if name.startswith('conv')][-1]
    return net.forward(last).transpose(0, 2, 3, 1)


def main(_) -> None:
    """Computes both outputs and prints how far they differ."""
    model = yolo.load_darknet(FLAGS.cfg, FLAGS.weights)
    names = storage.names(FLAGS.images_dir)[: FLAGS.num_images]
    photos = [images.decode(storage.read(f'{FLAGS.images_dir}/{name}')) for name in names]
    resized = [images.resize(photo, model.network.image_size) for photo in photos]
    batch = np.stack(resized)
    raw = model(batch).numpy()
    difference = np.abs(
        opencv_raw(FLAGS.cfg, FLAGS.weights, batch.astype(np.float32) / 255).reshape(raw.shape) - raw
    ).max()
    print(
        f'{len(batch)} images, raw of {raw.shape[1:]}: largest difference {difference:.2e}, '
        f'{difference / np.abs(raw).max():.2e} of the largest value (OpenCV {cv2.__version__})'
    )


if __name__ == '__main__':
    app.run(main)
