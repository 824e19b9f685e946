"""Records of VOC by TensorFlow Datasets' own builder of voc/2007 against those of the same VOC folder, field by field.

  python benchmarks/tfds_voc.py --voc_dir=VOCfold --train=train --test=test --out_dir=compared

Packs the images of two lists of a VOC folder as the official tar files are packed (every fifth one of --train as
VOC's list val), and runs `python -m preprocess --tfds=voc/2007` with the builder's address of VOC turned to them: no
network is needed. Then converts the folder itself by the same lists, and counts the records that differ in any field.
Needs three times the space of the images.
"""

import dataclasses
import pathlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from absl import app, flags

from yolo.data import records, tfrecord, voc_folder
from yolo.data.records import Record

FLAGS = flags.FLAGS
flags.DEFINE_string('voc_dir', None, 'VOC folder of the images.', required=True)
flags.DEFINE_string('train', 'train', 'Its list of training images.')
flags.DEFINE_string('test', 'test', 'Its list of test images.')
flags.DEFINE_string('out_dir', None, 'Folder for tar files and records.', required=True)
flags.DEFINE_string('image_size', '256', 'As of preprocess.')

TARS = {'VOCtrainval_06-Nov-2007.tar': ('train', 'val'), 'VOCtest_06-Nov-2007.tar': ('test',)}
LISTS = {'train': 'train', 'validation': 'val', 'test': 'test'}  # TFDS' names of VOC's lists
MOST_LINES = 20
# Runs `python -m preprocess` with the first word for the builder's address, and the others for flags.
WITH_ADDRESS = (
    'import sys; import tensorflow_datasets.object_detection.voc as voc; voc._VOC_DATA_URL = sys.argv.pop(1); '
    'from preprocess.__main__ import main; main()'
)


def write_tars(voc_dir: pathlib.Path, lists: Mapping[str, Sequence[str]], folder: pathlib.Path) -> None:
    """Packs a VOC folder as the official tar files of VOC 2007. lists: the ids of VOC's lists train, val and test."""
    folder.mkdir(parents=True)
    inside = pathlib.PurePosixPath('VOCdevkit/VOC2007')
    for name, splits in TARS.items():
        with tarfile.open(folder / name, 'w') as tar:
            for split in splits:
                path = folder / f'{split}.txt'
                path.write_text(''.join(f'{image_id}\n' for image_id in lists[split]))
                tar.add(path, str(inside / 'ImageSets/Main' / path.name))
                for image_id in lists[split]:
                    for part in (f'Annotations/{image_id}.xml', f'JPEGImages/{image_id}.jpg'):
                        tar.add(voc_dir / part, str(inside / part))


def convert_by_tfds(tars: pathlib.Path, out_dir: pathlib.Path, *words: str) -> None:
    """`python -m preprocess --tfds=voc/2007` on such tar files; TFDS' own data goes to a folder beside the records."""
    source = ['--tfds=voc/2007', f'--splits={",".join(LISTS)}', f'--tfds_data_dir={out_dir}_tfds']
    command = [sys.executable, '-c', WITH_ADDRESS, str(tars), *source, f'--out_dir={out_dir}', *words]
    subprocess.run(command, check=True)


def convert_folder(voc_dir: pathlib.Path, tars: pathlib.Path, out_dir: pathlib.Path, *words: str) -> None:
    """The records of the folder itself, by the lists that were packed."""
    lists = ','.join(f'{split}={tars / name}.txt' for split, name in LISTS.items())
    source = [f'--voc_dir={voc_dir}', f'--split_files={lists}']
    subprocess.run([sys.executable, '-m', 'preprocess', *source, f'--out_dir={out_dir}', *words], check=True)


def read(folder: pathlib.Path, split: str) -> Iterator[Record]:
    """The records of a split in their order."""
    for path in records.shard_paths(str(folder), split, records.read_description(str(folder))):
        with open(path, 'rb') as file:
            yield from map(records.deserialize, tfrecord.unframe(file, path))


def differences(one: Record, other: Record) -> list[str]:
    """The names of the fields in which two records differ in any bit."""
    names = [field.name for field in dataclasses.fields(Record)]
    return [name for name in names if not np.array_equal(getattr(one, name), getattr(other, name))]


def compare(one: pathlib.Path, other: pathlib.Path) -> list[str]:
    """What differs between two folders of records, one line each; none for equal ones."""
    lines = []
    for split in LISTS:
        ours, theirs = ({record.image_id: record for record in read(folder, split)} for folder in (one, other))
        if list(ours) != list(theirs):
            what = 'order' if ours.keys() == theirs.keys() else 'images'
            lines.append(f'{split}: another {what}')
        for image_id in ours.keys() & theirs.keys():
            names = differences(ours[image_id], theirs[image_id])
            lines += [f'{split}, {image_id}: another {", ".join(names)}'] if names else []
    descriptions = [dataclasses.asdict(records.read_description(str(folder))) for folder in (one, other)]
    different = [name for name, value in descriptions[0].items() if value != descriptions[1][name]]
    return lines + [f'{records.DESCRIPTION}: another {name}' for name in different]


def main(_) -> None:
    """Packs, converts both and prints what differs."""
    voc_dir, folder = pathlib.Path(FLAGS.voc_dir).resolve(), pathlib.Path(FLAGS.out_dir).resolve()
    train, test = (
        voc_folder.read_split(str(voc_dir / f'ImageSets/Main/{name}.txt')) for name in (FLAGS.train, FLAGS.test)
    )
    lists = {'train': [each for i, each in enumerate(train) if i % 5], 'val': train[::5], 'test': test}
    shutil.rmtree(folder, ignore_errors=True)
    tars, by_tfds, by_folder = folder / 'tars', folder / 'by_tfds', folder / 'by_folder'
    write_tars(voc_dir, lists, tars)
    convert_by_tfds(tars, by_tfds, f'--image_size={FLAGS.image_size}')
    convert_folder(voc_dir, tars, by_folder, f'--image_size={FLAGS.image_size}')
    lines = compare(by_tfds, by_folder)
    for line in lines[:MOST_LINES]:
        print(line)
    print(f'{len(train) + len(test):,} images, {len(lines):,} differences')


if __name__ == '__main__':
    app.run(main)
