"""The training loop: a GradientTape step in a tf.function under a tf.distribute strategy."""

import dataclasses
import itertools
import posixpath
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from yolo import augment, checkpoints, evaluation, losses, optimizer, records
from yolo import input as inputs
from yolo.config import TrainConfig, read_config, write_config
from yolo.draw import draw_detections
from yolo.network import DarknetModel

NUM_PICTURES = 4  # evaluation images that TensorBoard shows
PICTURE_SCORE = 0.25
OTHER_RATE = 'take a lower --learning_rate, in another --model_dir'


def make_strategy(devices: Sequence[str] = ()) -> tf.distribute.Strategy:
    """MirroredStrategy over these devices; the default is all GPUs or, where there is none, all logical CPU devices."""
    if not devices:
        found = tf.config.list_logical_devices('GPU') or tf.config.list_logical_devices('CPU')
        devices = [device.name for device in found]
    # On CPUs the default, collectives, takes the keys of an earlier strategy of this process for its own.
    cpu = all('CPU' in device for device in devices)
    return tf.distribute.MirroredStrategy(devices, tf.distribute.ReductionToOneDevice() if cpu else None)


def train(config: TrainConfig, strategy: tf.distribute.Strategy) -> dict | None:
    """Trains to `config.num_steps`, going on from the newest checkpoint of `config.model_dir` if there is one.

    Returns the metrics of the last evaluation, None without an `eval_split`. ValueError for settings that do not fit
    each other or the run that is in the folder already; FloatingPointError if the loss is not finite.
    """
    _check(config, strategy)
    begun = tf.train.latest_checkpoint(checkpoints.latest_folder(config.model_dir)) is not None
    other_split = begun and read_config(config.model_dir).eval_split != config.eval_split
    write_config(config, begun)
    checkpoints.write_model(config.model_dir, checkpoints.make_network(config),
                            checkpoints.ModelInfo(config.classes, config.resize), begun)  # fmt: skip
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = checkpoints.make_model(config)
        optimize = optimizer.make_optimizer(config)
        optimize.build(model.trainable_variables)
    best, seen = tf.Variable(-1.0, trainable=False, name='best_map'), checkpoints.new_seen()
    latest = tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model, optimizer=optimize, best=best, seen=seen),
        checkpoints.latest_folder(config.model_dir), max_to_keep=config.keep, step_counter=optimize.iterations)
    if latest.restore_or_initialize():
        logging.info('going on from %s', latest.latest_checkpoint)
        if other_split:
            best.assign(-1.0)  # it was of another split
    elif config.init_weights:
        logging.info('%s: %s', config.init_weights, checkpoints.initialize(model, config.init_weights))
    start = int(optimize.iterations.numpy())
    ranges = augmentation(config) if config.augment else None
    batches = strategy.experimental_distribute_dataset(
        inputs.training_batches(config.data_dir, config.train_split, config.batch_size, config.seed, ranges, start))
    writer = tf.summary.create_file_writer(posixpath.join(config.model_dir, 'tensorboard'))
    progress = Progress(config, optimizer.make_rate(config), writer)
    predict = evaluation.make_predict(model, config.anchors, evaluation.Thresholds())
    metrics = None

    for step, batch in zip(range(start, config.num_steps), batches, strict=False):
        if step in (start, config.unfreeze_at):
            freeze(model, config.freeze if step < config.unfreeze_at else 0)
            step_function = make_step(model, optimize, config, strategy)
        progress.add(step, step_function(batch))
        done = step + 1
        is_last = done == config.num_steps
        wants_evaluation = config.eval_split and (is_last or (config.eval_every and done % config.eval_every == 0))
        if not (is_last or wants_evaluation or done % config.checkpoint_every == 0):
            continue
        progress.flush()  # nothing is saved before its loss, and what came of it, was found finite
        _check_weights(model, done, latest.latest_checkpoint)
        model.seen = done * config.batch_size
        seen.assign(model.seen)
        if wants_evaluation:
            metrics = _evaluate(config, model, predict, best, done, writer)
        latest.save(checkpoint_number=done)
        progress.resume()
    if config.eval_split and metrics is None:  # all steps were done before
        model.seen = int(seen.numpy())
        metrics = _evaluate(config, model, predict, best, start, writer)
        latest.save(checkpoint_number=start)
    logging.info('done: %d steps, checkpoints in %s', config.num_steps, config.model_dir)
    return metrics


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


def _check_weights(model: DarknetModel, done: int, latest: str | None) -> None:
    try:
        model.check_finite()
    except FloatingPointError as error:
        raise FloatingPointError(f'after step {done - 1} {error}; the last checkpoint, {latest or "none yet"}, is from '
                                 f'before; {OTHER_RATE}') from error  # fmt: skip


def freeze(model: DarknetModel, count: int) -> None:
    """Lets the first `count` convolutions, and their batch norms, stay as they are in steps that are made from now."""
    for number, (_, *layers) in enumerate(model.convolutions()):
        for layer in filter(None, layers):
            layer.trainable = number >= count
    if count:
        logging.info('%d of %d convolutions are frozen', count, len(model.convolutions()))


def augmentation(config: TrainConfig) -> augment.Ranges:
    """The augmentation of a run."""
    return augment.Ranges(config.jitter, config.scale, config.hue, config.saturation, config.exposure)


def make_step(model: keras.Model, optimize: keras.optimizers.Optimizer, config: TrainConfig,
              strategy: tf.distribute.Strategy) -> Callable[[dict], dict[str, tf.Tensor]]:  # fmt: skip
    """A function that takes one step on a (distributed) batch and returns the loss and its parts.

    The loss is the sum over all replicas of each one's share: for `region` the sum over its images divided by the
    global batch, for `notebook` its sums divided by global counts. The replicas' gradients are summed, so weight decay
    is divided by their number: any number of replicas takes the same step.
    """
    kernels = {layer.kernel.path for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    decay = config.weight_decay / strategy.num_replicas_in_sync
    weights = model.trainable_variables

    def gradients(batch: dict[str, tf.Tensor], seen: tf.Tensor) -> tuple[dict, list]:
        images = inputs.augment_images(batch, config.image_size)
        with tf.GradientTape() as tape:
            terms = losses.TERMS[config.loss](model(images, training=True), batch['boxes'], batch['labels'],
                                              config.anchors, seen, batch['places'])  # fmt: skip
            if config.loss == 'region':
                terms = {name: term / config.batch_size for name, term in terms.items()}
            terms['loss'] = tf.add_n(list(terms.values()))
        slopes = tape.gradient(terms['loss'], weights)
        return terms, [g + decay * w if w.path in kernels else g for g, w in zip(slopes, weights, strict=True)]

    if config.jit_compile:
        gradients = tf.function(gradients, jit_compile=True)

    def replica_step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        seen = tf.cast(optimize.iterations, tf.int64) * config.batch_size
        terms, slopes = gradients(batch, seen)
        optimize.apply(slopes, weights)
        return terms

    @tf.function
    def step(batch) -> dict[str, tf.Tensor]:
        terms = strategy.run(replica_step, args=(batch,))
        return {name: strategy.reduce('SUM', term, axis=None) for name, term in terms.items()}

    return step


class Progress:
    """Looks at the loss of every step; every `log_every` steps writes a line and TensorBoard scalars.

    A step's loss is looked at when the next one has been sent to the device, so that the device never waits for it.
    """

    def __init__(self, config: TrainConfig, rate: Callable, writer):
        self.config, self.rate, self.writer = config, rate, writer
        self.pending: list[tuple[int, dict[str, tf.Tensor]]] = []
        self.sums: dict[str, float] = {}
        self.count, self.seconds, self.since = 0, 0.0, time.perf_counter()  # since the last line
        self.total_count, self.total_seconds = 0, 0.0

    def resume(self) -> None:
        """Leaves the time since the last `flush`, spent on something else, out of the reckoning."""
        self.since = time.perf_counter()

    def add(self, step: int, terms: dict[str, tf.Tensor]) -> None:
        """Takes the loss of a step; FloatingPointError, with the images of its batch, if one is not finite."""
        self.pending.append((step, terms))
        if (step + 1) % self.config.log_every == 0 or step + 1 == self.config.num_steps:
            self.flush()
            self._report(step + 1)
        elif len(self.pending) > 1:
            self._look(*self.pending.pop(0))

    def flush(self) -> None:
        """Looks at every loss there is."""
        while self.pending:
            self._look(*self.pending.pop(0))
        now = time.perf_counter()
        self.seconds, self.since = self.seconds + now - self.since, now

    def _look(self, step: int, terms: dict[str, tf.Tensor]) -> None:
        values = {name: float(term) for name, term in terms.items()}
        if not np.isfinite(list(values.values())).all():
            config = self.config
            ids = inputs.training_ids(config.data_dir, config.train_split, config.batch_size, config.seed, step)
            raise FloatingPointError(
                f'the loss of step {step} is not finite: {values}; its images: {", ".join(ids)}. The last checkpoint '
                f'is from before; look at these images (python -m preprocess show), or {OTHER_RATE}')
        self.count += 1
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in values.items()}

    def _report(self, done: int) -> None:
        means = {name: total / self.count for name, total in self.sums.items()}
        speed = self.count * self.config.batch_size / self.seconds
        self.total_count, self.total_seconds = self.total_count + self.count, self.total_seconds + self.seconds
        left = (self.config.num_steps - done) * self.total_seconds / self.total_count
        rate = float(self.rate(done - 1))
        parts = ' '.join(f'{name} {value:.3f}' for name, value in means.items() if name != 'loss')
        logging.info('step %d/%d  loss %.3f (%s)  rate %.2e  %.1f images/s  %s left', done, self.config.num_steps,
                     means['loss'], parts, rate, speed, format_seconds(left))  # fmt: skip
        with self.writer.as_default(done):
            for name, value in means.items():
                tf.summary.scalar(name if name == 'loss' else f'loss/{name}', value)
            tf.summary.scalar('learning_rate', rate)
            tf.summary.scalar('images_per_second', speed)
        self.writer.flush()
        self.sums, self.count, self.seconds = {}, 0, 0.0


def format_seconds(seconds: float) -> str:
    """Hours:minutes:seconds."""
    whole = round(seconds)
    return f'{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}'


def _evaluate(config: TrainConfig, model: DarknetModel, predict, best: tf.Variable, done: int, writer) -> dict:
    """Evaluates, tells TensorBoard, and keeps the model if it is the best so far."""
    metrics = evaluation.evaluate(predict, config.data_dir, config.eval_split, config.batch_size,
                                  evaluation.Thresholds())  # fmt: skip
    metrics['step'] = done
    value = metrics['map_11pt'] if metrics['map_11pt'] is not None else 0.0
    logging.info('step %d: mAP %.4f (11-point), %.4f (area) on %s; best before %.4f', done, value,
                 metrics['map_area'] or 0.0, config.eval_split, max(float(best.numpy()), 0.0))  # fmt: skip
    with writer.as_default(done):
        tf.summary.scalar('map_11pt', value)
        tf.summary.image('truth_left_predictions_right', _pictures(config, predict), max_outputs=NUM_PICTURES)
    writer.flush()
    if value > best.numpy():
        best.assign(value)
        folder = checkpoints.best_folder(config.model_dir)
        checkpoints.save_whole(folder, model, done)
        evaluation.write_metrics(folder, metrics)
    return metrics


def _pictures(config: TrainConfig, predict) -> np.ndarray:
    """A few evaluation images with true boxes on the left and predictions on the right, (n, H, 2 W, 3) uint8."""
    batch = next(iter(inputs.evaluation_batches(config.data_dir, config.eval_split, config.batch_size)))
    found = {name: value.numpy() for name, value in predict(batch['image']).items()}
    batch = {name: value.numpy() for name, value in batch.items()}
    pictures = []
    for i in itertools.islice(np.flatnonzero(batch['real']), NUM_PICTURES):
        image, true, sure = batch['image'][i], batch['labels'][i] >= 0, found['scores'][i] >= PICTURE_SCORE
        left = draw_detections(image, batch['boxes'][i][true], batch['labels'][i][true], None, config.classes)
        right = draw_detections(image, found['boxes'][i][sure], found['classes'][i][sure], found['scores'][i][sure],
                                config.classes)  # fmt: skip
        pictures.append(np.concatenate([left, right], 1))
    return np.stack(pictures)


def describe(config: TrainConfig) -> str:
    """The settings of a run, one a line."""
    return '\n'.join(f'{name} = {value}' for name, value in dataclasses.asdict(config).items())
