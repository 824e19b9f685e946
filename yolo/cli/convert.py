"""Converts models from Darknet and back.

python -m yolo convert --cfg=yolov2-voc.cfg --weights=yolov2-voc.weights --labels=voc --model_dir_out=models/voc
python -m yolo convert --model_dir=runs/mine --cfg_out=mine.cfg --weights_out=mine.weights
python -m yolo convert --model_dir=runs/mine --keras_out=mine.keras
"""

import dataclasses

from absl import logging
from absl.flags import FlagValues

from yolo import settings
from yolo.cli import flags
from yolo.data import grey
from yolo.data.image_settings import grey_range_setting
from yolo.detection.options import (
    box_convention_setting,
    checkpoint_setting,
    model_dir_setting,
    weights_setting,
)
from yolo.geometry.letterbox import RESIZES
from yolo.settings import setting

READ, WRITE = 'What to read', 'What to write'


@dataclasses.dataclass(frozen=True)
class ConvertSettings:
    """A model to read, and the files to write it to."""

    cfg: str = setting('', "Darknet's .cfg.", group=READ)
    weights: str = weights_setting(READ)
    model_dir: str = model_dir_setting(READ)
    checkpoint: str = checkpoint_setting(READ)
    keras: str = setting('', '.keras file.', group=READ)
    box_convention: str = box_convention_setting(READ)
    model_dir_out: str = setting('', 'Folder, for eval.py, yolo predict and train.py --init_weights.', group=WRITE)
    keras_out: str = setting('', '.keras file.', group=WRITE)
    cfg_out: str = setting('', "Darknet's .cfg.", group=WRITE)
    weights_out: str = setting('', "Darknet's .weights, with --cfg_out.", group=WRITE)
    num_convolutions: int = setting(
        None,
        'Write only the first N convolutions to --weights_out: a backbone.',
        group=WRITE,
        low=1,
        high=1000,
        unset='all',
    )
    labels: str = setting(
        '',
        'Class names for --model_dir_out: a comma list, a file with one a line, or voc.',
        group=WRITE,
        unset='those of --model_dir, else none',
    )
    resize: str = setting(
        None,
        "How images are resized to the network's size, for --model_dir_out.",
        group=WRITE,
        choices=RESIZES,
        unset='that of --model_dir, else stretch',
    )
    grey_range: tuple[int, ...] = grey_range_setting(
        'Of images of 16 bits: the values that become 0 and 255, as 7000,9000, for --model_dir_out of a network of one '
        'channel.',
        group=WRITE,
        unset='those of --model_dir, else none',
    )

    def __post_init__(self) -> None:
        settings.check(self)


def convert(values: FlagValues) -> None:
    """Flags to library."""
    from yolo.data import labels
    from yolo.models import conversion

    asked = flags.read(values, ConvertSettings)
    conversion.check_sources(asked.cfg, asked.weights, asked.model_dir, asked.keras)
    if not (asked.model_dir_out or asked.keras_out or asked.cfg_out or asked.weights_out):
        raise ValueError('nothing to write: give --model_dir_out, --keras_out, or --cfg_out and --weights_out')
    conversion.check_names(asked.cfg_out, asked.weights_out, asked.keras_out, asked.num_convolutions)
    model, info = conversion.read_model(asked.cfg, asked.weights, asked.model_dir, asked.keras, asked.checkpoint)
    conversion.set_box_convention(model, asked.box_convention, asked.model_dir or asked.keras or asked.cfg)
    classes = labels.read(asked.labels) if asked.labels else info.classes
    conversion.check_classes(model, classes)
    if asked.grey_range:
        grey.check(model.network.channels, asked.grey_range, '--')
    conversion.check_room(model, asked.num_convolutions, asked.model_dir_out)
    if asked.model_dir_out and not classes:
        logging.warning('no class names: detections will be called class 0, class 1 ...; give --labels')
    written = conversion.write_darknet(model, asked.cfg_out, asked.weights_out, asked.num_convolutions)
    written += conversion.write_keras(model, asked.keras_out)
    info = dataclasses.replace(
        info, classes=classes, resize=asked.resize or info.resize, grey_range=asked.grey_range or info.grey_range
    )
    written += conversion.write_folder(model, info, asked.model_dir_out)
    print(conversion.format_layers(model.network))
    print(f'{model.seen:,} images seen in training; written: {", ".join(written)}')


COMMAND = flags.Command('yolo convert', __doc__ or '', (ConvertSettings,), convert)
