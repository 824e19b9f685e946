"""The training loop against the same step on one constant batch, in turn, in one run.

  python benchmarks/training_loop.py --data_dir=data/voc416 --split=trainval

The loop is all that `train.py` does between checkpoints: input graph, augmentation, step, looking at the loss, log
lines. Prints the ratio of their speeds: the median over the rounds.
"""

import itertools
import statistics
import tempfile
import time

import keras
import tensorflow as tf
from absl import app, flags

from yolo import checkpoints, optimizer, records, training
from yolo import input as inputs
from yolo.config import TrainConfig

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_string('split', 'trainval', 'Split to train on.')
flags.DEFINE_string('model', 'yolov2-tiny', 'Network.')
flags.DEFINE_float('width', 1.0, 'Factor on its filters.')
flags.DEFINE_integer('batch_size', 8, 'Images a step.')
flags.DEFINE_integer('steps', 6, 'Steps a round.')
flags.DEFINE_integer('rounds', 7, 'Rounds, each measuring both.')


def make_config(model_dir: str) -> TrainConfig:
    """A run on the folder of records with the defaults of train.py."""
    description = records.read_description(FLAGS.data_dir)
    return TrainConfig(
        data_dir=FLAGS.data_dir, train_split=FLAGS.split, eval_split='', model_dir=model_dir,
        classes=description.classes, anchors=description.anchors, image_size=description.image_size, model=FLAGS.model,
        width=FLAGS.width, loss='region', batch_size=FLAGS.batch_size, num_steps=10**9, optimizer='sgd',
        learning_rate=1e-5, lr_schedule='constant', burn_in=0, decay_steps=(), momentum=0.9, weight_decay=5e-4,
        augment=True, jitter=0.3, scale=(0.8, 1.25), hue=0.1, saturation=1.5, exposure=1.5, seed=0, jit_compile=True,
        eval_every=0, checkpoint_every=10**9, log_every=20, keep=1)  # fmt: skip


def main(_) -> None:
    """Measures in turn and prints."""
    config = make_config(tempfile.mkdtemp())
    strategy = training.make_strategy()
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = checkpoints.make_model(config)
        optimize = optimizer.make_optimizer(config)
        optimize.build(model.trainable_variables)
    step = training.make_step(model, optimize, config, strategy)
    batches = iter(strategy.experimental_distribute_dataset(inputs.training_batches(
        FLAGS.data_dir, FLAGS.split, FLAGS.batch_size, 0, training.augmentation(config))))
    progress = training.Progress(config, optimizer.make_rate(config), tf.summary.create_noop_writer())
    constant, numbers = next(batches), itertools.count()

    def loop() -> None:
        for _ in range(FLAGS.steps):
            progress.add(next(numbers), step(next(batches)))
        progress.flush()

    def same_batch() -> None:
        for _ in range(FLAGS.steps):
            terms = step(constant)
        float(terms['loss'])

    def seconds(function) -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    loop()
    same_batch()
    ratios = []
    for number in range(FLAGS.rounds):
        alone, looped = seconds(same_batch), seconds(loop)
        ratios.append(alone / looped)
        print(f'round {number}: loop {FLAGS.steps * FLAGS.batch_size / looped:.2f} images/s, '
              f'constant batch {FLAGS.steps * FLAGS.batch_size / alone:.2f} images/s')
    print(f'loop / constant batch: median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})')


if __name__ == '__main__':
    app.run(main)
