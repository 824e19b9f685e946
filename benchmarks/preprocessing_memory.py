"""Peak memory of `python -m preprocess`, with all its processes, for few images and for many.

  python benchmarks/preprocessing_memory.py --voc_dir=VOCdevkit/VOC2012 --split=trainval

Makes VOC folders of links to the images of the split and converts them. Prints the peak of the sum over processes of
what each has for itself and its share of what they share (PSS, from Linux's /proc), sampled ten times a second, and the
ratio of many to few.
"""

import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from absl import app, flags
from preprocessing import link_images

FLAGS = flags.FLAGS
flags.DEFINE_integer('few', 2000, 'Images.')
flags.DEFINE_integer('many', 100_000, 'Images.')


def group_memory(group: int) -> int:
    """Bytes of all processes of a process group."""
    total = 0
    for folder in pathlib.Path('/proc').iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if int((folder / 'stat').read_text().rsplit(')', 1)[1].split()[2]) == group:
                lines = (folder / 'smaps_rollup').read_text().splitlines()
                total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith('Pss:'))
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
    return total


def peak_memory(command: list[str]) -> int:
    """Peak bytes of a Python command with all its processes."""
    process = subprocess.Popen(
        [sys.executable, *command], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    said: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=said.extend, args=(process.stderr,))
    reader.start()
    peak = 0
    while process.poll() is None:
        peak = max(peak, group_memory(process.pid))
        time.sleep(0.1)
    reader.join()
    if process.returncode:
        raise RuntimeError(f'{" ".join(command)} ended with {process.returncode}: {"".join(said)}')
    return peak


def convert(source: pathlib.Path, splits: list[str], count: int, scratch: pathlib.Path) -> tuple[pathlib.Path, int]:
    """Converts `count` images; returns the folder of records and the peak bytes."""
    folder, out = scratch / f'VOC{count}', scratch / f'out{count}'
    link_images(source, splits, count, folder)
    return out, peak_memory(
        [
            '-m',
            'preprocess',
            f'--voc_dir={folder}',
            '--splits=all',
            f'--out_dir={out}',
            f'--image_size={FLAGS.image_size}',
        ]
    )


def main(_) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as scratch:
        peaks = [
            convert(pathlib.Path(FLAGS.voc_dir).resolve(), FLAGS.split, count, pathlib.Path(scratch))[1]
            for count in (FLAGS.few, FLAGS.many)
        ]
    print(
        f'{FLAGS.few:,} images: {peaks[0] / 1e6:.0f} MB, {FLAGS.many:,} images: {peaks[1] / 1e6:.0f} MB, '
        f'ratio {peaks[1] / peaks[0]:.2f}'
    )


if __name__ == '__main__':
    app.run(main)
