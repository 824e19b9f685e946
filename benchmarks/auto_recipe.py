"""How good --recipe=auto is beside flags that were tuned by hand, trained on as many images.

  python benchmarks/auto_recipe.py --data_dir=data/bccd256 --splits=trainval,test --out_dir=auto \
      --tuned='--recipe=modern --model=yolov2-tiny'

Trains with --recipe=auto, without other flags than the splits, the seed and --eval_every=0 (and --auto_flags), and then
with those of --tuned, for as many images as auto chose; each is evaluated once, at its end. Prints for each seed
both mAPs, steps and minutes, how many times as long auto took, and the difference of the means. The minutes are those
of the training itself, without the steps that auto times before it and the images that it detects after it. The same
command goes on where a killed one stopped; a run that is there already takes no step, though auto detects again, and
its minutes are those of reading.
"""

import shlex
from collections.abc import Sequence

import runs
from absl import app, flags

from yolo.data import records
from yolo.training import run_folder
from yolo.training.config_file import read_config

FLAGS = flags.FLAGS
runs.define_flags()
flags.adopt_module_key_flags(runs)
flags.DEFINE_string('tuned', None, 'Flags of train.py that were tuned by hand, without steps.', required=True)
flags.DEFINE_string('auto_flags', '', 'More flags of train.py for --recipe=auto, as --max_hours=0.1.')


def train(name: str, seed: int, words: Sequence[str]) -> dict:
    """The metrics of a run, of which a line is printed, with the `seconds` that it took."""
    metrics = runs.train_variant(name, seed, words)
    folder = runs.folder_of(name, seed)
    config, seconds = read_config(str(folder)), run_folder.read_run(str(folder / run_folder.RUN)).seconds or 0
    print(
        f'{name}, seed {seed}: mAP {metrics["map_11pt"]:.4f} (11-point), {metrics["map_area"]:.4f} (area); '
        f'{config.num_steps:,} steps of {config.batch_size}, {seconds / 60:.1f} min',
        flush=True,
    )
    return {**metrics, 'seconds': seconds}


def images_seen(seed: int) -> int:
    """How many images the run of auto has seen."""
    config = read_config(str(runs.folder_of('auto', seed)))
    return config.num_steps * config.batch_size


def main(_) -> None:
    """Trains, and prints a line for each run and the differences."""
    words = shlex.split(FLAGS.tuned)
    if any(word.startswith(('--num_steps', '--epochs')) for word in words):
        raise app.UsageError(
            f'--tuned={FLAGS.tuned}: auto says for how many images, leave --num_steps and --epochs out'
        )
    num_images = records.read_description(FLAGS.data_dir).split(FLAGS.splits[0]).num_images
    differences: dict[str, list[float]] = {'map_11pt': [], 'map_area': []}
    ratios = []
    for seed in range(FLAGS.seeds):
        auto = train('auto', seed, ['--recipe=auto', *shlex.split(FLAGS.auto_flags)])
        epochs = (images_seen(seed) - 0.5) / num_images  # which is rounded up to whole steps
        tuned = train('tuned', seed, [*words, f'--epochs={epochs!r}'])
        for name, values in differences.items():
            values.append(auto[name] - tuned[name])
        ratios.append(auto['seconds'] / max(tuned['seconds'], 1e-9))
    for name, values in differences.items():
        print(f'{name}: auto above tuned by {runs.mean_and_each(values)}')
    print(f'minutes: auto took {runs.mean_and_each(ratios)} times those of tuned')


if __name__ == '__main__':
    app.run(main)
