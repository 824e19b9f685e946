"""`python -m preprocess` against nothing but OpenCV reading, resizing and encoding the same images, in one run.

  python benchmarks/preprocessing.py --voc_dir=VOCdevkit/VOC2012 --split=trainval

Makes a VOC folder of `--num_images` links to the images of the split, and converts it in turn with the command and with
a bare loop in as many processes as there are cores; both are whole processes, started from nothing. Prints images/s
and the ratio command / bare: the median over the rounds.
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import cv2
import in_turn
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string('voc_dir', None, 'VOC folder to take images from.', required=True)
flags.DEFINE_string('split', 'trainval', 'Its list.')
flags.DEFINE_integer('num_images', 20_000, 'Images to convert.')
flags.DEFINE_integer('image_size', 416, 'Pixels of the stored images.')
flags.DEFINE_integer('rounds', 3, 'Rounds, each measuring both.')
flags.DEFINE_string('bare', None, 'Folder of images to convert with the bare loop: what the benchmark starts itself.')


def link_images(source: pathlib.Path, split: str, count: int, folder: pathlib.Path) -> None:
    """A VOC folder with `count` images, links to those of a split again and again."""
    ids = [line.split()[0] for line in (source / 'ImageSets/Main' / f'{split}.txt').read_text().splitlines() if line]
    for part in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (folder / part).mkdir(parents=True)
    for i in range(count):
        image_id = ids[i % len(ids)]
        for part, suffix in (('Annotations', 'xml'), ('JPEGImages', 'jpg')):
            (folder / part / f'{i:07d}.{suffix}').symlink_to(source / part / f'{image_id}.{suffix}')
    (folder / 'ImageSets/Main/all.txt').write_text(''.join(f'{i:07d}\n' for i in range(count)))


def convert_bare(paths: list[str], size: int) -> int:
    """Bytes of the images after reading, resizing and encoding, and nothing else."""
    cv2.setNumThreads(1)
    total = 0
    for path in paths:
        image = cv2.imread(path)
        assert image is not None, path
        resized = cv2.resize(image, (size, size))
        total += len(cv2.imencode('.jpg', resized, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])
    return total


def run_bare(folder: str, size: int) -> None:
    """The bare loop over a folder, in a process a core."""
    paths = sorted(str(path) for path in pathlib.Path(folder).iterdir())
    parts = [paths[i : i + 64] for i in range(0, len(paths), 64)]
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        print(sum(pool.map(convert_bare, parts, [size] * len(parts))))


def main(_) -> None:
    """Measures in turn and prints."""
    if FLAGS.bare:
        return run_bare(FLAGS.bare, FLAGS.image_size)
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = pathlib.Path(scratch, 'VOC'), pathlib.Path(scratch, 'records')
        link_images(pathlib.Path(FLAGS.voc_dir).resolve(), FLAGS.split, FLAGS.num_images, folder)
        size = f'--image_size={FLAGS.image_size}'
        commands = {
            'bare': [__file__, f'--voc_dir={folder}', f'--bare={folder}/JPEGImages', size],
            'preprocess': ['-m', 'preprocess', f'--voc_dir={folder}', '--splits=all', f'--out_dir={out}', size],
        }
        ratios = []
        for number in range(FLAGS.rounds):
            seconds = {}
            for name, command in commands.items():
                start = time.perf_counter()
                subprocess.run([sys.executable, *command], check=True, capture_output=True)
                seconds[name] = time.perf_counter() - start
            shutil.rmtree(out)
            ratios.append(seconds['bare'] / seconds['preprocess'])
            speeds = {name: FLAGS.num_images / value for name, value in seconds.items()}
            print(f'round {number}: ' + ', '.join(f'{name} {speed:.0f} images/s' for name, speed in speeds.items()))
    print(f'preprocess / bare: {in_turn.spread(ratios)}')


if __name__ == '__main__':
    app.run(main)
