"""What a run tells while it goes on: a line, or a bar on a terminal, and TensorBoard."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from yolo.data import pipeline
from yolo.training.config import TrainConfig
from yolo.training.state import State
from yolo.training.step import NAMES, TERMS

TRAINED = ('kernel', 'bias', 'gamma', 'beta')
OTHER_RATE = 'take a lower --learning_rate, in another --model_dir'


class Progress:
    """Looks at the loss of every step; every `log_every` steps writes a line and TensorBoard scalars.

    Steps are looked at when the next ones have been sent to the device, so that the device never waits for it.
    """

    def __init__(self, config: TrainConfig, state: State, rate: Callable, writer, start: int = 0):
        self.config, self.state, self.rate, self.writer = config, state, rate, writer
        self.pending: tuple[int, tf.Tensor] | None = None
        self.since = time.perf_counter()
        self.seconds = 0.0  # since the last line
        self.window: list[np.ndarray] = []  # what the steps since then told
        self.total_count, self.total_seconds = 0, 0.0
        self.last: dict[str, float] | None = None  # loss and its parts as the last line has them
        # Bars are for terminals: elsewhere `disable=None` leaves nothing of it.
        self.bar = tqdm(total=config.num_steps, initial=start, unit=' steps', disable=None, dynamic_ncols=True)

    def resume(self) -> None:
        """Leaves the time since the last `flush`, spent on something else, out of the reckoning."""
        self.since = time.perf_counter()

    def add(self, step: int, told: tf.Tensor) -> None:
        """Takes what the steps from number `step` on told, (n, len(NAMES)).

        FloatingPointError, with the images of its batch, if a loss is not finite.
        """
        self._look()
        self.pending = step, told
        done = step + len(told)
        if done % self.config.log_every == 0 or done == self.config.num_steps:
            self.flush()
            self._report(done)

    def flush(self) -> None:
        """Looks at every step there is."""
        self._look()
        now = time.perf_counter()
        self.seconds, self.since = self.seconds + now - self.since, now

    def _look(self) -> None:
        if self.pending is None:
            return
        step, told = self.pending[0], self.pending[1].numpy()
        self.pending = None
        losses = told[:, : len(TERMS)]
        bad = np.flatnonzero(~np.isfinite(losses).all(1))
        if len(bad):
            config, step = self.config, step + int(bad[0])
            ids = pipeline.training_ids(config.data_dir, config.train_split, config.batch_size, config.seed, step)
            values = dict(zip(TERMS, losses[bad[0]].tolist(), strict=True))
            raise FloatingPointError(
                f'the loss of step {step} is not finite: {values}; its images: {", ".join(ids)}. The last checkpoint '
                f'is from before; look at these images (python -m preprocess show), or {OTHER_RATE}'
            )
        self.state.loss_sum.assign_add(losses[:, 0].astype(np.float64).sum())
        self.state.loss_count.assign_add(len(losses))
        self.window.append(told)
        self.bar.update(len(told))

    def _report(self, done: int) -> None:
        told = np.concatenate(self.window)
        means = dict(zip(NAMES, told.mean(0, dtype=np.float64).tolist(), strict=True))
        self.last = {name: means[name] for name in TERMS}
        speed = len(told) * self.config.batch_size / self.seconds
        self.total_count, self.total_seconds = self.total_count + len(told), self.total_seconds + self.seconds
        left = (self.config.num_steps - done) * self.total_seconds / self.total_count
        rate = float(self.rate(done - 1))
        parts = ' '.join(f'{name} {means[name]:.3f}' for name in TERMS[1:])
        line = f'loss {means["loss"]:.3f} ({parts})  rate {rate:.2e}  {speed:.1f} images/s'
        if self.bar.disable:
            logging.info('step %d/%d  %s  %s left', done, self.config.num_steps, line, format_seconds(left))
        else:
            self.bar.set_postfix_str(line)
        with self.writer.as_default(done):
            tf.summary.scalar('loss', means['loss'])
            for name in TERMS[1:]:
                tf.summary.scalar(f'loss/{name}', means[name])
            for name, value in _at_places(means).items():
                tf.summary.scalar(f'places/{name}', value)
            tf.summary.scalar('learning_rate', rate)
            tf.summary.scalar('images_per_second', speed)
            tf.summary.scalar('input_wait_fraction', told[:, NAMES.index('seconds_waited')].sum() / self.seconds)
            tf.summary.scalar('norm/gradient', means['gradient_norm'])
            weights = [weight.value for weight in self.state.model.weights if weight.name in TRAINED]  # frozen ones too
            tf.summary.scalar('norm/weights', tf.linalg.global_norm(weights))
        self.writer.flush()
        self.seconds, self.window = 0.0, []

    def close(self) -> None:
        """Takes the bar away."""
        self.bar.close()


def _at_places(means: dict[str, float]) -> dict[str, float]:
    """What Darknet prints: means over responsible places, and of the objectness over all others."""
    num_with, num_without = max(means['num_with'], 1e-9), max(means['num_without'], 1e-9)
    return {
        'iou': means['overlap'] / num_with,
        'recall': means['recalled'] / num_with,
        'objectness_with_object': means['objectness_with'] / num_with,
        'objectness_without_object': means['objectness_without'] / num_without,
    }


def format_seconds(seconds: float) -> str:
    """Hours:minutes:seconds."""
    whole = round(seconds)
    return f'{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}'


class _BesideBars:
    """A stream whose lines do not tear a tqdm bar apart."""

    def write(self, text: str) -> None:
        """Writes above the bar."""
        tqdm.write(text, file=sys.stderr, end='')

    def flush(self) -> None:
        """Writes what waits."""
        sys.stderr.flush()

    def close(self) -> None:
        """Nothing: stderr stays open."""


@contextlib.contextmanager
def lines_beside_bars() -> Iterator[None]:
    """Lets absl's log lines go above tqdm's bars, on a terminal."""
    handler = logging.get_absl_handler().python_handler
    if not sys.stderr.isatty():
        yield
        return
    stream, handler.stream = handler.stream, _BesideBars()
    try:
        yield
    finally:
        handler.stream = stream
