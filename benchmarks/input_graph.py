"""The training input graph against nothing but `tf.io.decode_jpeg` of the same records, in turn, in one run.

  python benchmarks/input_graph.py --data_dir=data/voc416 --split=trainval

Both read the same shards; the bare loop parses out the encoded image and decodes it in parallel, and that is all: of
an image it keeps one number. The step that takes the batches does nothing else. Speeds are by the clock, and by the
time of the processor, which other programs on the machine disturb less. Prints images/s of each round and the ratios
graph / bare: the medians over the rounds, without augmentation, with it, with it and mosaics, and with what the
training step does to the pixels (on the accelerator, if there is one).
"""

import time

import in_turn
import tensorflow as tf
from absl import app, flags

from yolo import memory
from yolo.data import augment, parsing, pipeline, records

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_string('split', 'trainval', 'Split to read.')
flags.DEFINE_integer('batch_size', 16, 'Images a batch.')
flags.DEFINE_integer('num_batches', 100, 'Batches a round.')
flags.DEFINE_integer('rounds', 7, 'Rounds, each measuring all.')


def bare(data_dir: str, split: str, batch_size: int) -> tf.data.Dataset:
    """Images decoded one by one in parallel, without order or boxes; of each one number is kept."""
    description = records.read_description(data_dir)
    paths, stored = records.shard_paths(data_dir, split, description), description.stored_size(split)

    def decode(serialized):
        return parsing.decode_image(parsing.parse_image(serialized), description, stored)[0, 0, 0]

    images = tf.data.TFRecordDataset(paths).repeat().map(decode, tf.data.AUTOTUNE, deterministic=False)
    return images.batch(batch_size).prefetch(tf.data.AUTOTUNE)


@tf.function(jit_compile=True)
def pixels(batch: dict[str, tf.Tensor]) -> tf.Tensor:
    """The step's part of augmentation, for images of the network's size."""
    return pipeline.augment_images(batch, records.read_description(FLAGS.data_dir).image_size)


@tf.function
def take(iterator: tf.data.Iterator, count: tf.Tensor) -> None:
    """A step that only takes the batch, `count` times."""
    for _ in tf.range(count):
        next(iterator)


def speeds(dataset: tf.data.Dataset) -> tuple[float, float]:
    """Images/s by the clock and by the time of the processor, once it runs.

    It is begun anew, so that nothing is made while another one is measured.
    """
    iterator = iter(dataset)
    take(iterator, tf.constant(FLAGS.num_batches // 4))
    start, start_cpu = time.perf_counter(), time.process_time()
    take(iterator, tf.constant(FLAGS.num_batches))
    images = FLAGS.num_batches * FLAGS.batch_size
    return images / (time.perf_counter() - start), images / (time.process_time() - start_cpu)


def main(_) -> None:
    """Measures in turn and prints."""
    memory.keep_freed_memory()  # as train.py does; it serves the bare loop too
    args = FLAGS.data_dir, FLAGS.split, FLAGS.batch_size, 0
    augmented = pipeline.training_batches(*args, augment.Ranges())
    datasets = {
        'bare decode': bare(*args[:3]),
        'graph': pipeline.training_batches(*args),
        'graph, augmented': augmented,
        'graph, all mosaics': pipeline.training_batches(*args, augment.Ranges(mosaic=1.0)),
        'graph, augmented, and pixels': augmented.map(pixels, tf.data.AUTOTUNE),
    }
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in datasets}
    for number in range(FLAGS.rounds):
        for name, dataset in datasets.items():
            measured[name].append(speeds(dataset))
        print(f'round {number}: ' + ', '.join(f'{name} {each[-1][0]:.0f} images/s' for name, each in measured.items()))
    for name in list(datasets)[1:]:
        pairs = list(zip(measured[name], measured['bare decode'], strict=True))
        for number, clock in enumerate(('', ', by processor time')):
            ratios = [ours[number] / base[number] for ours, base in pairs]
            print(f'{name} / bare decode{clock}: {in_turn.spread(ratios)}')


if __name__ == '__main__':
    app.run(main)
