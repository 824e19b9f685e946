"""What the benchmarks that train share: commands of this project, and the metrics at the end of a run."""

import pathlib
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence

from absl import flags

from yolo.training import run_folder

ROOT = pathlib.Path(__file__).parent.parent


def run(*words: str) -> None:
    """Runs a command of this project; ends with what it printed if it fails."""
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f'{" ".join(words)} failed:\n{done.stderr[-2000:]}')


def train(data_dir: pathlib.Path | str, model_dir: pathlib.Path, words: Sequence[str]) -> dict:
    """The metrics of the evaluation at the end of a run with the flags `words`; one that was killed goes on.

    A run that is there already, with the same flags, is only read.
    """
    run('train.py', f'--data_dir={data_dir}', f'--model_dir={model_dir}', '--eval_every=0', *words)
    metrics = run_folder.read_run(str(model_dir / run_folder.RUN)).metrics
    if metrics is None:
        sys.exit(f'{model_dir} has not been evaluated: train.py needs --eval_split')
    return metrics


def define_flags() -> None:
    """The flags of benchmarks that train several variants with several seeds, which `train_variant` reads."""
    flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
    flags.DEFINE_list('splits', ['trainval', 'test'], 'The split to train on, and the one to test on.')
    flags.DEFINE_string('out_dir', None, 'Folder for the runs.', required=True)
    flags.DEFINE_integer('seeds', 1, 'How many seeds to train with.', lower_bound=1)


def folder_of(variant: str, seed: int) -> pathlib.Path:
    """The folder of a run, named by the characters that any file system has."""
    name = f'{re.sub("[^A-Za-z0-9]+", "_", variant).strip("_")}_{seed}'
    return pathlib.Path(flags.FLAGS.out_dir).absolute() / name


def train_variant(variant: str, seed: int, words: Sequence[str]) -> dict:
    """The metrics of a run with the flags `words`, and those for its splits and its seed."""
    train_split, eval_split = flags.FLAGS.splits
    splits = f'--train_split={train_split}', f'--eval_split={eval_split}'
    return train(flags.FLAGS.data_dir, folder_of(variant, seed), [*splits, *words, f'--seed={seed}'])


def mean_and_each(values: Sequence[float]) -> str:
    """Their mean, and each of them, as text."""
    return f'{statistics.mean(values):.4f}  {" ".join(f"{value:.4f}" for value in values)}'
