"""The training loop, from top to bottom: start or continue, steps, checkpoints, evaluations, and the reason to end."""

import dataclasses
import posixpath
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import tensorflow as tf
from absl import logging

from yolo import lock
from yolo.data import records
from yolo.detection import graph
from yolo.evaluation import inference
from yolo.models.build import DarknetModel
from yolo.training import batches, errors, optimizer, run_folder, schedule, start, tensorboard, validation
from yolo.training.accumulators import Accumulators
from yolo.training.agreement import Agreement
from yolo.training.checkpoints import Saver
from yolo.training.checks import check_config
from yolo.training.config import TrainConfig
from yolo.training.distribution import HostCollective, has_accelerator
from yolo.training.preemption import Interruption
from yolo.training.progress import Progress, lines_beside_bars
from yolo.training.state import State
from yolo.training.step import make_accumulators, make_steps
from yolo.training.time_estimate import StepTimer

FINISHED, EARLY = 'finished', 'early stopping'


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended: why, at which step, the last evaluation's metrics (None without one), and the last losses."""

    reason: str  # finished, early stopping, time limit, SIGTERM or SIGINT
    step: int
    metrics: dict | None
    losses: dict | None  # mean loss and its parts over the last --log_every steps, None if it took none


@dataclasses.dataclass
class Run:
    """What the loop works with, from its start to its end."""

    config: TrainConfig
    strategy: tf.distribute.Strategy
    collective: HostCollective
    interruption: Interruption
    agreement: Agreement
    state: State
    saver: Saver
    first_step: int
    batches: Iterator
    writer: Any  # of TensorBoard's file
    progress: Progress
    profiler: tensorboard.Profiler
    timer: StepTimer
    predict: Callable  # images -> detections, by the model that is exported
    steps_of_size: dict[tuple[int, int], Callable] = dataclasses.field(default_factory=dict)  # by height and width
    accumulators: Accumulators | None = None  # with several subdivisions
    metrics: dict | None = None  # of the last evaluation


def train(config: TrainConfig, strategy: tf.distribute.Strategy, overwrite: bool = False) -> Result:
    """Trains to `config.num_steps`, continuing from the newest whole checkpoint of `config.model_dir` if there is one.

    overwrite: whether to remove a run in that folder and begin anew.
    ValueError for settings that do not fit each other or the run that is in the folder already; FloatingPointError if
    the loss or what is to be saved is not finite; OSError if a file cannot be written, another process is gone, or
    another run uses the folder.
    """
    config = dataclasses.replace(config, data_checksum=records.data_checksum(config.data_dir))
    check_config(config, strategy)
    collective = HostCollective(strategy)
    run_file = run_folder.RunFile(config, strategy, collective.is_chief)
    locked = lock.hold(config.model_dir, 'train.py', '--model_dir') if collective.is_chief else nullcontext()
    with locked as check_lock, Interruption(config.max_hours) as interruption, lines_beside_bars():
        with run_file.errors(interruption), errors.clear_errors(config, strategy):
            state, saver = start.start_run(config, strategy, collective, overwrite)
            run_file.begin(int(state.step.numpy()))
            result = _train(_prepare(config, strategy, collective, interruption, state, saver), check_lock)
        run_file.end(result.reason, result.step, result.metrics, result.losses)
    return result


def _train(run: Run, check_lock: Callable[[], None] | None) -> Result:
    """The loop itself. Between steps nothing is fetched from the device, except where something is due."""
    step = run.first_step
    with errors.closing(run.profiler.stop, run.progress.close, run.writer.close):
        reason = _evaluate_if_due(run, step)  # due if the run was stopped after a checkpoint, before its evaluation
        while not reason:
            step = _take_steps(run, step)
            if check_lock is not None:  # another run may have taken the folder over: nothing is saved there
                check_lock()
            reason = run.agreement.reason(step)
            _save_if_due(run, step, is_last=bool(reason))
            if not reason:
                reason = _evaluate_if_due(run, step)
    logging.info('%s: %d of %d steps, checkpoints in %s', reason, step, run.config.num_steps, run.config.model_dir)
    return Result(reason, step, run.metrics, run.progress.last)


def _prepare(
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    collective: HostCollective,
    interruption: Interruption,
    state: State,
    saver: Saver,
) -> Run:
    """Everything that the loop needs, at the step of the state."""
    step = int(state.step.numpy())
    writer = tf.summary.create_noop_writer()
    if collective.is_chief:
        writer = tf.summary.create_file_writer(posixpath.join(config.model_dir, 'tensorboard'))
    if config.profile_steps and step > config.profile_steps[1]:
        logging.warning('no profile: the run goes on at step %d, after --profile_steps', step)
    return Run(
        config=config,
        strategy=strategy,
        collective=collective,
        interruption=interruption,
        agreement=Agreement(interruption, collective),
        state=state,
        saver=saver,
        first_step=step,
        batches=iter(batches.distribute_batches(config, strategy, step)),
        writer=writer,
        progress=Progress(config, state, optimizer.make_rate(config, state.rate_factor), writer, step),
        profiler=tensorboard.Profiler(config, collective.is_chief),
        timer=StepTimer(config, has_accelerator=has_accelerator()),
        predict=graph.make_predict(state.export_model, config.anchors, inference.Thresholds(), strategy),
    )


def _take_steps(run: Run, step: int) -> int:
    """Takes the steps up to the next one at which something is due, in one call of the graph; returns its number."""
    config, since = run.config, time.perf_counter()
    if step in (run.first_step, config.unfreeze_at):
        freeze(run.state.model, config.freeze if step < config.unfreeze_at else 0)
        run.steps_of_size.clear()  # they were made for other trainable weights
        run.accumulators = make_accumulators(run.state, config, run.strategy)
    size = schedule.size_at(config.sizes or (config.image_size,), config.seed, step)
    is_compiled = size in run.steps_of_size
    if not is_compiled:
        run.steps_of_size[size] = make_steps(run.state, config, run.strategy, size, run.accumulators)
    end = _next_due_step(config, step)
    run.profiler.before(step)
    metrics, seconds_waited = run.steps_of_size[size](run.batches, step, end - step)
    run.interruption.begin()
    if not is_compiled:
        run.progress.leave_out(time.perf_counter() - since)
    run.progress.add(step, metrics, seconds_waited * (end - step))  # as for the first of these batches
    if is_compiled:
        run.timer.add(end - step, size)
    if run.progress.is_all_read:
        run.timer.measure(end, run.progress.timed_seconds)
    return end


def _save_if_due(run: Run, step: int, is_last: bool) -> None:
    """Writes pictures and a checkpoint where they are due.

    Before an evaluation there is always a checkpoint: a run that is stopped in between continues with the evaluation.
    """
    config = run.config
    wants_pictures = run.collective.is_chief and _is_multiple(step, config.pictures_every)
    wants_checkpoint = (
        is_last
        or step == config.num_steps
        or _is_multiple(step, config.checkpoint_every)
        or validation.is_evaluation_due(config, run.state, step)
    )
    if not (wants_pictures or wants_checkpoint):
        return
    run.progress.flush()  # nothing is saved before all losses up to here are known to be finite
    run.saver.check_finite(step)
    run.state.set_progress(step, step * config.batch_size)
    if wants_pictures:
        tensorboard.write_pictures(config, run.predict, config.eval_split or config.train_split, run.writer, step)
    if wants_checkpoint:
        run.saver.save()
    run.progress.resume()


def _evaluate_if_due(run: Run, step: int) -> str:
    """Evaluates where it is due; returns why the run is to end here, '' if it is not."""
    is_due = validation.is_evaluation_due(run.config, run.state, step)
    if is_due:
        metrics = validation.evaluate(run.config, run.state, run.predict, run.collective, run.writer, step)
        run.metrics = metrics or run.metrics
        run.progress.resume()
    if step >= run.config.num_steps:
        return FINISHED
    is_asked = run.config.early_stopping and (is_due or step == run.first_step)
    if is_asked and int(run.state.evals_since_best.numpy()) >= run.config.early_stopping:
        return EARLY
    return run.agreement.reason_now() if is_due else ''  # an evaluation may take long


def _next_due_step(config: TrainConfig, step: int) -> int:
    """The end of the graph call that begins at `step`: --steps_per_loop, or the first step where something is due."""
    ends = [step + config.steps_per_loop, config.num_steps]
    intervals = [config.log_every, config.checkpoint_every, config.eval_every, config.pictures_every]
    if len(config.sizes) > 1:
        intervals.append(schedule.SIZE_STEPS)
    ends += [(step // every + 1) * every for every in intervals if every]
    profile_bounds = [number + i for i, number in enumerate(config.profile_steps)]  # before the first, after the last
    ends += [end for end in (config.unfreeze_at, *profile_bounds) if end > step]
    return min(ends)


def _is_multiple(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def freeze(model: DarknetModel, count: int) -> None:
    """Freezes the first `count` convolutions and their batch norms, for step functions that are made afterwards."""
    for number, (_, *layers) in enumerate(model.convolutions()):
        for layer in filter(None, layers):
            layer.trainable = number >= count
    if count:
        logging.info('%d of %d convolutions are frozen', count, len(model.convolutions()))
