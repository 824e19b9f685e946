"""What larger stored images (preprocess --store_size) and jitter around the photo's shape (--jitter_around) are worth.

  python benchmarks/stored_size.py --voc_dir=VOC --splits=train,test --image_size=256 --out_dir=stored --seeds=3 \
      -- --recipe=small-data --model=yolov2-tiny --width=0.5 --num_steps=2000

Makes records of the first split twice, at the network's size and at --store_size (the largest size of --recipe by
default), trains on each with both jitters and every seed, one run after the other, and evaluates each on the second
split, which is stored at the network's size in both. Prints both mAPs of each run, and their means. What follows --
goes to train.py. The same command goes on where a killed one stopped; a run that is there already is only read.
"""

import pathlib
import re
from collections.abc import Sequence

import runs
from absl import app, flags

from yolo import recipes
from yolo.data import records
from yolo.training.config_file import read_config

FLAGS = flags.FLAGS
flags.DEFINE_string('voc_dir', None, 'Folder with Annotations, JPEGImages and ImageSets/Main.', required=True)
flags.DEFINE_list('splits', ['train', 'test'], 'Lists there: the one to train on, and the one to test on.')
flags.DEFINE_string('out_dir', None, 'Folder for records and runs.', required=True)
flags.DEFINE_string('image_size', '256', 'Pixels of the network, as of preprocess.')
flags.DEFINE_integer('store_size', None, 'As of preprocess, by default that of --recipe.')
flags.DEFINE_integer('seeds', 1, 'How many seeds to train with.', lower_bound=1)

VARIANTS = {  # what it is: records and flags
    'stored at the size of the network': ('plain', ()),
    'the same, jitter around the photo': ('plain', ('--jitter_around=photo',)),
    'stored larger': ('larger', ()),
    'the same, larger, jitter around the photo': ('larger', ('--jitter_around=photo',)),
}
flags.DEFINE_multi_enum('variant', list(VARIANTS), list(VARIANTS), 'Which to train, in order.')


def recipe_of(words: Sequence[str]) -> str:
    """The recipe that train.py will take."""
    found = re.findall(r'(?:^|\n)--?recipe[=\n]([^\n]*)', '\n'.join(words))  # --recipe=X or --recipe X; the last counts
    return found[-1] if found else recipes.NAMES[0]


def preprocess(folder: pathlib.Path, recipe: str) -> None:
    """Makes both folders of records."""
    larger = f'--store_size={FLAGS.store_size}' if FLAGS.store_size else f'--recipe={recipe}'
    source = (f'--voc_dir={FLAGS.voc_dir}', f'--splits={",".join(FLAGS.splits)}', f'--image_size={FLAGS.image_size}')
    for name, more in (('plain', ()), ('larger', (larger,))):
        runs.run('-m', 'preprocess', *source, f'--out_dir={folder / name}', '--leaks=off', *more)


def train(folder: pathlib.Path, data: str, name: str, words: Sequence[str]) -> dict:
    """The metrics at the end of a run."""
    splits = f'--train_split={FLAGS.splits[0]}', f'--eval_split={FLAGS.splits[1]}'
    return runs.train(folder / data, folder / name, [*splits, *words])


def main(words: Sequence[str]) -> None:
    """Converts, trains, and prints a row for each variant."""
    folder = pathlib.Path(FLAGS.out_dir).absolute()
    preprocess(folder, recipe_of(words))
    sizes = {
        data: records.read_description(str(folder / data)).stored_size(FLAGS.splits[0]) for data in ('plain', 'larger')
    }
    print('stored (height, width): ' + ', '.join(f'{data} {size}' for data, size in sizes.items()))
    print(f'{"":>42} mAP (area): mean  by seed; 11-point: mean  by seed', flush=True)
    for name in FLAGS.variant:
        data, more = VARIANTS[name]
        number = list(VARIANTS).index(name)
        results = [
            train(folder, data, f'run{number}_{seed}', [*more, f'--seed={seed}', *words[1:]])
            for seed in range(FLAGS.seeds)
        ]
        rows = (runs.mean_and_each([each[key] for each in results]) for key in ('map_area', 'map_11pt'))
        print(f'{name:>42} {"; ".join(rows)}', flush=True)
    config = read_config(str(folder / f'run{number}_0'))
    print(
        f'tested at {config.image_size}, trained at {config.sizes[0]} to {config.sizes[-1]}, {config.num_steps} steps'
    )


if __name__ == '__main__':
    app.run(main)
