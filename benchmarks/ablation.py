"""What single settings of training are worth: one row of mAP for each variant, with several seeds.

  python benchmarks/ablation.py --data_dir=data/bccd256 --splits=trainval,test --out_dir=ablation --seeds=3 \
      --variant='as it is:' --variant='no augmentation: --noaugment' -- --recipe=small-data --model=yolov2-tiny \
      --num_steps=2000

A variant is a name and, after a colon, flags of train.py, which come after those that follow --. Trains each with seeds
0, 1, ..., one run after the other, evaluates it on the second split, and prints mAP and AP by class (11 points and
area): the mean, and the mAP of each seed. The same command goes on where a killed one stopped; a run that is there
already, with the same flags, is only read.
"""

import shlex
import statistics
from collections.abc import Sequence

import runs
from absl import app, flags

FLAGS = flags.FLAGS
runs.define_flags()
flags.adopt_module_key_flags(runs)
flags.DEFINE_multi_string('variant', ['as it is:'], 'NAME: FLAGS of train.py.')


def print_row(name: str, metrics: Sequence[dict]) -> None:
    """One line: both mAPs, and the mean AP (11 points) of each class."""
    maps = [
        f'{label} {runs.mean_and_each([each[key] for each in metrics])}'
        for label, key in (('11-point', 'map_11pt'), ('area', 'map_area'))
    ]
    classes = [
        f'{label} {statistics.mean(each["per_class"][label]["ap_11pt"] for each in metrics):.3f}'
        for label, row in metrics[0]['per_class'].items()
        if row['ap_11pt'] is not None  # the split has such objects
    ]
    print(f'{name}: {"; ".join(maps)}; {", ".join(classes)}', flush=True)


def main(words: Sequence[str]) -> None:
    """Trains and prints a row for each variant."""
    names = [runs.folder_of(variant.partition(':')[0], 0).name for variant in FLAGS.variant]
    if len({*names, '_0'}) <= len(names):
        raise app.UsageError(f'--variant: names have to differ in letters or digits: {FLAGS.variant}')
    for variant in FLAGS.variant:
        name, colon, changes = variant.partition(':')
        if not colon:
            raise app.UsageError(f'--variant={variant}: give NAME: FLAGS, with a colon')
        more = [*words[1:], *shlex.split(changes)]
        print_row(name, [runs.train_variant(name, seed, more) for seed in range(FLAGS.seeds)])


if __name__ == '__main__':
    app.run(main)
