"""Trains a YOLOv2 on a folder of records that `python -m preprocess` wrote.

  python train.py --data_dir=data/voc416 --train_split=trainval --model_dir=runs/voc

The same command goes on where a stopped run was.
"""

import dataclasses
import math

import tensorflow as tf
from absl import app, flags, logging

from yolo import checkpoints, commands, losses, network, optimizer, records, schedule, training
from yolo.config import TrainConfig

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_string('train_split', 'trainval', 'Split to train on.')
flags.DEFINE_string('eval_split', '', 'Split whose mAP decides which checkpoint is the best; none if empty.')
flags.DEFINE_string('model_dir', None, 'Folder of the run: config.json, checkpoints, best, tensorboard.', required=True)
flags.DEFINE_string('model', 'yolov2', f"Network: {', '.join(network.MODELS)}, or the path of a .cfg of Darknet's.")
flags.DEFINE_float('width', 1.0, 'Factor on the number of filters of every layer but the last.', lower_bound=0.01)
flags.DEFINE_string('init_weights', '', "What the first weights are taken from, as far as it fits: a .weights file of "
                    "Darknet's (or only its beginning: a backbone), a run's folder or checkpoint, or a .keras file.")
flags.DEFINE_string('freeze', '0', 'Convolutions that stay as they are: so many from the start, or backbone.')
flags.DEFINE_integer('unfreeze_at', None, 'Step from which on they are trained as well; the default is never.',
                     lower_bound=0)  # fmt: skip
flags.DEFINE_enum('loss', 'region', list(losses.TERMS), "Darknet's region loss, or the notebook's.")
flags.DEFINE_integer('batch_size', 64, 'Images a step, over all replicas.', lower_bound=1)
flags.DEFINE_integer('num_steps', None, 'Steps to train; the default is 80,200.', lower_bound=1)
flags.DEFINE_float('epochs', None, 'Passes over the split to train, in place of --num_steps.', lower_bound=0)
flags.DEFINE_enum('optimizer', 'sgd', optimizer.OPTIMIZERS, "Optimizer; sgd has Darknet's momentum.")
flags.DEFINE_float('learning_rate', 1e-3, 'Highest learning rate.', lower_bound=0)
flags.DEFINE_enum('lr_schedule', 'steps', schedule.SCHEDULES, 'steps: x 0.1 at each of --decay_steps; cosine: falls '
                  'to 0 at the end; notebook: x 0.1 at epochs 75 and 105; constant. All after the burn-in.')
flags.DEFINE_integer('burn_in', None, 'Steps over which the rate rises as (n / burn_in)^4; the default is 1,000, but '
                     'at most a tenth of all steps.', lower_bound=0)  # fmt: skip
flags.DEFINE_list('decay_steps', None, 'Steps at which --lr_schedule=steps multiplies the rate by 0.1; default: '
                  "the recipe's 50 % and 75 % of all steps.")  # fmt: skip
flags.DEFINE_float('momentum', 0.9, 'Momentum of sgd.', lower_bound=0, upper_bound=1)
flags.DEFINE_float('weight_decay', 5e-4, 'L2 on the kernels, in the gradient.', lower_bound=0)
flags.DEFINE_bool('augment', True, 'Flip, scale, place, jitter and recolour the training images.')
flags.DEFINE_float('jitter', 0.3, 'Augmentation: of width and height.', lower_bound=0, upper_bound=0.9)
flags.DEFINE_list('scale', '0.8,1.25', 'Augmentation: smallest and largest scale on the canvas.')
flags.DEFINE_float('hue', 0.1, 'Augmentation: most that is added to the hue, of a whole turn.', lower_bound=0)
flags.DEFINE_float('saturation', 1.5, 'Augmentation: largest factor on the saturation.', lower_bound=1)
flags.DEFINE_float('exposure', 1.5, 'Augmentation: largest factor on the brightness.', lower_bound=1)
flags.DEFINE_integer('seed', 0, 'Of weights, order and augmentation.')
flags.DEFINE_bool('jit_compile', None, 'Compile the step with XLA; the default is to do so with one replica.')
flags.DEFINE_integer('eval_every', 1000, 'Steps between evaluations on --eval_split; 0 for at the end alone.',
                     lower_bound=0)  # fmt: skip
flags.DEFINE_integer('checkpoint_every', 1000, 'Steps between checkpoints.', lower_bound=1)
flags.DEFINE_integer('log_every', 20, 'Steps between progress lines.', lower_bound=1)
flags.DEFINE_integer('keep', 3, 'Newest checkpoints to keep.', lower_bound=1)
flags.DEFINE_integer('cpu_devices', 1, 'Without a GPU: logical CPU devices to train on, to try several replicas.',
                     lower_bound=1)  # fmt: skip
flags.mark_flags_as_mutual_exclusive(['num_steps', 'epochs'])


def config_from_flags(num_replicas: int) -> TrainConfig:
    """The run that the flags ask for; ValueError if they do not make sense."""
    description = records.read_description(FLAGS.data_dir)
    num_images = description.split(FLAGS.train_split).num_images
    num_steps = FLAGS.num_steps or 80200
    if FLAGS.epochs is not None:
        num_steps = max(1, math.ceil(FLAGS.epochs * num_images / FLAGS.batch_size))
    burn_in = min(1000, num_steps // 10) if FLAGS.burn_in is None else FLAGS.burn_in
    same = ('data_dir', 'train_split', 'eval_split', 'model_dir', 'model', 'width', 'loss', 'batch_size', 'optimizer',
            'learning_rate', 'lr_schedule', 'momentum', 'weight_decay', 'augment', 'jitter', 'hue', 'saturation',
            'exposure', 'seed', 'init_weights', 'eval_every', 'checkpoint_every', 'log_every', 'keep')  # fmt: skip
    config = TrainConfig(
        **{name: getattr(FLAGS, name) for name in same}, classes=description.classes, anchors=description.anchors,
        image_size=description.image_size, num_steps=num_steps, burn_in=burn_in, scale=_scale(),
        decay_steps=_decay_steps(num_steps, num_images), resize=description.resize, freeze=0,
        unfreeze_at=num_steps if FLAGS.unfreeze_at is None else FLAGS.unfreeze_at,
        jit_compile=num_replicas == 1 if FLAGS.jit_compile is None else FLAGS.jit_compile)  # fmt: skip
    return dataclasses.replace(config, freeze=_freeze(checkpoints.make_network(config)))


def _freeze(built: network.Network) -> int:
    most = sum(isinstance(section, network.Convolution) for section in built.sections)
    if FLAGS.freeze == 'backbone':
        return network.num_backbone_convolutions(built)
    if not (FLAGS.freeze.isdigit() and int(FLAGS.freeze) < most):
        raise ValueError(f'--freeze={FLAGS.freeze}: not backbone, nor a number below the {most} convolutions that '
                         'there are')
    return int(FLAGS.freeze)


def _decay_steps(num_steps: int, num_images: int) -> tuple[int, ...]:
    if FLAGS.decay_steps is not None and FLAGS.lr_schedule != 'steps':
        raise ValueError(f'--decay_steps goes with --lr_schedule=steps, not with {FLAGS.lr_schedule}')
    if FLAGS.lr_schedule == 'notebook':
        return schedule.notebook_decay_steps(num_images, FLAGS.batch_size)
    if FLAGS.lr_schedule != 'steps':
        return ()
    if FLAGS.decay_steps is None:
        return num_steps * 40000 // 80200, num_steps * 60000 // 80200
    if not all(step.isdigit() for step in FLAGS.decay_steps):
        raise ValueError(f'--decay_steps={",".join(FLAGS.decay_steps)}: whole numbers, as 40000,60000')
    return tuple(int(step) for step in FLAGS.decay_steps)


def _scale() -> tuple[float, float]:
    try:
        scale = tuple(float(value) for value in FLAGS.scale)
    except ValueError:
        scale = ()
    if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
        raise ValueError(f'--scale={",".join(FLAGS.scale)}: two positive numbers, the smaller first, as 0.8,1.25')
    return scale


def main(argv: list[str]) -> None:
    """Flags to library."""
    commands.refuse_words(argv)
    if FLAGS.cpu_devices > 1:
        cpu = tf.config.list_physical_devices('CPU')[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * FLAGS.cpu_devices)
    strategy = training.make_strategy()
    with commands.errors_as_lines(FloatingPointError, tf.errors.OpError):
        config = config_from_flags(strategy.num_replicas_in_sync)
        logging.info('%d replica(s); settings:\n%s', strategy.num_replicas_in_sync, training.describe(config))
        training.train(config, strategy)


if __name__ == '__main__':
    logging.set_verbosity(logging.INFO)
    app.run(main)
