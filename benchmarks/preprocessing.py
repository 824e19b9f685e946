"""`python -m preprocess` against nothing but OpenCV reading, resizing and encoding the same images, in one run.

  python benchmarks/preprocessing.py --voc_dir=VOCdevkit/VOC2012 --split=trainval

Makes a VOC folder of `--num_images` links to the images of the split, and converts it in turn with the command and with
a bare loop in as many processes as there are cores; both are whole processes, started from nothing. Prints images/s
and the ratio command / bare: medians over the rounds. With another checkout of this project, that is measured too:

  git worktree add --detach ../before HEAD~1
  python benchmarks/preprocessing.py --voc_dir=VOCdevkit/VOC2012 --before=../before
"""

import concurrent.futures
import itertools
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import cv2
import in_turn
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string('voc_dir', None, 'VOC folder to take images from.', required=True)
flags.DEFINE_list('split', ['trainval'], 'Its lists.')
flags.DEFINE_integer('num_images', 20_000, 'Images to convert.')
flags.DEFINE_integer('image_size', 416, 'Pixels of the stored images.')
flags.DEFINE_integer('rounds', 3, 'Rounds, each measuring both.')
flags.DEFINE_string('before', None, 'Another checkout of this project, to be compared with this one.')
flags.DEFINE_string('bare', None, 'Folder of images to convert with the bare loop: what the benchmark starts itself.')


def link_images(source: pathlib.Path, splits: list[str], count: int, folder: pathlib.Path) -> None:
    """A VOC folder with `count` images, links to those of some splits again and again."""
    lists = [(source / 'ImageSets/Main' / f'{split}.txt').read_text().splitlines() for split in splits]
    ids = [line.split()[0] for lines in lists for line in lines if line]
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


def measure(command: list[str], checkout: str) -> tuple[float, float]:
    """Seconds, and seconds of all cores together, that a Python command with the code of a checkout takes."""
    start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {'PYTHONPATH': checkout}
    subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=checkout, env=environment)
    seconds, done = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, done.ru_utime + done.ru_stime - used.ru_utime - used.ru_stime


def print_speed(times: dict[str, list[tuple[float, float]]]) -> None:
    """Prints the median speed of each command by the clock, and by the time of all cores together."""
    for name, values in times.items():
        clock, cores = (FLAGS.num_images / statistics.median(each) for each in zip(*values, strict=True))
        print(f'{name}: {clock:.0f} images/s, {cores:.0f} images for each second of a core')


def compare(times: dict[str, list[tuple[float, float]]], name: str, other: str) -> None:
    """Prints the ratios of the speeds of two commands, by the clock and by the time of all cores."""
    pairs = list(zip(times[name], times[other], strict=True))
    for i, clock in enumerate(('clock', 'time of all cores')):
        print(f'{name} / {other}, {clock}: {in_turn.spread([theirs[i] / ours[i] for ours, theirs in pairs])}')


def main(_) -> None:
    """Measures in turn and prints."""
    if FLAGS.bare:
        return run_bare(FLAGS.bare, FLAGS.image_size)
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = pathlib.Path(scratch, 'VOC'), pathlib.Path(scratch, 'records')
        link_images(pathlib.Path(FLAGS.voc_dir).resolve(), FLAGS.split, FLAGS.num_images, folder)
        size, here = f'--image_size={FLAGS.image_size}', str(pathlib.Path(__file__).resolve().parent.parent)
        convert = ['-m', 'preprocess', f'--voc_dir={folder}', '--splits=all', f'--out_dir={out}', size]
        bare = [str(pathlib.Path(__file__).resolve()), f'--voc_dir={folder}', f'--bare={folder}/JPEGImages', size]
        commands = {'bare': (bare, here), 'preprocess': (convert, here)}
        if FLAGS.before:
            commands['before'] = (convert, str(pathlib.Path(FLAGS.before).resolve()))
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for number in range(FLAGS.rounds):
            for name in itertools.islice(itertools.cycle(commands), number, number + len(commands)):  # each is first
                times[name].append(measure(*commands[name]))
                shutil.rmtree(out, ignore_errors=True)
            speeds = {name: FLAGS.num_images / values[-1][0] for name, values in times.items()}
            print(f'round {number}: ' + ', '.join(f'{name} {speed:.0f} images/s' for name, speed in speeds.items()))
    print_speed(times)
    compare(times, 'preprocess', 'bare')
    if FLAGS.before:
        compare(times, 'preprocess', 'before')


if __name__ == '__main__':
    app.run(main)
