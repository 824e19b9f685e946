"""The time of training with one recipe beside that with another, for as many images, in turn, in one run.

  python benchmarks/recipe_speed.py --data_dir=data/bccd256 --split=trainval --recipes=small-data,modern

Trains with each in turn, with the same network and the batch of each recipe, at one size of images: all that `train.py`
does between checkpoints, as input graph, augmentation, step and log lines. Prints the ratio of the second recipe's time
to the first's, by the clock and by the processor: the median over the rounds. --batch_size gives both the same batch.
"""

import itertools
import tempfile
import time
from collections.abc import Callable

import in_turn
import training_loop
from absl import app, flags

from yolo.training import recipes, resolve, schedule

FLAGS = flags.FLAGS  # those of training_loop too
flags.DEFINE_list('recipes', ['small-data', 'modern'], 'Two recipes.')
flags.DEFINE_integer('images', 640, 'Images in a turn: many, so that batches which are made ahead do not count.')


def make_turn(recipe: str) -> Callable[[], None]:
    """A function that trains on so many images by a recipe."""
    about = {'data_dir': FLAGS.data_dir, 'train_split': FLAGS.split, 'model_dir': tempfile.mkdtemp()}
    network = {'model': FLAGS.model, 'width': FLAGS.width, 'multi_scale': False}
    ends = {'num_steps': 10**6, 'checkpoint_every': 10**6, 'log_every': 10**6}
    batch = {'batch_size': FLAGS.batch_size} if FLAGS['batch_size'].present else {}
    config = resolve.resolve(recipes.apply(recipe, **about, **network, **ends, **batch))
    loop = training_loop.make_loops(config)[0]
    steps = itertools.count(0, schedule.SIZE_STEPS)

    loops = FLAGS.images / (config.batch_size * schedule.SIZE_STEPS)
    if loops != round(loops):
        raise app.UsageError(f'--images={FLAGS.images}: a multiple of {config.batch_size * schedule.SIZE_STEPS}')

    def turn() -> None:
        for _ in range(round(loops)):
            loop(next(steps))

    return turn


def seconds(turn: Callable[[], None]) -> tuple[float, float]:
    """The time of a turn by the clock and by the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    turn()
    return time.perf_counter() - clock, time.process_time() - processor


def main(_) -> None:
    """Measures in turn and prints."""
    if len(set(FLAGS.recipes)) != 2:
        raise app.UsageError(f'--recipes={",".join(FLAGS.recipes)}: give two')
    if FLAGS['multi_scale'].present:
        raise app.UsageError('--multi_scale: it is timed at one size of images')
    turns = {name: make_turn(name) for name in FLAGS.recipes}
    for turn in turns.values():  # fills the buffers
        turn()
    first, second = FLAGS.recipes
    ratios = []
    for round_ in range(FLAGS.rounds):
        times = {name: seconds(turns[name]) for name in (FLAGS.recipes if round_ % 2 else reversed(FLAGS.recipes))}
        ratios.append([b / a for a, b in zip(times[first], times[second], strict=True)])
    for name, values in zip(('by the clock', 'by the processor'), zip(*ratios, strict=True), strict=True):
        print(f'{second} / {first}, {name}: {in_turn.spread(values)}')


if __name__ == '__main__':
    app.run(main)
