"""The training step against the plain Keras `train_step` of the same network, loss and optimizer, in turn, in one run.

  python benchmarks/keras_step.py --model=yolov2 --size=416 --batch_size=8

Both take the same constant batch of noise, without augmentation; Keras compiles its step as `compile` decides by
itself. Prints the ratio of their speeds, the median over the rounds.
"""

import dataclasses
import tempfile

import in_turn
import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from training_loop import make_config

from yolo import memory
from yolo.training import distribution, losses, network, optimizer, state, step

FLAGS = flags.FLAGS
ANCHORS = ((1.3, 1.7), (3.2, 4.0), (5.1, 8.1), (9.5, 4.8), (11.2, 10.0))
flags.DEFINE_integer('size', 416, 'Height and width of the images.')
flags.DEFINE_enum('precision', 'float32', ['float32', 'mixed_bfloat16'], 'What both compute in.')


def config_of(size: int, **changes):
    """A run of 20 classes at one image size, which is that of its records."""
    config = make_config(tempfile.mkdtemp(), tuple(map(str, range(20))), ANCHORS, (size, size))
    return dataclasses.replace(config, **changes)


def batch(num_boxes: int = 8) -> dict[str, np.ndarray]:
    """Noise, with boxes anywhere."""
    rng = np.random.default_rng(0)
    corners = np.sort(rng.random((FLAGS.batch_size, num_boxes, 2, 2), np.float32), 2)
    return {
        'image': rng.integers(0, 256, (FLAGS.batch_size, FLAGS.size, FLAGS.size, 3), dtype=np.uint8),
        'boxes': corners.reshape(FLAGS.batch_size, num_boxes, 4),
        'labels': rng.integers(0, 20, (FLAGS.batch_size, num_boxes), dtype=np.int32),
    }


def plain_keras(config, data: dict[str, np.ndarray]):
    """A function that takes a step with `Model.train_on_batch`."""
    keras.utils.set_random_seed(0)
    model = network.make_model(config)

    def loss(truth, raw):
        return losses.region_loss(raw, truth[..., :4], truth[..., 4], config.anchors, 10**6) / config.batch_size

    model.compile(optimizer=optimizer.make_optimizer(config), loss=loss)
    images = tf.constant(data['image'].astype(np.float32) / 255)
    truth = tf.constant(np.concatenate([data['boxes'], data['labels'][..., None].astype(np.float32)], -1))
    return lambda: float(model.train_on_batch(images, truth))


def ours(config, data: dict[str, np.ndarray]):
    """A function that takes a step of this project and returns the loss, and its model."""
    keras.utils.set_random_seed(0)
    strategy = distribution.make_strategy()
    run_state = state.make_state(config, strategy)
    steps = step.make_steps(run_state, config, strategy, (FLAGS.size, FLAGS.size))
    same = tf.data.Dataset.from_tensors(data).repeat()
    constant = iter(strategy.distribute_datasets_from_function(lambda _: same))
    return lambda: float(steps(constant, 10**6, 1)[0][0, 0]), run_state.model


def main(_) -> None:
    """Measures in turn and prints."""
    memory.keep_freed_memory()  # as train.py does; it serves both
    config = config_of(FLAGS.size, weight_decay=0.0, precision=FLAGS.precision)
    data = batch()
    takers = {'this': ours(config, data)[0], 'Keras': plain_keras(config, data)}
    first = {name: take() for name, take in takers.items()}
    print('loss of the first step: ' + ', '.join(f'{name} {value:.5f}' for name, value in first.items()))
    ratios = []
    for number in range(FLAGS.rounds):
        seconds = in_turn.seconds(takers)
        ratios.append(seconds['Keras'] / seconds['this'])
        print(f'round {number}: ' + ', '.join(f'{name} {value:.2f} s' for name, value in seconds.items()))
    print(f'this / Keras: {in_turn.spread(ratios)}')


if __name__ == '__main__':
    app.run(main)
