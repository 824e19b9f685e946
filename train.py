"""Trains a YOLOv2 on a folder of records that `python -m preprocess` wrote.

  python train.py --data_dir=data/voc416 --train_split=trainval --model_dir=runs/voc
  python train.py --recipe=finetune --print_config

The same command goes on where a stopped run was. Exit status: 0 when the run is finished (or stopped early, or its time
is over), 1 after an error, 75 after SIGTERM or SIGINT: it has saved and can be started again.
"""

import dataclasses
import math
import sys
from typing import Any

import tensorflow as tf
from absl import app, flags, logging

from yolo.cli import flags as commands
from yolo.data import records
from yolo.models import spec
from yolo.training import distribution, loop, losses, network, optimizer, preemption, recipes, schedule
from yolo.training.config import TrainConfig

FLAGS = flags.FLAGS
VOC = recipes.YOLOV2_VOC  # the defaults
# Where TensorFlow tells of every checkpoint, and takes each size of the images for an accident.
CHATTER = ('functional_saver.py', 'polymorphic_function.py')
PRECISIONS = ('float32', 'mixed_float16', 'mixed_bfloat16')

flags.DEFINE_string('data_dir', None, 'Folder of records.')
flags.DEFINE_string('train_split', 'trainval', 'Split to train on.')
flags.DEFINE_string('eval_split', '', 'Split whose mAP decides which checkpoint is the best; none if empty.')
flags.DEFINE_string('model_dir', None, 'Folder of the run: config.json, checkpoints, best, tensorboard, run.json.')
flags.DEFINE_enum(
    'recipe',
    'yolov2-voc',
    list(recipes.RECIPES),
    'Values for all flags that say how to train, each of '
    "which overrides it: the paper's; the Keras notebook's; a few hundred images from --init_weights, or "
    'from nothing.',
)
flags.DEFINE_bool('print_config', False, 'Print all settings, as a file for --flagfile, and end.')
flags.DEFINE_string('model', 'yolov2', f"Network: {', '.join(spec.MODELS)}, or the path of a .cfg of Darknet's.")
flags.DEFINE_float('width', 1.0, 'Factor on the number of filters of every layer but the last.', lower_bound=0.01)
flags.DEFINE_string(
    'init_weights',
    '',
    'What the first weights are taken from, as far as it fits: a .weights file of '
    "Darknet's (or only its beginning: a backbone), a run's folder or checkpoint, or a .keras file.",
)
flags.DEFINE_string('freeze', '0', 'Convolutions that stay as they are: so many from the start, or backbone.')
flags.DEFINE_integer(
    'unfreeze_at', None, 'Step from which on they are trained as well; the default is never.', lower_bound=0
)

flags.DEFINE_enum('loss', VOC['loss'], list(losses.TERMS), "Darknet's region loss, or the notebook's.")
flags.DEFINE_integer('batch_size', VOC['batch_size'], 'Images a step, over all replicas.', lower_bound=1)
flags.DEFINE_integer('num_steps', VOC['num_steps'], 'Steps to train.', lower_bound=1)
flags.DEFINE_float('epochs', None, 'Passes over the split to train, in place of --num_steps.', lower_bound=0)
flags.DEFINE_enum('optimizer', VOC['optimizer'], optimizer.OPTIMIZERS, "Optimizer; sgd has Darknet's momentum.")
flags.DEFINE_float('learning_rate', VOC['learning_rate'], 'Highest learning rate.', lower_bound=0)
flags.DEFINE_enum(
    'lr_schedule',
    VOC['lr_schedule'],
    schedule.SCHEDULES,
    'steps: x 0.1 at each of --decay_steps; '
    'cosine: falls to 0 at the end; notebook: x 0.1 at epochs 75 and 105; constant. All after --burn_in.',
)
flags.DEFINE_list(
    'decay_steps',
    VOC['decay_steps'],
    "Steps at which --lr_schedule=steps multiplies the rate by 0.1; default: the recipe's 50 % and 75 % of all steps.",
)
flags.DEFINE_integer(
    'burn_in',
    VOC['burn_in'],
    'Steps over which the rate rises as (n / burn_in)^4; the default is 1,000, but at most a tenth of all steps.',
    lower_bound=0,
)
flags.DEFINE_float('momentum', VOC['momentum'], 'Momentum of sgd.', lower_bound=0, upper_bound=1)
flags.DEFINE_float('weight_decay', VOC['weight_decay'], 'L2 on the kernels, in the gradient.', lower_bound=0)
flags.DEFINE_bool('augment', VOC['augment'], 'Flip, scale, place, jitter and recolour the training images.')
flags.DEFINE_float('jitter', VOC['jitter'], 'Augmentation: of width and height.', lower_bound=0, upper_bound=0.9)
flags.DEFINE_list('scale', VOC['scale'], 'Augmentation: smallest and largest scale on the canvas.')
flags.DEFINE_float('hue', VOC['hue'], 'Augmentation: most that is added to the hue, of a whole turn.', lower_bound=0)
flags.DEFINE_float('saturation', VOC['saturation'], 'Augmentation: largest factor on the saturation.', lower_bound=1)
flags.DEFINE_float('exposure', VOC['exposure'], 'Augmentation: largest factor on the brightness.', lower_bound=1)
flags.DEFINE_float(
    'mosaic',
    VOC['mosaic'],
    'Augmentation: share of the images that are put together from four.',
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_bool('multi_scale', VOC['multi_scale'], 'Train with images of another size every 10 steps.')
flags.DEFINE_list(
    'sizes',
    VOC['sizes'],
    'Smallest and largest of these, multiples of 32, of the longer side; default: '
    "10/13 and 19/13 of the records' size, which is 320,608 for 416.",
)
flags.DEFINE_float(
    'ema',
    VOC['ema'],
    'Use an average of the weights, of which each step keeps so much, as 0.999; 0 for the weights themselves.',
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_enum(
    'monitor',
    VOC['monitor'],
    ['map', 'loss'],
    'What decides which weights are the best, every '
    '--eval_every steps: the mAP on --eval_split, or the mean loss since.',
)
flags.DEFINE_integer(
    'early_stopping',
    VOC['early_stopping'],
    'Evaluations without a better one that end the run; 0 for never.',
    lower_bound=0,
)
flags.DEFINE_integer(
    'plateau',
    VOC['plateau'],
    'Evaluations without a better one after which the rate is multiplied by --plateau_factor; 0 for never.',
    lower_bound=0,
)
flags.DEFINE_float('plateau_factor', VOC['plateau_factor'], 'See --plateau.', lower_bound=0, upper_bound=1)

flags.DEFINE_integer('seed', 0, 'Of weights, order and augmentation.', lower_bound=0)
flags.DEFINE_enum(
    'strategy',
    'auto',
    distribution.STRATEGIES,
    'Devices to train on; auto: all GPUs of the machine (else '
    'its CPU), all workers that TF_CONFIG names, or the TPU of --tpu.',
)
flags.DEFINE_string('tpu', '', 'Name or address of a TPU, or local.')
flags.DEFINE_integer(
    'cpu_devices', 1, 'Without a GPU: logical CPU devices to train on, to try several replicas.', lower_bound=1
)
flags.DEFINE_enum('precision', 'float32', PRECISIONS, 'What the network computes in; mixed_float16 scales the loss.')
flags.DEFINE_bool('jit_compile', None, 'Compile the step with XLA; the default is to do so on one CPU or GPU.')
flags.DEFINE_bool(
    'deterministic',
    False,
    'Let TensorFlow use only operations that give the same bits on every run, '
    'which is slower. On one CPU they do so anyway.',
)
flags.DEFINE_integer('steps_per_loop', 1, 'Steps that one call of the graph takes at most.', lower_bound=1)
flags.DEFINE_integer(
    'eval_every', 1000, 'Steps between evaluations on --eval_split; 0 for at the end alone.', lower_bound=0
)
flags.DEFINE_integer('checkpoint_every', 1000, 'Steps between checkpoints.', lower_bound=1)
flags.DEFINE_integer('keep', 3, 'Newest checkpoints to keep.', lower_bound=1)
flags.DEFINE_integer('log_every', 20, 'Steps between progress lines.', lower_bound=1)
flags.DEFINE_integer(
    'pictures_every',
    0,
    'Steps between pictures with predictions in TensorBoard; there are some with every evaluation.',
    lower_bound=0,
)
flags.DEFINE_list(
    'profile_steps', None, "First and last step of a TensorFlow profile, for TensorBoard's profiler, as 20,25."
)
flags.DEFINE_float('max_hours', 0.0, 'Save and end so many hours after this start; 0 for no limit.', lower_bound=0)


def apply_recipe() -> None:
    """Gives all flags that were not given on the command line the values of --recipe."""
    for name, value in recipes.RECIPES[FLAGS.recipe].items():
        if not FLAGS[name].present:
            FLAGS.set_default(name, value)


def config_from_flags(num_replicas: int) -> TrainConfig:
    """The run that the flags ask for; ValueError if they do not make sense."""
    description = records.read_description(FLAGS.data_dir)
    num_images = description.split(FLAGS.train_split).num_images
    num_steps = _num_steps(num_images)
    sizes: tuple[tuple[int, int], ...] = (description.image_size,)
    if FLAGS.multi_scale:
        smallest, largest = _numbers('sizes', int) or schedule.usual_sizes(description.image_size)
        sizes = schedule.training_sizes(description.image_size, smallest, largest)
    elif FLAGS['sizes'].present:
        raise ValueError('--sizes goes with --multi_scale')
    if FLAGS.unfreeze_at is not None and FLAGS.freeze == '0':
        raise ValueError('--unfreeze_at goes with --freeze')
    on_tpu = FLAGS.strategy == 'tpu' or FLAGS.tpu != ''
    profile_steps = _numbers('profile_steps', int) or ()
    computed: dict[str, Any] = {
        'classes': description.classes,
        'anchors': description.anchors,
        'image_size': description.image_size,
        'resize': description.resize,
        'num_steps': num_steps,
        'burn_in': _burn_in(num_steps),
        'scale': _scale(),
        'decay_steps': _decay_steps(num_steps, num_images),
        'sizes': sizes,
        'freeze': 0,
        'profile_steps': profile_steps,
        'unfreeze_at': num_steps if FLAGS.unfreeze_at is None else FLAGS.unfreeze_at,
        'jit_compile': num_replicas == 1 and not on_tpu if FLAGS.jit_compile is None else FLAGS.jit_compile,
    }
    given = {
        field.name: getattr(FLAGS, field.name)
        for field in dataclasses.fields(TrainConfig)
        if field.name not in computed and field.name != 'data_checksum'
    }
    config = TrainConfig(**computed, **given)
    return dataclasses.replace(config, freeze=_freeze(network.make_network(config)))


def settings() -> str:
    """All flags as lines for --flagfile; as comments those that were not given and follow from others."""
    lines = []
    for flag in FLAGS.flags_by_module_dict()[sys.argv[0] if __name__ == '__main__' else __name__]:
        value = getattr(FLAGS, flag.name)
        if flag.name in ('print_config', 'recipe') or (flag.name == 'num_steps' and FLAGS.epochs is not None):
            continue
        if value is None or value == '':
            follows = _follows().get(flag.name, 'not given')
            lines.append(f'# --{flag.name}: {follows}')
        else:
            lines.append(f'--{flag.name}={",".join(value) if isinstance(value, list) else value}')
    return '\n'.join([f'# --recipe={FLAGS.recipe}', *lines])


def _follows() -> dict[str, str]:
    return {
        'burn_in': str(_burn_in(FLAGS.num_steps)) if FLAGS.epochs is None else 'a tenth of the steps, at most 1,000',
        'decay_steps': ','.join(map(str, _voc_decay_steps(FLAGS.num_steps)))
        if FLAGS.lr_schedule == 'steps' and FLAGS.epochs is None
        else 'by --lr_schedule and the number of steps',
        'sizes': "10/13 to 19/13 of the records' size, as 320,608 for 416" if FLAGS.multi_scale else 'not given',
        'unfreeze_at': 'never',
        'jit_compile': 'on one CPU or GPU',
    }


def _num_steps(num_images: int) -> int:
    if FLAGS.epochs is None:
        return FLAGS.num_steps
    if FLAGS['num_steps'].present:
        raise flags.Error('give one of --num_steps and --epochs')
    return max(1, math.ceil(FLAGS.epochs * num_images / FLAGS.batch_size))


def _burn_in(num_steps: int) -> int:
    return min(1000, num_steps // 10) if FLAGS.burn_in is None else FLAGS.burn_in


def _freeze(built: spec.Network) -> int:
    most = sum(isinstance(section, spec.Convolution) for section in built.sections)
    if FLAGS.freeze == 'backbone':
        return spec.num_backbone_convolutions(built)
    if not (FLAGS.freeze.isdigit() and int(FLAGS.freeze) < most):
        raise ValueError(
            f'--freeze={FLAGS.freeze}: not backbone, nor a number below the {most} convolutions that there are'
        )
    return int(FLAGS.freeze)


def _voc_decay_steps(num_steps: int) -> tuple[int, int]:
    return num_steps * 40000 // 80200, num_steps * 60000 // 80200


def _decay_steps(num_steps: int, num_images: int) -> tuple[int, ...]:
    if FLAGS.decay_steps is not None and FLAGS.lr_schedule != 'steps':
        raise ValueError(f'--decay_steps goes with --lr_schedule=steps, not with {FLAGS.lr_schedule}')
    if FLAGS.lr_schedule == 'notebook':
        return schedule.notebook_decay_steps(num_images, FLAGS.batch_size)
    if FLAGS.lr_schedule != 'steps':
        return ()
    if FLAGS.decay_steps is None:
        return _voc_decay_steps(num_steps)
    if not all(step.isdigit() for step in FLAGS.decay_steps):
        raise ValueError(f'--decay_steps={",".join(FLAGS.decay_steps)}: whole numbers, as 40000,60000')
    return tuple(int(step) for step in FLAGS.decay_steps)


def _scale() -> tuple[float, float]:
    scale = _numbers('scale', float)
    if scale is None or not scale[0] > 0:
        raise ValueError(f'--scale={",".join(FLAGS.scale)}: two positive numbers, as 0.8,1.25')
    return scale


def _numbers(name: str, kind: type) -> tuple | None:
    """The two numbers of a flag, the smaller first; None if it is not given."""
    value = FLAGS[name].value
    if value is None:
        return None
    try:
        first, second = map(kind, value)
    except ValueError:
        first, second = 1, 0
    if first > second:
        raise ValueError(f'--{name}={",".join(value)}: two {"whole " if kind is int else ""}numbers, the smaller first')
    return first, second


def main(argv: list[str]) -> None:
    """Flags to library."""
    commands.refuse_words(argv)
    logging.get_absl_logger().addFilter(lambda record: record.filename not in CHATTER)
    apply_recipe()
    if FLAGS.print_config:
        print(settings())
        return
    for name in ('data_dir', 'model_dir'):
        if getattr(FLAGS, name) is None:
            raise app.UsageError(f'--{name} is missing')
    if FLAGS.cpu_devices > 1:
        cpu = tf.config.list_physical_devices('CPU')[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * FLAGS.cpu_devices)
    with commands.errors_as_lines(FloatingPointError, tf.errors.OpError):
        strategy = distribution.make_strategy(FLAGS.strategy, tpu=FLAGS.tpu)
        config = config_from_flags(strategy.num_replicas_in_sync)
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        logging.info('%s; settings:\n%s', distribution.describe(strategy), loop.describe(config))
        result = loop.train(config, strategy)
    if result.reason in preemption.REASONS:
        sys.exit(preemption.EXIT_STATUS)


if __name__ == '__main__':
    logging.set_verbosity(logging.INFO)
    app.run(main)
