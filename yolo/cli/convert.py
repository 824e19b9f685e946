"""Takes models from Darknet and back.

python -m yolo.convert --cfg=yolov2-voc.cfg --weights=yolov2-voc.weights --labels=voc --model_dir_out=models/voc
python -m yolo.convert --model_dir=runs/mine --cfg_out=mine.cfg --weights_out=mine.weights
python -m yolo.convert --model_dir=runs/mine --keras_out=mine.keras
"""

import tensorflow as tf
from absl import app, flags

from yolo.cli import flags as commands
from yolo.data import labels as label_names
from yolo.geometry import letterbox
from yolo.models import model_folder, spec
from yolo.models.build import DarknetModel
from yolo.models.darknet import load_whole, save_darknet
from yolo.models.spec import Convolution, Network, Region

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags of the command; not when the module is only imported."""
    flags.DEFINE_string('cfg', None, "Darknet's .cfg to read.")
    flags.DEFINE_string('weights', None, "Darknet's .weights to read, with --cfg.")
    flags.DEFINE_string('model_dir', None, 'Folder of a run of train.py, or of a converted model, to read.')
    flags.DEFINE_string('keras', None, '.keras file to read.')
    flags.DEFINE_string(
        'checkpoint', '', 'Of --model_dir: best, latest, or a path; the default is the best if there is one.'
    )
    flags.DEFINE_string(
        'labels',
        None,
        'Class names for --model_dir_out: a comma list, a file of one a line, or voc; '
        'the default is those of --model_dir, else none.',
    )
    flags.DEFINE_enum(
        'resize',
        None,
        letterbox.RESIZES,
        'How images come to the size of the network, for '
        '--model_dir_out; the default is that of --model_dir, else stretch.',
    )
    flags.DEFINE_string('model_dir_out', None, 'Folder to write, for eval.py, yolo.predict, train.py --init_weights.')
    flags.DEFINE_string('keras_out', None, '.keras file to write.')
    flags.DEFINE_string('cfg_out', None, "Darknet's .cfg to write.")
    flags.DEFINE_string('weights_out', None, "Darknet's .weights to write, with --cfg_out.")
    flags.DEFINE_integer(
        'num_convolutions',
        None,
        'Writes --weights_out with so many convolutions from the start: a backbone; the default is all.',
        lower_bound=1,
    )


def read_model() -> tuple[DarknetModel, model_folder.ModelInfo]:
    """The model that the flags mean; ValueError if they do not mean one, or it cannot be read."""
    if sum(map(bool, (FLAGS.cfg or FLAGS.weights, FLAGS.model_dir, FLAGS.keras))) != 1:
        raise ValueError('give one of --cfg and --weights, --model_dir, or --keras')
    info = model_folder.ModelInfo((), 'stretch')
    if FLAGS.model_dir:
        model, info, _ = model_folder.load_trained(FLAGS.model_dir, FLAGS.checkpoint)
    elif FLAGS.keras:
        model = model_folder.load_keras(FLAGS.keras)
    elif FLAGS.cfg and FLAGS.weights:
        model = load_whole(FLAGS.cfg, FLAGS.weights)
    else:
        raise ValueError('--cfg and --weights go together')
    classes = label_names.read(FLAGS.labels) if FLAGS.labels else info.classes
    last = model.network.sections[-1]
    if classes and isinstance(last, Region) and len(classes) != last.classes:
        raise ValueError(f'--labels={FLAGS.labels}: {len(classes)} names, but the network has {last.classes} classes')
    return model, model_folder.ModelInfo(tuple(classes), FLAGS.resize or info.resize)


def write_model(model: DarknetModel, info: model_folder.ModelInfo) -> list[str]:
    """Writes what the flags ask for, and returns the paths; ValueError if that is nothing."""
    if bool(FLAGS.cfg_out) != bool(FLAGS.weights_out):
        raise ValueError('--cfg_out and --weights_out go together')
    written = []
    if FLAGS.cfg_out:
        save_darknet(model, FLAGS.cfg_out, FLAGS.weights_out, FLAGS.num_convolutions)
        written += [FLAGS.cfg_out, FLAGS.weights_out]
    if FLAGS.keras_out:
        model.save(FLAGS.keras_out)
        written.append(FLAGS.keras_out)
    if FLAGS.model_dir_out:
        folder = model_folder.latest_folder(FLAGS.model_dir_out)
        if tf.train.latest_checkpoint(folder) is not None:
            raise ValueError(f'--model_dir_out={FLAGS.model_dir_out}: a model is there already; give another folder')
        model_folder.write_model(FLAGS.model_dir_out, model.network, info, begun=False)
        model_folder.save_whole(folder, model, 0)
        written.append(FLAGS.model_dir_out)
    if not written:
        raise ValueError('nothing to write: give --model_dir_out, --keras_out, or --cfg_out and --weights_out')
    return written


def format_summary(built: Network) -> str:
    """A table of the layers: what each is, its output for an image of the network's size, its parameters."""
    numbers = spec.num_weights(built)
    rows = [('', 'layer', 'output', 'parameters')]
    for index, (section, shape) in enumerate(zip(built.sections, spec.shapes(built), strict=True)):
        rows.append((str(index), _describe(section), ' x '.join(map(str, shape)), f'{numbers[index]:,}'))
    rows.append(('', 'all', '', f'{sum(numbers):,}'))
    return '\n'.join(f'{index:>3}  {layer:<32}  {output:>16}  {number:>12}' for index, layer, output, number in rows)


def _describe(section: spec.Section) -> str:
    if isinstance(section, Convolution):
        stride = f'/{section.stride}' if section.stride > 1 else ''
        return f'convolution {section.size} x {section.size}{stride} {section.activation}' + (
            ' norm' if section.norm else ''
        )
    if isinstance(section, spec.MaxPool):
        return f'max pool {section.size} x {section.size}/{section.stride}'
    if isinstance(section, spec.Route):
        return f'route {", ".join(map(str, section.layers))}'
    if isinstance(section, Region):
        return f'region, {len(section.anchors)} anchors, {section.classes} classes'
    return {'Space': 'reorg', 'AveragePool': 'average pool'}.get(type(section).__name__, type(section).__name__.lower())


def main(argv: list[str]) -> None:
    """Runs, and turns bad input into a line."""
    commands.refuse_words(argv)
    with commands.errors_as_lines(tf.errors.OpError):
        model, info = read_model()
        written = write_model(model, info)
    print(format_summary(model.network))
    print(f'{model.seen:,} images seen in training; written: {", ".join(written)}')


if __name__ == '__main__':
    define_flags()
    app.run(main)
