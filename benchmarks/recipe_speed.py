"""The time of training steps with one recipe beside those with another, in turn, in one run.

  python benchmarks/recipe_speed.py --data_dir=data/bccd256 --split=trainval --recipes=small-data,modern

Takes ten steps with each in turn, at the size of the records, with the same network and batch: all that `train.py` does
between checkpoints, as input graph, augmentation, step and log lines. Prints the ratio of the second recipe's time to
the first's, the median over the rounds, by the clock and by the processor.
"""

import functools
import tempfile
import time

import in_turn
import training_loop
from absl import app, flags

from yolo.training import recipes, resolve, schedule

FLAGS = flags.FLAGS  # those of training_loop too
flags.DEFINE_list('recipes', ['small-data', 'modern'], 'Two recipes.')


def make_loop(recipe: str):
    """A function that takes ten steps of a recipe from a number on."""
    config = recipes.apply(
        recipe,
        data_dir=FLAGS.data_dir,
        train_split=FLAGS.split,
        model_dir=tempfile.mkdtemp(),
        model=FLAGS.model,
        width=FLAGS.width,
        batch_size=FLAGS.batch_size,
        multi_scale=False,
        num_steps=10**6,
        checkpoint_every=10**6,
        log_every=10**6,
    )
    return training_loop.make_loops(resolve.resolve(config))[0]


def main(_) -> None:
    """Measures in turn and prints."""
    names = FLAGS.recipes
    if len(set(names)) != 2:
        raise app.UsageError(f'--recipes={",".join(names)}: give two')
    loops = {name: make_loop(name) for name in names}
    clocks = {'by the clock': time.perf_counter, 'by the processor': time.process_time}
    ratios: dict[str, list[float]] = {name: [] for name in clocks}
    for round_ in range(FLAGS.rounds + 1):
        for name, clock in clocks.items():
            order = names if round_ % 2 else names[::-1]
            calls = {recipe: functools.partial(loops[recipe], round_ * schedule.SIZE_STEPS) for recipe in order}
            times = in_turn.seconds(calls, clock)
            if round_:  # the first one fills buffers
                ratios[name].append(times[names[1]] / times[names[0]])
    for name, values in ratios.items():
        print(f'{names[1]} / {names[0]}, {name}: {in_turn.spread(values)}')


if __name__ == '__main__':
    app.run(main)
