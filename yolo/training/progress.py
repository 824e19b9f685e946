"""The progress of a run: log lines, or a bar on a terminal, and scalars for TensorBoard."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from yolo.data import pipeline
from yolo.training.batches import read_repeats, trained_on
from yolo.training.config import TrainConfig
from yolo.training.gradients import TERMS
from yolo.training.state import State
from yolo.training.update import METRICS

TRAINED = ('kernel', 'bias', 'gamma', 'beta')  # names of the weights that gradients change
LOWEST_LOSS_SCALE = 1.0  # with which the gradient is that of a loss that is not scaled
LEAST_OBJECTNESS = 1e-3  # mean at objects: with less, hardly any of them is detected
LOWER_RATE_HINT = 'take a lower --learning_rate, in another --model_dir'


class Progress:
    """Checks the loss of every step; every `log_every` steps writes a log line and TensorBoard scalars.

    The metrics of steps stay on the device until a line is due, so that it never waits for the host.
    """

    def __init__(self, config: TrainConfig, state: State, rate: Callable, writer, first_step: int = 0):
        self.config, self.state, self.rate, self.writer = config, state, rate, writer
        self.unread: list[tuple[int, tf.Tensor, bool]] = []  # number of the first step, metrics, is timed
        self.is_next_timed = True
        self.since = time.perf_counter()
        self.seconds = 0.0  # spent on steps since the last line, without those that were compiled in that time
        self.window: list[np.ndarray] = []  # metrics of the steps since the last line, but for skipped ones
        self.num_timed, self.seconds_waited = 0, 0.0  # steps that `seconds` contains, their waiting for batches
        self.num_skipped, self.loss_scale = 0, 0.0  # since the last line; of the last step
        self.total_steps, self.total_seconds = 0, 0.0  # timed ones
        self.last: dict[str, float] | None = None  # loss and its parts in the last line
        self.is_warned = False  # that no object is detected any more
        # On a terminal only; elsewhere `disable=None` disables the bar.
        self.bar = tqdm(total=config.num_steps, initial=first_step, unit=' steps', disable=None, dynamic_ncols=True)

    def resume(self) -> None:
        """Does not count the time since the last `flush`, which was spent on something else than steps."""
        self.since = time.perf_counter()

    def leave_out(self, seconds: float) -> None:
        """Does not count the next steps that are added, and their call of so many seconds, for speed and time left."""
        self.since += seconds
        self.is_next_timed = False

    def add(self, step: int, metrics: tf.Tensor, seconds_waited: float = 0.0) -> None:
        """Takes the metrics of the steps from number `step` on, (n, len(METRICS)), which waited so long for batches.

        FloatingPointError, with the images of its batch, if a line is due and the loss of a step since the last one is
        not finite. With a scaled loss such a step is skipped, counted and in no mean, as long as the scale can fall.
        """
        self.unread.append((step, metrics, self.is_next_timed))
        if self.is_next_timed:
            self.seconds_waited += seconds_waited
        self.is_next_timed = True
        self.bar.update(metrics.shape[0])
        done = step + metrics.shape[0]
        if done % self.config.log_every == 0 or done == self.config.num_steps:
            self.flush()
            self._report(done)

    def flush(self) -> None:
        """Reads the metrics of all steps so far, which waits for the device."""
        unread, self.unread = self.unread, []
        for step, metrics, is_timed in unread:
            self._read(step, metrics.numpy(), is_timed)
        now = time.perf_counter()
        self.seconds, self.since = self.seconds + now - self.since, now

    @property
    def is_all_read(self) -> bool:
        """Whether the metrics of all steps so far were read, so that their time is known."""
        return not self.unread

    @property
    def timed_seconds(self) -> float:
        """The time of all steps that are timed, as far as they were read."""
        return self.total_seconds + self.seconds * bool(self.num_timed)

    def close(self) -> None:
        """Removes the bar."""
        self.bar.close()

    def _read(self, step: int, metrics: np.ndarray, is_timed: bool) -> None:
        losses, is_skipped = metrics[:, : len(TERMS)], metrics[:, METRICS.index('skipped')] > 0.5
        self._check_finite(step, losses, is_skipped)
        self._check_loss_scale(step, metrics[:, METRICS.index('loss_scale')], is_skipped)
        self.state.loss_sum.assign_add(losses[~is_skipped, 0].astype(np.float64).sum())
        self.state.loss_count.assign_add(int((~is_skipped).sum()))
        self.window.append(metrics[~is_skipped])
        self.num_skipped += int(is_skipped.sum())
        self.num_timed += len(metrics) * is_timed

    def _check_finite(self, step: int, losses: np.ndarray, is_skipped: np.ndarray) -> None:
        bad = np.flatnonzero(~np.isfinite(losses).all(1) & ~is_skipped)
        if len(bad):
            values = dict(zip(TERMS, losses[bad[0]].tolist(), strict=True))
            raise self._not_finite(step + int(bad[0]), f'the loss of step {step + int(bad[0])} is not finite: {values}')

    def _check_loss_scale(self, step: int, loss_scales: np.ndarray, is_skipped: np.ndarray) -> None:
        """FloatingPointError for a step that was skipped though its loss was not scaled up any more."""
        self.loss_scale = float(loss_scales[-1])
        bad = np.flatnonzero(is_skipped & (loss_scales <= LOWEST_LOSS_SCALE))
        if len(bad):
            number = step + int(bad[0])
            raise self._not_finite(
                number,
                f'the loss or the gradient of step {number} is not finite, though so many steps were skipped that the '
                f'loss is not scaled any more (--precision={self.config.precision})',
            )

    def _not_finite(self, step: int, what: str) -> FloatingPointError:
        config = self.config
        order = (config.batch_size, config.seed, step, config.shuffle_mb)
        chosen: dict[str, Any] = {'repeats': read_repeats(config), 'numbers': trained_on(config)}
        ids = pipeline.training_ids(config.data_dir, config.train_split, *order, **chosen)
        return FloatingPointError(
            f'{what}; its images: {", ".join(ids)}. The last checkpoint is from before; look at these images '
            f'(python -m preprocess show), or {LOWER_RATE_HINT}'
        )

    def _report(self, done: int) -> None:
        """Writes the log line and the scalars of the steps since the last line."""
        scalars = {'learning_rate': float(self.rate(done - 1)), **self._speed()}
        if self.loss_scale:
            scalars |= {'skipped_steps': self.num_skipped, 'loss_scale': self.loss_scale}
        if self.num_skipped:
            steps = 'step' if self.num_skipped == 1 else 'steps'
            logging.info('step %d: %d %s skipped, the loss scale is %g', done, self.num_skipped, steps, self.loss_scale)
        metrics = np.concatenate(self.window)
        if len(metrics):
            means = dict(zip(METRICS, metrics.mean(0, dtype=np.float64).tolist(), strict=True))
            self.last = {name: means[name] for name in TERMS}
            self._log(done, means, scalars)
            self._warn_without_objectness(done, means)
            self._write_scalars(done, means, scalars)
        self.seconds, self.seconds_waited, self.num_timed = 0.0, 0.0, 0
        self.window, self.num_skipped = [], 0

    def _speed(self) -> dict[str, float]:
        """The speed of the timed steps since the last line and their share of waiting; {} if there are none."""
        if not self.num_timed:
            return {}
        self.total_steps, self.total_seconds = self.total_steps + self.num_timed, self.total_seconds + self.seconds
        return {
            'images_per_second': self.num_timed * self.config.batch_size / self.seconds,
            'input_wait_fraction': min(1.0, self.seconds_waited / self.seconds),
        }

    def _log(self, done: int, means: dict[str, float], scalars: dict[str, float]) -> None:
        parts = ' '.join(f'{name} {means[name]:.3f}' for name in TERMS[1:])
        speed = scalars.get('images_per_second')
        speed_text = 'images/s not measured (compiling)' if speed is None else f'{speed:.1f} images/s'
        line = f'loss {means["loss"]:.3f} ({parts})  rate {scalars["learning_rate"]:.2e}  {speed_text}'
        if not self.bar.disable:
            self.bar.set_postfix_str(line)
            return
        if self.total_steps:
            left = (self.config.num_steps - done) * self.total_seconds / self.total_steps
            line = f'{line}  {format_seconds(left)} left'
        logging.info('step %d/%d  %s', done, self.config.num_steps, line)

    def _warn_without_objectness(self, done: int, means: dict[str, float]) -> None:
        """Says once, after the burn-in, that the network takes everything for background."""
        objectness = _prediction_means(means)['objectness_with_object']
        if self.is_warned or done <= self.config.burn_in or not means['num_with'] or objectness >= LEAST_OBJECTNESS:
            return
        self.is_warned = True
        adam = [] if self.config.optimizer == 'adam' else ['--optimizer=adam, as --recipe=modern has']
        weights = [] if self.config.init_weights else ['trained weights (--init_weights)']
        logging.warning(
            'step %d: the objectness at objects is %.2g on average, so hardly anything will be detected; background '
            'has pushed it down. Begin anew with %s',
            done,
            objectness,
            ', or with '.join([*adam, 'a lower --learning_rate', *weights]),
        )

    def _write_scalars(self, done: int, means: dict[str, float], scalars: dict[str, float]) -> None:
        weights = [weight.value for weight in self.state.model.weights if weight.name in TRAINED]  # frozen ones too
        with self.writer.as_default(done):
            tf.summary.scalar('loss', means['loss'])
            for name in TERMS[1:]:
                tf.summary.scalar(f'loss/{name}', means[name])
            for name, value in _prediction_means(means).items():
                tf.summary.scalar(f'places/{name}', value)
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
            tf.summary.scalar('norm/gradient', means['gradient_norm'])
            tf.summary.scalar('norm/weights', tf.linalg.global_norm(weights))
        self.writer.flush()


def _prediction_means(means: dict[str, float]) -> dict[str, float]:
    """What Darknet prints: means over predictions that are responsible for an object, and over all others."""
    num_with, num_without = max(means['num_with'], 1e-9), max(means['num_without'], 1e-9)
    return {
        'iou': means['overlap'] / num_with,
        'recall': means['recalled'] / num_with,
        'objectness_with_object': means['objectness_with'] / num_with,
        'objectness_without_object': means['objectness_without'] / num_without,
    }


def format_seconds(seconds: float) -> str:
    """A duration as hours:minutes:seconds."""
    whole = round(seconds)
    return f'{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}'


class _AboveBar:
    """A stream that writes its lines above a tqdm bar and not into it."""

    def write(self, text: str) -> None:
        """Writes text above the bar."""
        tqdm.write(text, file=sys.stderr, end='')

    def flush(self) -> None:
        """Flushes stderr."""
        sys.stderr.flush()

    def close(self) -> None:
        """Does nothing: stderr stays open."""


@contextlib.contextmanager
def lines_beside_bars() -> Iterator[None]:
    """On a terminal, writes absl's log lines above tqdm's bar while it is entered."""
    handler = logging.get_absl_handler().python_handler
    if not sys.stderr.isatty():
        yield
        return
    stream, handler.stream = handler.stream, _AboveBar()
    try:
        yield
    finally:
        handler.stream = stream
