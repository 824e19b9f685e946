"""Converts images and their annotations to TFRecords, once, before training.

  python -m preprocess --images_dir=photos --out_dir=data/mine
  python -m preprocess --voc_dir=VOCdevkit/VOC2012 --splits=trainval,test --out_dir=data/voc416
  python -m preprocess --tfds=voc/2007 --splits=train,test --out_dir=data/voc416
  python -m preprocess --images_dir=photos --split_files=train=a.txt,test=b.txt --out_dir=data/mine
  python -m preprocess --coco=train=train.json,val=val.json --out_dir=data/mine
  python -m preprocess --yolo=data.yaml --out_dir=data/mine
  python -m preprocess show --data_dir=data/voc416 --split=test --out=sheet.png
  python -m preprocess verify --data_dir=data/voc416
  python -m preprocess shapes --out_dir=demo/VOC

Killed? The same command goes on. Exit status: 0 if every listed image was written (or all but --allow_errors),
130 after Ctrl-C, else 1.
"""

import importlib
import posixpath
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool

from absl.flags import FlagValues

from preprocess.settings import Request, Settings
from yolo.cli import flags
from yolo.data import image_settings, labels

COMMANDS = {
    'show': 'preprocess.report.contact_sheet',
    'verify': 'preprocess.verify',
    'shapes': 'preprocess.demo.shapes',
}


def read_settings(values: FlagValues) -> Settings:
    """What the flags ask for; ValueError if they do not make sense. Writes the VOC folder that --tfds needs."""
    from preprocess import label_rules, store_size
    from preprocess.sources import choose
    from preprocess.splitting import made_splits

    asked, given = flags.read(values, Request), flags.given(values, Settings)
    made_splits.check(given.get('make_splits'), given.get('group_by'), flags.given(values, Request))
    is_pooled = 'make_splits' in given
    if asked.tfds:
        flags.load_tensorflow()
    found = choose.find(asked, flags.given(values, Request).get('splits'), given['out_dir'], is_pooled)
    if found.format:
        print(found.format)
    if not found.splits:
        raise ValueError('--splits is empty')
    if 'image_size' in given:
        given['image_size'] = image_settings.parse_image_size(given['image_size'])
    if asked.recipe and 'store_size' not in given:
        size = given.get('image_size', Settings.image_size)
        given['store_size'] = store_size.of_recipe(asked.recipe, size)
    if 'labels' in given:
        given['labels'] = labels.read(given['labels'])
    if 'label_map' in given:
        given['label_map'] = label_rules.read_map(given['label_map'])
    if 'ignore_labels' in given:
        given['ignore_labels'] = labels.read(given['ignore_labels'], '--ignore_labels')
    return Settings(found.source, found.splits, notes=found.notes, **given)


def run(values: FlagValues) -> int:
    """Flags to library; returns the exit status."""
    from preprocess import convert, pool
    from preprocess.report import page
    from preprocess.report import summary as report_summary

    settings, asked = read_settings(values), flags.read(values, Request)
    workers = None
    if asked.runner == 'beam':
        workers = pool.beam(asked.beam_options, posixpath.join(settings.out_dir, 'work'))
    try:
        description, summaries = convert.convert(settings, asked.overwrite, workers)
    except BrokenProcessPool as error:
        raise ValueError('a worker process died, perhaps for want of memory: run again with fewer --workers') from error
    if summaries is None:
        print(f'{settings.out_dir} holds these records already, whole; --overwrite writes them again')
    else:
        print(report_summary.format_summary(description, summaries))
    print(f'records: {settings.out_dir}')
    print(f'what the data is like, and every problem: {posixpath.join(settings.out_dir, page.PAGE)}')
    if summaries and (leaks := report_summary.format_leaks(summaries)):
        print(leaks)
    left_out = sum(split.images_left_out for split in description.splits.values())
    if left_out > asked.allow_errors:
        print(
            f'{left_out} images were left out, --allow_errors={asked.allow_errors} were allowed: the records are '
            f'good without them; mend the files and run again with --overwrite, or accept it by '
            f'--allow_errors={left_out}'
        )
    return 0 if left_out <= asked.allow_errors else 1


COMMAND = flags.Command(
    'preprocess', __doc__ or '', (Request, Settings), run, tensorflow=False, ended='ended; the same command goes on'
)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the first word names, or the conversion; argv as sys.argv, which is the default."""
    argv = sys.argv if argv is None else argv
    if len(argv) > 1 and not argv[1].startswith('-'):
        if argv[1] not in COMMANDS:
            sys.exit(
                f'preprocess: no command {argv[1]!r}; there are {", ".join(COMMANDS)}, and flags alone for the '
                'conversion (--help)'
            )
        flags.run(importlib.import_module(COMMANDS[argv[1]]).COMMAND, argv[1:])
    flags.run(COMMAND, argv)


if __name__ == '__main__':
    main()
