"""`run.json`: what was run, with what, and how it ended."""

import contextlib
import dataclasses
import json
import platform
import posixpath
import threading
import time
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import tensorflow as tf

from yolo import descriptions, signals, storage
from yolo.settings import recorded
from yolo.training import distribution
from yolo.training.config import TrainConfig
from yolo.training.preemption import REASONS, Interruption
from yolo.version import VERSION

RUN = 'run.json'
PACKAGES = ('tensorflow', 'keras', 'numpy', 'opencv-python-headless', 'protobuf')


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What is in run.json: why the run ended, after which step, and what it was run with."""

    reason: str
    metrics: dict | None  # of the last evaluation, as in metrics.json
    step: int | None = recorded(None, low=0)
    losses: dict[str, float] | None = None
    seconds: float | None = recorded(None, low=0)
    started: str = ''
    strategy: str = ''
    versions: dict[str, str | None] = dataclasses.field(default_factory=dict)
    config: dict = dataclasses.field(default_factory=dict)  # as in config.json


def read_run(path: str) -> RunRecord:
    """Reads a run.json; ValueError if it is not understood."""
    return descriptions.read(path, RunRecord, 'a record of a run', 'remove it')


class RunFile:
    """The file `run.json` of a run, written at its start and at its end."""

    def __init__(self, config: TrainConfig, strategy: tf.distribute.Strategy, is_chief: bool):
        self.path, self.is_chief, self.since = posixpath.join(config.model_dir, RUN), is_chief, time.time()
        self.has_begun, self.first_step = False, 0
        self._writing = threading.Lock()  # a signal's thread writes too
        self.fields: dict[str, Any] = {
            'reason': 'running, or killed',
            'step': None,
            'metrics': None,
            'losses': None,
            'seconds': None,
            'started': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(self.since)),
            'strategy': distribution.describe(strategy),
            'versions': {
                'yolov2-tensorflow': VERSION,
                'python': platform.python_version(),
                **{name: _version(name) for name in PACKAGES},
            },
            'config': dataclasses.asdict(config),
        }

    def begin(self, first_step: int) -> None:
        """Writes that the run has started at a step, with the metrics and losses that an earlier start recorded."""
        if storage.exists(self.path):
            before = read_run(self.path)
            self.fields |= {'metrics': before.metrics, 'losses': before.losses}
        self.has_begun, self.first_step = True, first_step  # from here on the file is this run's, also after an error
        self._write()

    def _write(self) -> None:
        if not self.is_chief:
            return
        with self._writing:
            storage.make_folder(posixpath.dirname(self.path))
            storage.write(self.path, json.dumps(self.fields, indent=1) + '\n')

    def end(
        self, reason: str, step: int | None = None, metrics: dict | None = None, losses: dict | None = None
    ) -> None:
        """Writes how the run ended, with the metrics of its last evaluation and its last losses, if there are any."""
        self.fields |= {
            'reason': reason,
            'step': step,
            'metrics': metrics or self.fields['metrics'],
            'losses': losses or self.fields['losses'],
            'seconds': round(time.time() - self.since, 1),
        }
        self._write()

    @contextlib.contextmanager
    def errors(self, interruption: Interruption) -> Iterator[None]:
        """Writes the error that ends the run, or the signal that ends it before a step; if the run had started."""

        def end_by_signal(name: str) -> None:
            if name in REASONS and self.has_begun and not interruption.has_begun:
                self.end(name, self.first_step)

        try:
            with signals.at_end(end_by_signal):
                yield
        except Exception as error:
            if self.has_begun:
                with contextlib.suppress(OSError):  # on a full disk the first error says more
                    self.end(f'error: {error}')
            raise


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
