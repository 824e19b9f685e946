"""The training loop, from top to bottom: restore, steps, checkpoints, evaluations, and the reason for its end."""

import dataclasses
import posixpath
import textwrap
import zlib
from collections.abc import Callable

import keras
import tensorflow as tf
from absl import logging

from yolo.data import augment, pipeline, records
from yolo.evaluation import inference
from yolo.models import model_folder
from yolo.models.build import DarknetModel
from yolo.training import losses, network, optimizer, run_folder, schedule, tensorboard
from yolo.training.checkpoints import Saver, name_newest
from yolo.training.config import TrainConfig, write_config
from yolo.training.distribution import Agreement, is_of_others, num_workers
from yolo.training.preemption import Interruption
from yolo.training.progress import OTHER_RATE, Progress, lines_beside_bars
from yolo.training.state import State, make_state
from yolo.training.step import make_steps

FINISHED, EARLY = 'finished', 'early stopping'


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended: why, at which step, the last evaluation's metrics, None without one, and the last losses."""

    reason: str  # finished, early stopping, time limit, SIGTERM or SIGINT
    step: int
    metrics: dict | None
    losses: dict | None  # mean loss and its parts over the last --log_every steps, None if it took none


def train(config: TrainConfig, strategy: tf.distribute.Strategy) -> Result:
    """Trains to `config.num_steps`, going on from the newest checkpoint of `config.model_dir` if there is one.

    ValueError for settings that do not fit each other or the run that is in the folder already; FloatingPointError if
    the loss is not finite; OSError if a file cannot be written, or another process of the run is gone.
    """
    config = dataclasses.replace(config, data_checksum=records.data_checksum(config.data_dir))
    _check(config, strategy)
    agreement = Agreement(strategy)
    told = run_folder.RunFile(config, strategy, agreement.chief)
    with Interruption(config.max_hours) as interruption, lines_beside_bars(), told.errors():
        try:
            state, saver = _begin(config, strategy, agreement)
            told.begin()
            result = _train(config, strategy, agreement, interruption, state, saver)
        except tf.errors.OpError as error:
            if 'events file' in error.message:  # it tells of itself in several lines
                raise OSError(
                    f"TensorBoard's file cannot be written to {config.model_dir}/tensorboard: the disk is "
                    'full, or the like; the same command goes on from the last checkpoint'
                ) from error
            if num_workers(strategy) == 1 or not is_of_others(error):
                raise
            cause = error.message.rpartition('aborted by: ')[2]  # before it TensorFlow tells where in the graph
            raise ConnectionError(
                'this process lost the others: one of them has ended, or cannot be reached. Start all again with the '
                'same commands; they go on from the last checkpoint. '
                f'({textwrap.shorten(cause, 300)})'
            ) from error
        told.end(result.reason, result.step, result.metrics, result.losses)
    return result


def _train(
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    agreement: Agreement,
    interruption: Interruption,
    state: State,
    saver: Saver,
) -> Result:
    start = step = int(state.step.numpy())
    batches = iter(distribute(config, strategy, start))
    writer = (
        tf.summary.create_file_writer(posixpath.join(config.model_dir, 'tensorboard'))
        if agreement.chief
        else tf.summary.create_noop_writer()
    )
    progress = Progress(config, state, optimizer.make_rate(config, state.rate_factor), writer, start)
    profiler = tensorboard.Profiler(config, agreement.chief)
    if config.profile_steps and start > config.profile_steps[1]:
        logging.warning('no profile: the run goes on at step %d, after --profile_steps', start)
    predict = inference.make_predict(state.published, config.anchors, inference.Thresholds())
    steps: dict[tuple[int, int], Callable] = {}  # by size of the images
    metrics = None

    while True:
        if _wants_evaluation(config, state, step):  # at the start too, if it was interrupted before its evaluation
            metrics = _evaluate(config, state, predict, agreement, writer, step)
            progress.resume()
            reason = _ended(config, state, step) or interruption.reason(agreement.total)
        else:
            reason = _ended(config, state, step)
        if reason:
            break

        if step in (start, config.unfreeze_at):
            freeze(state.model, config.freeze if step < config.unfreeze_at else 0)
            steps.clear()  # other weights are trained from now
        size = schedule.size_at(config.sizes or (config.image_size,), config.seed, step)
        if size not in steps:
            steps[size] = make_steps(state, config, strategy, size)
        done = _chunk_end(config, step)
        profiler.before(step)
        progress.add(step, steps[size](batches, tf.constant(step, tf.int64), tf.constant(done - step, tf.int64)))
        step = done

        reason = interruption.reason(agreement.total)
        # Saved before it is evaluated, once a step: what ends in between goes on with the evaluation.
        wants_checkpoint = (
            bool(reason)
            or step == config.num_steps
            or _is_due(step, config.checkpoint_every)
            or _wants_evaluation(config, state, step)
        )
        wants_pictures = agreement.chief and _is_due(step, config.pictures_every)
        if wants_checkpoint or wants_pictures:
            progress.flush()  # nothing is saved before its loss, and what came of it, was found finite
            _check_weights(state.model, step, saver.latest)
            state.reached(step, step * config.batch_size)
            if wants_pictures:
                tensorboard.pictures(config, predict, config.eval_split or config.train_split, writer, step)
            if wants_checkpoint:
                saver.save()
            progress.resume()
        if reason:
            break

    profiler.stop()
    progress.close()
    logging.info('%s: %d of %d steps, checkpoints in %s', reason, step, config.num_steps, config.model_dir)
    return Result(reason, step, metrics, progress.last)


def _begin(config: TrainConfig, strategy: tf.distribute.Strategy, agreement: Agreement) -> tuple[State, Saver]:
    """The run as it was left, or at its beginning; files that describe it are written."""
    _check_settings(config, agreement)
    if agreement.chief:
        latest = model_folder.latest_folder(config.model_dir)
        for folder in (latest, model_folder.best_folder(config.model_dir)):
            name_newest(folder)
        begun = tf.train.latest_checkpoint(latest) is not None
        write_config(config, begun)
        model_folder.write_model(
            config.model_dir, network.make_network(config), model_folder.ModelInfo(config.classes, config.resize), begun
        )
    keras.utils.set_random_seed(config.seed)
    state = make_state(config, strategy)
    split = int(state.split.numpy())
    saver = Saver(state, config, agreement.chief)
    if saver.restore():
        logging.info('going on from %s', saver.latest)
        if config.monitor == 'map' and int(state.split.numpy()) != split:
            state.best.assign(-float('inf'))  # it was of another split
            state.evaluated.assign(-1)
        state.split.assign(split)
    elif config.init_weights:
        logging.info('%s: %s', config.init_weights, model_folder.initialize(state.model, config.init_weights))
    if not saver.latest and state.averaged is not None:
        for average, weight in zip(state.averaged.weights, state.model.weights, strict=True):
            average.assign(weight)
    step = int(state.step.numpy())
    first = agreement.from_chief(step)
    if first != step:
        raise ValueError(
            f'this process begins at step {step}, the first one at {first:.0f}: all have to see the same '
            f'--model_dir={config.model_dir}'
        )
    return state, saver


def _check_settings(config: TrainConfig, agreement: Agreement) -> None:
    """ValueError, in every process, if one has settings of its own."""
    same = dataclasses.replace(config, data_dir='', model_dir='', init_weights='', max_hours=0.0)  # as each sees them
    own = zlib.crc32(describe(same).encode())
    first = agreement.from_chief(own)
    if agreement.total(float(own != first)):
        raise ValueError(
            'the processes of this run were started with different flags'
            + ('; this one with others than the first' if own != first else '')
        )


def distribute(config: TrainConfig, strategy: tf.distribute.Strategy, start: int):
    """The batches of a run from step `start` on; each process makes its own part of them."""
    ranges = augmentation(config) if config.augment else None

    def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
        part = pipeline.Part(context.input_pipeline_id, context.num_input_pipelines)
        batches = pipeline.training_batches(
            config.data_dir, config.train_split, config.batch_size, config.seed, ranges, start, part
        )
        return batches.rebatch(context.get_per_replica_batch_size(config.batch_size), drop_remainder=True)

    return strategy.distribute_datasets_from_function(dataset)


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _chunk_end(config: TrainConfig, step: int) -> int:
    """The step before which something has to be done, or up to which one graph call is to go."""
    ends = [step + config.steps_per_loop, config.num_steps]
    repeated = (
        config.log_every,
        config.checkpoint_every,
        config.eval_every,
        config.pictures_every,
        schedule.SIZE_STEPS if len(config.sizes) > 1 else 0,
    )
    ends += [(step // every + 1) * every for every in repeated if every]
    around = [step + i for i, step in enumerate(config.profile_steps)]  # before the first, after the last
    ends += [end for end in (config.unfreeze_at, *around) if end > step]
    return min(ends)


def _wants_evaluation(config: TrainConfig, state: State, step: int) -> bool:
    if not (config.eval_split or config.monitor == 'loss') or int(state.evaluated.numpy()) == step:
        return False
    return step == config.num_steps or (step > 0 and _is_due(step, config.eval_every))


def _ended(config: TrainConfig, state: State, step: int) -> str:
    """Why a run has come to its own end, '' if it has not."""
    if step >= config.num_steps:
        return FINISHED
    if config.early_stopping and int(state.stale.numpy()) >= config.early_stopping:
        return EARLY
    return ''


def _check(config: TrainConfig, strategy: tf.distribute.Strategy) -> None:
    description = records.read_description(config.data_dir)
    for split in filter(None, (config.train_split, config.eval_split)):
        if not description.split(split).num_images:
            raise ValueError(f'split {split!r} of {config.data_dir!r} has no images')
    replicas = strategy.num_replicas_in_sync
    if config.batch_size < 1 or config.batch_size % replicas:
        raise ValueError(f'--batch_size={config.batch_size} is over all replicas and must divide by their {replicas}')
    if config.jit_compile and replicas > 1:
        raise ValueError(f'--jit_compile does not work with batch norm over {replicas} replicas; use --nojit_compile')
    if config.loss not in losses.TERMS:
        raise ValueError(f'unknown loss {config.loss!r}; there are {", ".join(losses.TERMS)}')
    if config.early_stopping or config.plateau:
        if config.monitor == 'map' and not config.eval_split:
            raise ValueError(
                '--early_stopping and --plateau look at the mAP on --eval_split, which is not given; or '
                'use --monitor=loss'
            )
        if not config.eval_every:
            raise ValueError('--early_stopping and --plateau look at every evaluation, and --eval_every=0 has but one')
    if config.mosaic and not config.augment:
        raise ValueError(f'--mosaic={config.mosaic} goes with --augment')
    if config.profile_steps and config.profile_steps[1] >= config.num_steps:
        first, last = config.profile_steps
        raise ValueError(
            f'--profile_steps={first},{last}: the last of {config.num_steps} steps is {config.num_steps - 1}'
        )


def _check_weights(model: DarknetModel, done: int, latest: str | None) -> None:
    try:
        model.check_finite()
    except FloatingPointError as error:
        raise FloatingPointError(
            f'after step {done - 1} {error}; the last checkpoint, {latest or "none yet"}, is from before; {OTHER_RATE}'
        ) from error


def freeze(model: DarknetModel, count: int) -> None:
    """Lets the first `count` convolutions, and their batch norms, stay as they are in steps that are made from now."""
    for number, (_, *layers) in enumerate(model.convolutions()):
        for layer in filter(None, layers):
            layer.trainable = number >= count
    if count:
        logging.info('%d of %d convolutions are frozen', count, len(model.convolutions()))


def augmentation(config: TrainConfig) -> augment.Ranges:
    """The augmentation of a run."""
    return augment.Ranges(config.jitter, config.scale, config.hue, config.saturation, config.exposure, config.mosaic)


def _evaluate(
    config: TrainConfig, state: State, predict: Callable, agreement: Agreement, writer, done: int
) -> dict | None:
    """Evaluates on the chief, keeps the model if it is the best so far, and lowers the rate on a plateau."""
    metrics, value = None, 0.0
    mean_loss = _mean_loss(state)
    if config.eval_split and agreement.chief:
        metrics, curves = inference.evaluate_with_curves(
            predict, config.data_dir, config.eval_split, config.batch_size, inference.Thresholds()
        )
        metrics['step'] = done
        value = metrics['map_11pt'] or 0.0
        logging.info(
            'step %d: mAP %.4f (11-point), %.4f (area) on %s; best before %.4f',
            done,
            value,
            metrics['map_area'] or 0.0,
            config.eval_split,
            max(float(state.best.numpy()), 0.0),
        )
        tensorboard.evaluation(config, predict, metrics, curves, writer, done)
    if config.monitor == 'loss':
        value = -mean_loss
    value = agreement.from_chief(value)
    state.loss_sum.assign(0.0)
    state.loss_count.assign(0)
    state.evaluated.assign(done)
    is_best = value > float(state.best.numpy())
    if is_best:
        state.best.assign(value)
        if agreement.chief:
            folder = model_folder.best_folder(config.model_dir)
            model_folder.save_whole(folder, state.published, done)
            inference.write_metrics(folder, metrics or {'step': done, 'loss': mean_loss})
    state.stale.assign(0 if is_best else state.stale + 1)
    state.waited.assign(0 if is_best else state.waited + 1)
    if config.plateau and int(state.waited.numpy()) >= config.plateau:
        state.waited.assign(0)
        state.rate_factor.assign(state.rate_factor * config.plateau_factor)
        logging.info(
            'step %d: no better for %d evaluations; the rate is now %.3g of what it was to be',
            done,
            config.plateau,
            float(state.rate_factor.numpy()),
        )
    return metrics


def _mean_loss(state: State) -> float:
    """Over the steps since the last evaluation."""
    return float(state.loss_sum.numpy()) / max(int(state.loss_count.numpy()), 1)


def describe(config: TrainConfig) -> str:
    """The settings of a run, one a line."""
    return '\n'.join(f'{name} = {value}' for name, value in dataclasses.asdict(config).items())
