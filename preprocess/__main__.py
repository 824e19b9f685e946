"""VOC-style annotations and images -> TFRecords.

python -m preprocess --voc_dir=VOCdevkit/VOC2012 --splits=trainval,test --out_dir=data/voc416
python -m preprocess --tfds=voc/2007 --splits=train,test --out_dir=data/voc416
python -m preprocess --annotations_dir=A --images_dir=I --split_files=train=a.txt,test=b.txt --out_dir=data/mine
python -m preprocess show --data_dir=data/voc416 --split=test --out=sheet.png
python -m preprocess verify --data_dir=data/voc416
python -m preprocess shapes --out_dir=demo/VOC
"""

import importlib
import os
import posixpath
import sys
from concurrent.futures.process import BrokenProcessPool

from absl import app, flags, logging

from preprocess import anchors, convert, pool
from preprocess.report import summary as report_summary
from preprocess.sources import tfds
from yolo import storage
from yolo.cli import flags as commands
from yolo.data import images, labels, voc_folder
from yolo.geometry import letterbox

COMMANDS = {
    'show': 'preprocess.report.contact_sheet',
    'verify': 'preprocess.verify',
    'shapes': 'preprocess.demo.shapes',
}
FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags of the conversion; the other commands have their own."""
    flags.DEFINE_string('voc_dir', None, 'Folder with Annotations, JPEGImages and ImageSets/Main.')
    flags.DEFINE_string(
        'tfds',
        None,
        'Detection dataset of TensorFlow Datasets, as voc/2007: written to --voc_dir '
        'first (default: voc in --out_dir), downloaded if need be.',
    )
    flags.DEFINE_string('tfds_data_dir', None, 'Where TensorFlow Datasets keeps its data.')
    flags.DEFINE_list(
        'splits', 'trainval,test', 'Lists in ImageSets/Main of --voc_dir; anchors are fitted to the first.'
    )
    flags.DEFINE_string('annotations_dir', None, 'Folder of XML files, in place of --voc_dir.')
    flags.DEFINE_string('images_dir', None, 'Folder of images, in place of --voc_dir.')
    flags.DEFINE_list('split_files', None, 'Lists of image ids as name=file, in place of --voc_dir and --splits.')
    flags.DEFINE_string('out_dir', None, 'Folder for the records.', required=True)
    flags.DEFINE_string(
        'labels',
        None,
        'Names of the classes: a comma list, a file with one a line, or voc; the default is all names found, sorted.',
    )
    flags.DEFINE_string('image_size', '416', 'Pixels of the stored images: a number or WIDTHxHEIGHT, multiples of 32.')
    flags.DEFINE_enum(
        'resize',
        'stretch',
        letterbox.RESIZES,
        'How images come to that size: stretched, as for the '
        "paper's numbers, or whole with grey bars, as today's Darknet does.",
    )
    flags.DEFINE_string(
        'anchors',
        'kmeans:5',
        f'kmeans:K fits K to the first split; or {", ".join(anchors.NAMED)}; or '
        'a list w,h, w,h, ... in cells of 32 pixels.',
    )
    flags.DEFINE_integer('num_shards', 0, f'Files a split; the default is one to {convert.IMAGES_PER_SHARD} images.', 0)
    flags.DEFINE_integer('workers', os.cpu_count() or 1, 'Processes; the default is one a core.', 1)
    flags.DEFINE_enum(
        'image_format',
        'jpeg',
        images.FORMATS,
        'How images are stored: jpeg is small; png is exact; raw needs no decoding and is the largest.',
    )
    flags.DEFINE_enum(
        'runner',
        'local',
        ['local', 'beam'],
        'Who does the work: processes of this machine, or Apache Beam with --beam_options.',
    )
    flags.DEFINE_list('beam_options', '', 'Of Apache Beam, as --runner=FlinkRunner,--flink_master=HOST:8081.')
    flags.DEFINE_integer('jpeg_quality', 95, 'Of stored JPEGs.', 1, 100)
    flags.DEFINE_bool('strict', False, 'Leave an image out where otherwise something of it would be repaired.')
    flags.DEFINE_integer('allow_errors', 0, 'Images that may be left out without the exit status telling.', 0)
    flags.DEFINE_bool(
        'overwrite',
        False,
        'Replace the records that are in --out_dir; after a kill, go on without this flag, as it starts over.',
    )


def settings_from_flags() -> convert.Settings:
    """What the flags ask for; ValueError if they do not make sense. Writes the VOC folder that --tfds means."""
    voc_dir: str | None = FLAGS.voc_dir
    if FLAGS.tfds:
        voc_dir = voc_dir or posixpath.join(FLAGS.out_dir, 'voc')
        tfds.export(FLAGS.tfds, FLAGS.splits, voc_dir, FLAGS.tfds_data_dir)
    if bool(voc_dir) == bool(FLAGS.annotations_dir or FLAGS.images_dir or FLAGS.split_files):
        raise ValueError('give either --voc_dir or --annotations_dir, --images_dir and --split_files')
    if voc_dir:
        source = voc_folder.Source(posixpath.join(voc_dir, 'Annotations'), posixpath.join(voc_dir, 'JPEGImages'))
        lists = posixpath.join(voc_dir, 'ImageSets', 'Main')
        splits = {name: posixpath.join(lists, f'{name}.txt') for name in FLAGS.splits}
    else:
        if not (FLAGS.annotations_dir and FLAGS.images_dir and FLAGS.split_files):
            raise ValueError('--annotations_dir, --images_dir and --split_files go together')
        source = voc_folder.Source(FLAGS.annotations_dir, FLAGS.images_dir)
        splits = dict(_split_file(text) for text in FLAGS.split_files)
        if len(splits) < len(FLAGS.split_files):
            raise ValueError(f'--split_files={",".join(FLAGS.split_files)}: a name is there twice')
    for folder in (source.annotations_dir, source.images_dir):
        if not storage.is_folder(folder):
            raise ValueError(f'{folder} is not a folder')
    if not splits:
        raise ValueError('--splits is empty')
    classes = labels.read(FLAGS.labels) if FLAGS.labels is not None else None
    same = ('out_dir', 'resize', 'anchors', 'image_format', 'jpeg_quality', 'strict', 'num_shards', 'workers')
    return convert.Settings(
        source, splits, labels=classes, image_size=_image_size(), **{name: getattr(FLAGS, name) for name in same}
    )


def _split_file(text: str) -> tuple[str, str]:
    name, equals, path = text.partition('=')
    if not (name and equals and path):
        raise ValueError(f'--split_files: {text!r} is not name=file')
    return name, path


def _image_size() -> tuple[int, int]:
    """Height, width."""
    width, _, height = FLAGS.image_size.lower().partition('x')
    try:
        size = int(height or width), int(width)
    except ValueError:
        size = 0, 0
    if min(size) < 32 or size[0] % 32 or size[1] % 32:
        raise ValueError(f'--image_size={FLAGS.image_size}: not a multiple of 32 or WIDTHxHEIGHT of such, as 640x480')
    return size


def run() -> bool:
    """Flags to library; whether few enough images were left out. ValueError if nothing could be done."""
    settings = settings_from_flags()
    crew = None
    if FLAGS.runner == 'beam':
        crew = pool.beam(FLAGS.beam_options, posixpath.join(settings.out_dir, 'work'))
    description, summaries = convert.build(settings, FLAGS.overwrite, crew)
    if summaries is None:
        print(f'{settings.out_dir} holds these records already, whole; --overwrite writes them again')
    else:
        print(report_summary.format_summary(description, summaries))
    print(f'records in {settings.out_dir}, all that was noticed in {settings.out_dir}/{report_summary.REPORT}')
    left_out = sum(split.images_left_out for split in description.splits.values())
    if left_out > FLAGS.allow_errors:
        print(
            f'{left_out} images were left out, --allow_errors={FLAGS.allow_errors} were allowed: the records are '
            f'good without them; mend the files and run again with --overwrite, or accept it by '
            f'--allow_errors={left_out}'
        )
    return left_out <= FLAGS.allow_errors


def main(argv: list[str]) -> None:
    """Runs, and turns bad input into a line."""
    commands.refuse_words(argv)
    try:
        with commands.errors_as_lines():
            good = run()
    except BrokenProcessPool:
        logging.error('a worker process died, perhaps for want of memory: run again with fewer --workers')
        sys.exit(1)
    sys.exit(0 if good else 1)


def dispatch(argv: list[str]) -> None:
    """Runs the command that the first word names, or the conversion."""
    if len(argv) > 1 and not argv[1].startswith('-'):
        if argv[1] not in COMMANDS:
            sys.exit(
                f'python -m preprocess: no command {argv[1]!r}; there are {", ".join(COMMANDS)}, and flags alone '
                'for the conversion (--help)'
            )
        importlib.import_module(COMMANDS[argv[1]]).main(argv[1:])
        return
    define_flags()
    app.run(main, argv)


if __name__ == '__main__':
    dispatch(sys.argv)
