"""The training loop against the same step on one constant batch, in turn, in one run.

  python benchmarks/training_loop.py --data_dir=data/voc416 --split=trainval

The loop is all that `train.py` does between checkpoints: input graph, augmentation, images of another size every ten
steps, step, looking at the loss, log lines. Prints the ratio of their speeds: the median over the rounds.
"""

import tempfile
import time
from collections.abc import Callable

import in_turn
import keras
import tensorflow as tf
from absl import app, flags

from yolo.data import records
from yolo.geometry import image_sizes
from yolo.training import distribution, optimizer, progress, schedule, state, step
from yolo.training.batches import distribute_batches
from yolo.training.config import TrainConfig

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.')
flags.DEFINE_string('split', 'trainval', 'Split to train on.')
flags.DEFINE_string('model', 'yolov2-tiny', 'Network.')
flags.DEFINE_float('width', 1.0, 'Factor on its filters.')
flags.DEFINE_integer('batch_size', 8, 'Images a step.')
flags.DEFINE_bool('multi_scale', True, 'Another size every round.')
flags.DEFINE_integer('rounds', 9, 'Rounds of ten steps, each measuring both.')


def make_config(model_dir: str, classes: tuple[str, ...], anchors, image_size: tuple[int, int]) -> TrainConfig:
    """A run with the recipe yolov2-voc, at a rate so low that the weights hardly change."""
    sizes = image_sizes.training_sizes(image_size, *image_sizes.usual_sizes(image_size))
    return TrainConfig(
        data_dir=FLAGS.data_dir,
        train_split=FLAGS.split,
        model_dir=model_dir,
        classes=classes,
        anchors=anchors,
        image_size=image_size,
        model=FLAGS.model,
        width=FLAGS.width,
        batch_size=FLAGS.batch_size,
        num_steps=10**9,
        learning_rate=1e-5,
        lr_schedule='constant',
        burn_in=0,
        decay_steps=(),
        unfreeze_at=10**9,
        sizes=sizes if FLAGS.multi_scale else (image_size,),
        jit_compile=True,
        checkpoint_every=10**9,
    )


def make_loops(config: TrainConfig) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """Two functions that take ten steps from a number on: as in training, and on one constant batch."""
    strategy = distribution.make_strategy()
    keras.utils.set_random_seed(0)
    run_state = state.make_state(config, strategy)
    steps = {size: step.make_steps(run_state, config, strategy, size) for size in config.sizes}
    batches = iter(distribute_batches(config, strategy, 0))
    same = tf.data.Dataset.from_tensors(next(batches)).repeat()
    constant = iter(strategy.distribute_datasets_from_function(lambda _: same))
    progress_log = progress.Progress(config, run_state, optimizer.make_rate(config), tf.summary.create_noop_writer())
    for size in config.sizes:  # compiled before anything is measured
        steps[size](constant, 1, 1)

    def real_loop(number: int) -> None:
        size = schedule.size_at(config.sizes, config.seed, number)
        for i in range(number, number + schedule.SIZE_STEPS):
            progress_log.add(i, *steps[size](batches, i, 1))
        progress_log.flush()

    def same_batch(number: int) -> None:
        size = schedule.size_at(config.sizes, config.seed, number)
        for i in range(number, number + schedule.SIZE_STEPS):
            metrics, _ = steps[size](constant, i, 1)
        metrics.numpy()

    return real_loop, same_batch


def seconds(function: Callable[[int], None], number: int) -> float:
    """The time of ten steps."""
    start = time.perf_counter()
    function(number)
    return time.perf_counter() - start


def main(_) -> None:
    """Measures in turn and prints."""
    description = records.read_description(FLAGS.data_dir)
    config = make_config(tempfile.mkdtemp(), description.classes, description.anchors, description.image_size)
    real_loop, same_batch = make_loops(config)
    images, ratios = schedule.SIZE_STEPS * FLAGS.batch_size, []
    for round_ in range(FLAGS.rounds):  # each of a size of its own
        number = round_ * schedule.SIZE_STEPS
        alone, looped = seconds(same_batch, number), seconds(real_loop, number)
        ratios.append(alone / looped)
        print(
            f'round {round_}: {schedule.size_at(config.sizes, config.seed, number)[0]} pixels, loop '
            f'{images / looped:.2f} images/s, constant batch {images / alone:.2f} images/s'
        )
    print(f'loop / constant batch: {in_turn.spread(ratios)}')


if __name__ == '__main__':
    app.run(main)
