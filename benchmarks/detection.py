"""Suppression of a batch by several ways against the network's forward pass, in turn, in one run.

  python benchmarks/detection.py --model=yolov2 --size=416 --batch_size=16 --classes=20

Three outputs of a network, by noise of different kinds: what a trained one gives (some two hundred scores an image over
the threshold of evaluation), one that is unsure (some 1,400), and random weights (nearly all of them). The ways:

- ours: `yolo.detection.suppression`, as it runs in an evaluation, and compiled by XLA;
- kernel: TensorFlow's CombinedNonMaxSuppression, which XLA cannot compile;
- padded: `tf.image.non_max_suppression_padded` on the best boxes of all classes together, which are moved apart so that
  they do not overlap those of others; by sizes of --padded, since it compares all of them;
- one by one: the best score of all, then without those that its box suppresses, and so on.

Prints the milliseconds, the ratio to the network's time (medians over the rounds), and how many images have just the
detections of the kernel.
"""

import functools
import statistics
from collections.abc import Callable, Mapping

import in_turn
import numpy as np
import tensorflow as tf
from absl import app, flags

from yolo.detection import decode, suppression
from yolo.detection.thresholds import IOU_THRESHOLD, MAX_DETECTIONS, SCORE_THRESHOLD
from yolo.geometry import boxes as box_ops
from yolo.models import build

FLAGS = flags.FLAGS
flags.DEFINE_string('model', 'yolov2', 'Network.')
flags.DEFINE_integer('size', 416, 'Height and width of the images.')
flags.DEFINE_integer('batch_size', 16, 'Images at once.')
flags.DEFINE_integer('classes', 20, 'Classes.')
flags.DEFINE_integer('padded', 2048, 'Most candidates for tf.image.non_max_suppression_padded.')
flags.DEFINE_integer('rounds', 5, 'Rounds, each measuring all.')
ANCHORS = ((1.3, 1.7), (3.2, 4.0), (5.1, 8.1), (9.5, 4.8), (11.2, 10.0))
LIMITS = SCORE_THRESHOLD, IOU_THRESHOLD, MAX_DETECTIONS
KINDS = {'trained': (-7, 3), 'unsure': (-4, 3), 'random': (0, 1)}  # mean objectness, spread of the classes


def ours(boxes, scores):
    """The boxes and scores that `suppression.suppress` keeps."""
    found = suppression.suppress(boxes, scores, *LIMITS)
    return found['boxes'], found['scores']


def kernel(boxes, scores):
    """Those that CombinedNonMaxSuppression keeps."""
    most = MAX_DETECTIONS
    found = tf.image.combined_non_max_suppression(
        boxes[:, :, None], scores, most, most, IOU_THRESHOLD, SCORE_THRESHOLD, clip_boxes=False
    )
    return found.nmsed_boxes, found.nmsed_scores


def padded(boxes, scores):
    """Those that tf.image.non_max_suppression_padded keeps, of the best of all places and classes."""
    num_places, num_classes = scores.shape[1:]
    flat = tf.reshape(scores, (scores.shape[0], -1))
    best, at = tf.math.top_k(tf.where(flat > SCORE_THRESHOLD, flat, 0.0), min(FLAGS.padded, num_places * num_classes))
    places, classes = at // num_classes, tf.cast(at % num_classes, tf.float32)[..., None]
    chosen = tf.gather(boxes, places, batch_dims=1)
    index, count = tf.image.non_max_suppression_padded(
        chosen + 1000.0 * classes,
        best,
        MAX_DETECTIONS,
        IOU_THRESHOLD,
        SCORE_THRESHOLD,
        pad_to_max_output_size=True,
        sorted_input=True,
        canonicalized_coordinates=True,
    )
    is_one = tf.range(MAX_DETECTIONS) < count[:, None]
    found = tf.gather(chosen, index, batch_dims=1), tf.gather(best, index, batch_dims=1)
    return tf.where(is_one[..., None], found[0], 0.0), tf.where(is_one, found[1], 0.0)


def one_by_one(boxes, scores):
    """Those that are kept by taking the best of all that are left, again and again."""
    number, num_places, num_classes = scores.shape

    def take(i, left, found_boxes, found_scores):
        flat = tf.reshape(left, (number, -1))
        best = tf.argmax(flat, -1, tf.int32)
        score = tf.gather(flat, best, batch_dims=1)
        box = tf.where((score > 0)[:, None], tf.gather(boxes, best // num_classes, batch_dims=1), 0.0)
        is_class = tf.one_hot(best % num_classes, num_classes, True, False)[:, None]  # (B, 1, C)
        is_self = tf.one_hot(best // num_classes, num_places, True, False)
        over = (box_ops.iou(box[:, None], boxes) > IOU_THRESHOLD) | is_self  # (B, N)
        left = tf.where(over[..., None] & is_class, 0.0, left)
        return i + 1, left, found_boxes.write(i, box), found_scores.write(i, score)

    left = tf.where(scores > SCORE_THRESHOLD, scores, 0.0)
    arrays = [tf.TensorArray(tf.float32, MAX_DETECTIONS, element_shape=shape) for shape in ((number, 4), (number,))]
    *_, found_boxes, found_scores = tf.while_loop(
        lambda i, left, *_: (i < MAX_DETECTIONS) & tf.reduce_any(left > 0), take, (0, left, *arrays)
    )
    return tf.transpose(found_boxes.stack(), [1, 0, 2]), tf.transpose(found_scores.stack())


def outputs(kind: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes and scores of all places of a batch, as a network of a kind would give them."""
    rng, cells = np.random.default_rng(0), FLAGS.size // 32
    raw = rng.normal(0, 1, (FLAGS.batch_size, cells, cells, len(ANCHORS), 5 + FLAGS.classes)).astype(np.float32)
    objectness, spread = KINDS[kind]
    raw[..., 4] = rng.normal(objectness, 2, raw.shape[:-1])
    raw[..., 5:] *= spread
    boxes, objects, probabilities = decode.decode(raw, ANCHORS)
    scores = objects[..., None] * probabilities
    return tf.reshape(boxes, (len(raw), -1, 4)), tf.reshape(scores, (len(raw), -1, FLAGS.classes))


def compare(network: Callable, ways: Mapping[str, Callable], kind: str) -> None:
    """Measures the ways in turn on the outputs of one kind, and prints."""
    boxes, scores = outputs(kind)
    expected = [value.numpy() for value in kernel(boxes, scores)]
    candidates, kept = (
        np.mean(np.sum(each > SCORE_THRESHOLD, tuple(range(1, each.ndim)))) for each in (scores, expected[1])
    )
    print(f'\n{kind}: {candidates:.0f} scores over the threshold an image, {kept:.0f} kept')
    found = {}

    def run(name: str) -> None:
        found[name] = [value.numpy() for value in ways[name](boxes, scores)]

    functions: dict[str, Callable] = {'network': network, **{name: functools.partial(run, name) for name in ways}}
    in_turn.seconds(functions)  # makes the graphs
    rounds = [in_turn.seconds(functions) for _ in range(FLAGS.rounds)]
    print(f'{"network":16}{1000 * statistics.median(each["network"] for each in rounds):9.1f} ms')
    for name, (of_boxes, of_scores) in found.items():
        milliseconds = 1000 * statistics.median(each[name] for each in rounds)
        ratios = in_turn.spread([each[name] / each['network'] for each in rounds])
        is_equal = (of_boxes == expected[0]).all((1, 2)) & (of_scores == expected[1]).all(1)
        print(f'{name:16}{milliseconds:9.1f} ms, of the network {ratios}; equal images {is_equal.sum()}')


def main(_) -> None:
    """Measures every kind and prints."""
    model = build.build_model(FLAGS.model, FLAGS.classes, ANCHORS)
    images = tf.random.uniform((FLAGS.batch_size, FLAGS.size, FLAGS.size, 3))
    forward = tf.function(lambda x: model(x, training=False))
    ways = {'ours': ours, 'kernel': kernel, 'padded': padded, 'one by one': one_by_one}
    graphs = {name: tf.function(way) for name, way in ways.items()}
    graphs |= {f'{name}, XLA': tf.function(way, jit_compile=True) for name, way in ways.items() if way is not kernel}
    print(f'{FLAGS.model}, {FLAGS.batch_size} images of {FLAGS.size} x {FLAGS.size}, {FLAGS.classes} classes')
    for kind in KINDS:
        compare(lambda: forward(images).numpy(), graphs, kind)


if __name__ == '__main__':
    app.run(main)
