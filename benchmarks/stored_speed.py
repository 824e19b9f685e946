"""What larger stored images cost: bytes, images/s of the input graph, and the pixels' part of a training step.

  python benchmarks/stored_speed.py --voc_dir=VOCdevkit/VOC2012 --split=trainval --image_size=416 --store_size=608

Writes records of the same images at both sizes, as JPEG. Measures in turn, in one run: the augmented input graph, and
what the step does to its pixels (compiled) at the network's size and at the largest training size. Prints medians of
images/s by the clock and ratios larger / usual.
"""

import functools
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import in_turn
import tensorflow as tf
from absl import app, flags
from preprocessing import link_images

from preprocess import convert
from preprocess.settings import Settings
from yolo import memory
from yolo.data import augment, pipeline, records, voc_folder

Begin = Callable[[], Callable[[], object]]  # what it gives is called for each batch
GRAPH, READING = 'input graph', 10  # reads so many times as many batches, some of which are made ahead
FLAGS = flags.FLAGS
flags.DEFINE_integer('store_size', 608, 'Pixels of the longer side of the larger stored images.')
flags.DEFINE_integer('batch_size', 16, 'Images a batch.')
flags.DEFINE_integer('num_batches', 30, 'Batches that are timed in a round.')


def write(folder: pathlib.Path, source_dir: pathlib.Path, store_size: int | None) -> tuple[tf.data.Dataset, float]:
    """The augmented batches of records with that size, and bytes an image."""
    source = voc_folder.Source(f'{source_dir}/Annotations', f'{source_dir}/JPEGImages')
    lists: dict[str, str | tuple[str, ...]] = {'all': f'{source_dir}/ImageSets/Main/all.txt'}
    size = FLAGS.image_size, FLAGS.image_size
    convert.convert(
        Settings(source, lists, str(folder), image_size=size, store_size=store_size, anchors='voc', leaks='off')
    )
    manifest = records.read_manifest(str(folder))
    assert manifest is not None
    num_bytes = sum(shard.num_bytes for shard in manifest.shards.values()) / FLAGS.num_images
    return pipeline.training_batches(str(folder), 'all', FLAGS.batch_size, 0, augment.Ranges()), num_bytes


def speed(begin: Begin, num_batches: int) -> tuple[float, float]:
    """Images/s of a call for each batch, by the clock and by the time of the processor.

    It is begun anew, so that nothing is made while another one is measured.
    """
    call = begin()
    for _ in range(max(2, num_batches // 8)):  # more than are made ahead
        call()
    start, start_cpu = time.perf_counter(), time.process_time()
    for _ in range(num_batches):
        call()
    images = num_batches * FLAGS.batch_size
    return images / (time.perf_counter() - start), images / (time.process_time() - start_cpu)


def begin_reading(batches: tf.data.Dataset) -> Callable[[], object]:
    """What gives the next batch."""
    iterator = iter(batches)
    return lambda: next(iterator)


def make_pixels(batch: dict[str, tf.Tensor], side: int) -> Begin:
    """The step's work on the pixels of one batch, at a size."""
    compiled = tf.function(lambda: pipeline.augment_images(batch, (side, side)), jit_compile=True)
    return lambda: lambda: compiled().numpy()[0, 0, 0, 0]


def measure(what: str, of_names: dict[str, Begin]) -> None:
    """Measures both in turn and prints two lines."""
    num_batches = FLAGS.num_batches * (READING if what == GRAPH else 1)
    both: dict[str, list[tuple[float, float]]] = {name: [] for name in of_names}
    for _ in range(FLAGS.rounds):
        for name, begin in of_names.items():
            both[name].append(speed(begin, num_batches))
    for number, clock in enumerate(('by the clock', 'by processor time')):
        rates = {name: [each[number] for each in values] for name, values in both.items()}
        ratios = [larger / usual for larger, usual in zip(rates['larger'], rates['usual'], strict=True)]
        medians = ', '.join(f'{name} {statistics.median(each):.0f} images/s' for name, each in rates.items())
        print(f'{what}, {clock}: {medians}; larger / usual {in_turn.spread(ratios)}', flush=True)


def main(_) -> None:
    """Measures in turn and prints."""
    memory.keep_freed_memory()
    with tempfile.TemporaryDirectory() as scratch:
        voc = pathlib.Path(scratch, 'VOC')
        link_images(pathlib.Path(FLAGS.voc_dir).resolve(), FLAGS.split, FLAGS.num_images, voc)
        calls: dict[str, dict[str, Begin]] = {}
        for name, store_size in (('usual', None), ('larger', FLAGS.store_size)):
            batches, num_bytes = write(pathlib.Path(scratch, name), voc, store_size)
            batch = next(iter(batches))
            print(f'{name}: stored {batch["image"].shape[1]} pixels, {num_bytes / 1000:.1f} kB an image', flush=True)
            calls.setdefault(GRAPH, {})[name] = functools.partial(begin_reading, batches)
            for side in (FLAGS.image_size, FLAGS.store_size // 32 * 32):
                calls.setdefault(f'pixels at {side}', {})[name] = make_pixels(batch, side)
        for what, of_names in calls.items():
            measure(what, of_names)


if __name__ == '__main__':
    app.run(main)
