"""Finds annotations that are most likely wrong, in the images that one trains on, by cross-validation.

  python -m yolo suspects --data_dir=data/voc416 --split=trainval --out_dir=suspects --folds=3 --num_suspects=100

Trains one network for each part of the images, on all others (train.py, runs OUT_DIR/fold_0, fold_1 ...), so that no
network is asked about images that it learnt by heart; has each detect in its part; and writes the suspects of all
parts, best first: OUT_DIR/suspects.html, suspects.csv, and detections.npz. The same command goes on where it was
stopped, and trains no finished part again. For images that no network was trained on: eval.py --suspects.
Flags of train.py say how to train. Exit status: 0, 1 after an error, 75 after SIGTERM or SIGINT.
"""

import dataclasses
import functools
import signal
import subprocess
import sys
import threading
from typing import Any

from absl import logging
from absl.flags import FlagValues

from yolo import settings, signals
from yolo.cli import flags
from yolo.settings import setting
from yolo.training.config import TrainConfig
from yolo.training.devices import Devices
from yolo.training.preemption import EXIT_STATUS

WHAT = 'What to look at'
OWN = ('data_dir', 'train_split', 'model_dir', 'folds', 'fold', 'max_hours')  # flags of train.py that follow from these


@dataclasses.dataclass(frozen=True)
class SuspectsSettings:
    """Which annotations to look at, and where to write what is suspected."""

    data_dir: str = setting(None, 'Folder of records.', group=WHAT, required=True)
    split: str = setting('trainval', 'Split whose annotations are looked at.', group=WHAT)
    out_dir: str = setting(None, 'Folder for the runs and the suspects.', group=WHAT, required=True)
    folds: int = setting(
        3, 'Parts of the split, and networks: each trains on all parts but one.', group=WHAT, low=2, high=1000
    )
    num_suspects: int = setting(100, 'How many suspects to write.', group=WHAT, low=1, high=1000)


TRAINING_FIELDS: list[Any] = [
    (field.name, field.type, dataclasses.field(default=field.default, metadata=field.metadata))
    for field in settings.with_flags(TrainConfig)
    if field.name not in OWN
]
TrainingSettings = dataclasses.make_dataclass('TrainingSettings', TRAINING_FIELDS, frozen=True)


def find(values: FlagValues) -> int:
    """Flags to library; returns the exit status."""
    from yolo import lock
    from yolo.data import folds, records

    asked = flags.read(values, SuspectsSettings)
    num_images = records.read_description(asked.data_dir).split(asked.split).num_images
    folds.check(num_images, 0, asked.folds)
    training, devices = _words(values, TrainingSettings), _words(values, Devices)
    child = _Child()
    with lock.hold(asked.out_dir, 'yolo suspects', '--out_dir'), signals.at_end(lambda _: child.end()):
        signals.defer(child.end_once, 'ended at once; the same command goes on from the last checkpoint')
        for fold in range(asked.folds):
            folder, data = f'{asked.out_dir}/fold_{fold}', f'--data_dir={asked.data_dir}'
            logging.info('part %d of %d: %s', fold + 1, asked.folds, folder)
            own = (f'--train_split={asked.split}', f'--folds={asked.folds}', f'--fold={fold}')
            commands = (
                ('train', data, f'--model_dir={folder}', *own, *training, *devices),
                ('eval', data, f'--model_dir={folder}', f'--split={asked.split}', '--held_out', *devices),
            )
            for command in commands:
                status = child.run(*command)
                if child.is_ended or status == EXIT_STATUS:
                    return EXIT_STATUS
                if status:
                    raise ValueError(f'part {fold + 1} of {asked.folds} ended with status {status}, see above')
        _write(asked)
    return 0


def _words(values: FlagValues, cls: type) -> list[str]:
    """The flags of a dataclass that were given, as words of a command line."""
    words = []
    for name, value in flags.given(values, cls).items():
        is_switch = isinstance(value, bool)
        words.append(f'--{"" if value else "no"}{name}' if is_switch else f'--{name}={settings.format_value(value)}')
    return words


class _Child:
    """The command of a part, in a process of its own, which frees its memory; signals are handed on to it once."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None
        self.is_ended = False
        self.lock = threading.Lock()

    def run(self, module: str, *words: str) -> int:
        """Runs train.py or eval.py to its end; returns its status."""
        with self.lock:
            if self.is_ended:
                return EXIT_STATUS
            command = [sys.executable, '-m', module, *words]
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        return self.process.wait()

    def end_once(self, number: signal.Signals) -> None:
        """Has the process save and end, at the first signal."""
        with self.lock:
            if self.is_ended:
                return
            self.is_ended = True
        self.end()

    def end(self) -> None:
        """Tells the process to end, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()


def _write(asked: SuspectsSettings) -> None:
    """The suspects of all parts together."""
    from yolo.evaluation import result, summary
    from yolo.training import held_out

    runs = [f'{asked.out_dir}/fold_{fold}' for fold in range(asked.folds)]
    numbers = [held_out.numbers(run, asked.data_dir, asked.split) for run in runs]
    pooled = result.pool([result.read(f'{run}/report/metrics.json') for run in runs], numbers)
    result.write(asked.out_dir, pooled)
    flags.load_tensorflow()
    from yolo.evaluation import inference, record_pictures, suspects, suspects_page

    found = suspects.find(pooled, asked.num_suspects)
    mean = summary.mean_ap(pooled, inference.Thresholds().match_iou)['map_11pt'] or 0
    print(f'mAP of the networks, each on its part: {mean:.3f} (11-point)')

    pictures = functools.partial(record_pictures.read, asked.data_dir, asked.split)
    print(suspects_page.write(asked.out_dir, f'Suspect annotations of {asked.split}', pooled, found, pictures))


COMMAND = flags.Command(
    'yolo suspects', __doc__ or '', (SuspectsSettings, TrainingSettings, Devices), find, tensorflow=False
)
