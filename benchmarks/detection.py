"""Decoding and suppression of a batch against the network's forward pass, in turn, in one run.

  python benchmarks/detection.py --model=yolov2 --size=416 --batch_size=16 --classes=20

The raw output is noise around what a trained network gives: a few hundred scores an image above the threshold of
evaluation. Prints the ratio of their times: the median over the rounds.
"""

import statistics
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from yolo.detection import nms
from yolo.models import build

FLAGS = flags.FLAGS
flags.DEFINE_string('model', 'yolov2', 'Network.')
flags.DEFINE_integer('size', 416, 'Height and width of the images.')
flags.DEFINE_integer('batch_size', 16, 'Images at once.')
flags.DEFINE_integer('classes', 20, 'Classes.')
flags.DEFINE_integer('rounds', 7, 'Rounds, each measuring both.')
ANCHORS = ((1.3, 1.7), (3.2, 4.0), (5.1, 8.1), (9.5, 4.8), (11.2, 10.0))


def main(_) -> None:
    """Measures in turn and prints."""
    model = build.build_model(FLAGS.model, FLAGS.classes, ANCHORS)
    rng, cells = np.random.default_rng(0), FLAGS.size // 32
    raw = rng.normal(0, 1, (FLAGS.batch_size, cells, cells, len(ANCHORS), 5 + FLAGS.classes)).astype(np.float32)
    raw[..., 4] = rng.normal(-4, 2, raw.shape[:-1])  # objectness is low nearly everywhere
    raw[..., 5:] *= 3
    images = tf.random.uniform((FLAGS.batch_size, FLAGS.size, FLAGS.size, 3))
    forward = tf.function(lambda x: model(x, training=False))
    detect = tf.function(lambda x: nms.detect(x, ANCHORS))
    raw = tf.constant(raw)

    def seconds(function, argument) -> float:
        start = time.perf_counter()
        tf.nest.map_structure(lambda value: value.numpy(), function(argument))
        return time.perf_counter() - start

    for function, argument in ((forward, images), (detect, raw)):
        seconds(function, argument)
    print(f'{detect(raw)["count"].numpy().mean():.0f} detections an image')
    ratios = []
    for number in range(FLAGS.rounds):
        network_time, detect_time = seconds(forward, images), seconds(detect, raw)
        ratios.append(detect_time / network_time)
        print(f'round {number}: network {1000 * network_time:.0f} ms, detection {1000 * detect_time:.1f} ms')
    print(f'detection / network: median {statistics.median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f})')


if __name__ == '__main__':
    app.run(main)
