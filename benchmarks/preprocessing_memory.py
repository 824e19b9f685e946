"""Peak memory of `python -m preprocess`, with all its processes, for few images and for many.

  python benchmarks/preprocessing_memory.py --voc_dir=VOCdevkit/VOC2012 --split=trainval

Makes VOC folders of links to the images of the split and converts them. Prints the peak of the sum over processes of
what each has for itself and its share of what they share (PSS, from Linux's /proc), sampled ten times a second, and the
ratio of many to few.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
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


def peak_memory(source: pathlib.Path, split: str, count: int, scratch: pathlib.Path) -> int:
    """Peak bytes of converting `count` images."""
    folder, out = scratch / f'VOC{count}', scratch / f'out{count}'
    link_images(source, split, count, folder)
    process = subprocess.Popen([sys.executable, '-m', 'preprocess', f'--voc_dir={folder}', '--splits=all',
                                f'--out_dir={out}', f'--image_size={FLAGS.image_size}'], start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    peak = 0
    while process.poll() is None:
        peak = max(peak, group_memory(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f'preprocess ended with {process.returncode}')
    shutil.rmtree(out)
    return peak


def main(_) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as scratch:
        peaks = [peak_memory(pathlib.Path(FLAGS.voc_dir).resolve(), FLAGS.split, count, pathlib.Path(scratch))
                 for count in (FLAGS.few, FLAGS.many)]  # fmt: skip
    print(f'{FLAGS.few:,} images: {peaks[0] / 1e6:.0f} MB, {FLAGS.many:,} images: {peaks[1] / 1e6:.0f} MB, '
          f'ratio {peaks[1] / peaks[0]:.2f}')  # fmt: skip


if __name__ == '__main__':
    app.run(main)
