"""What single settings of training are worth: one row of mAP for each variant, with several seeds.

  python benchmarks/ablation.py --data_dir=data/bccd256 --splits=trainval,test --out_dir=ablation --seeds=3 \
      --variant='as it is:' --variant='no augmentation: --noaugment' -- --recipe=small-data --model=yolov2-tiny \
      --num_steps=2000

A variant is a name and, after a colon, flags of train.py, which come after those that follow --. Trains each with seeds
0, 1, ..., one run after the other, evaluates it on the second split, and prints mAP and AP by class (11 points and
area): the mean, and the mAP of each seed. The same command goes on where a killed one stopped; a run that is there
already, with the same flags, is only read.
"""

import pathlib
import re
import shlex
import statistics
from collections.abc import Sequence

import runs
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_list('splits', ['trainval', 'test'], 'The split to train on, and the one to test on.')
flags.DEFINE_string('out_dir', None, 'Folder for the runs.', required=True)
flags.DEFINE_integer('seeds', 1, 'How many seeds to train with.', lower_bound=1)
flags.DEFINE_multi_string('variant', ['as it is:'], 'NAME: FLAGS of train.py.')


def folder_name(variant: str, seed: int) -> str:
    """The folder of a run, of the characters that any file system has."""
    return f'{re.sub("[^A-Za-z0-9]+", "_", variant).strip("_")}_{seed}'


def train(name: str, words: Sequence[str]) -> list[dict]:
    """The metrics of a variant, of each seed."""
    splits = f'--train_split={FLAGS.splits[0]}', f'--eval_split={FLAGS.splits[1]}'
    folder = pathlib.Path(FLAGS.out_dir).absolute()
    return [
        runs.train(FLAGS.data_dir, folder / folder_name(name, seed), [*splits, *words, f'--seed={seed}'])
        for seed in range(FLAGS.seeds)
    ]


def print_row(name: str, metrics: Sequence[dict]) -> None:
    """One line: both mAPs, and the mean AP (11 points) of each class."""
    maps = [
        f'{label} {runs.mean_and_each([each[key] for each in metrics])}'
        for label, key in (('11-point', 'map_11pt'), ('area', 'map_area'))
    ]
    classes = [
        f'{label} {statistics.mean(each["per_class"][label]["ap_11pt"] for each in metrics):.3f}'
        for label in metrics[0]['per_class']
    ]
    print(f'{name}: {"; ".join(maps)}; {", ".join(classes)}', flush=True)


def main(words: Sequence[str]) -> None:
    """Trains and prints a row for each variant."""
    for variant in FLAGS.variant:
        name, colon, changes = variant.partition(':')
        if not colon:
            raise app.UsageError(f'--variant={variant}: give NAME: FLAGS, with a colon')
        print_row(name, train(name, [*words[1:], *shlex.split(changes)]))


if __name__ == '__main__':
    app.run(main)
