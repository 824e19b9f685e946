"""The training input graph against nothing but `tf.io.decode_jpeg` of the same records, in turn, in one run.

  python benchmarks/input_graph.py --data_dir=data/voc416 --split=trainval

Both read the same shards; the bare loop parses out the encoded image and decodes it in parallel, and that is all.
Prints images/s of each round and the ratio graph / bare: the median over the rounds, with and without augmentation.
"""

import itertools
import statistics
import time

import tensorflow as tf
from absl import app, flags

from yolo import augment, records
from yolo import input as inputs

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_string('split', 'trainval', 'Split to read.')
flags.DEFINE_integer('batch_size', 16, 'Images a batch.')
flags.DEFINE_integer('num_batches', 100, 'Batches a round.')
flags.DEFINE_integer('rounds', 7, 'Rounds, each measuring all.')


def bare(data_dir: str, split: str) -> tf.data.Dataset:
    """Images decoded one by one in parallel, without order, batch or boxes."""
    paths = records.shard_paths(data_dir, split, records.read_description(data_dir))

    def decode(serialized):
        return tf.io.decode_jpeg(records.parse_image(serialized), 3, dct_method='INTEGER_ACCURATE')

    return tf.data.TFRecordDataset(paths).repeat().map(decode, tf.data.AUTOTUNE, deterministic=False).prefetch(16)


def images_per_second(iterator, count: int, images: int) -> float:
    """Speed of taking `count` elements of `images` images each."""
    start = time.perf_counter()
    for _ in itertools.islice(iterator, count):
        pass
    return count * images / (time.perf_counter() - start)


def main(_) -> None:
    """Measures in turn and prints."""
    args = FLAGS.data_dir, FLAGS.split, FLAGS.batch_size, 0
    images = FLAGS.num_batches * FLAGS.batch_size
    graphs = {'bare decode': (iter(bare(FLAGS.data_dir, FLAGS.split)), images, 1),
              'graph': (iter(inputs.training_batches(*args)), FLAGS.num_batches, FLAGS.batch_size),
              'graph, augmented': (iter(inputs.training_batches(*args, augment.Ranges())), FLAGS.num_batches,
                                   FLAGS.batch_size)}  # fmt: skip
    speeds: dict[str, list[float]] = {name: [] for name in graphs}
    for iterator, count, num_images in graphs.values():
        images_per_second(iterator, count // 4, num_images)  # warm-up, and time for AUTOTUNE
    for number in range(FLAGS.rounds):
        for name, (iterator, count, num_images) in graphs.items():
            speeds[name].append(images_per_second(iterator, count, num_images))
        print(f'round {number}: ' + ', '.join(f'{name} {values[-1]:.0f} images/s' for name, values in speeds.items()))
    for name in ('graph', 'graph, augmented'):
        ratios = [ours / base for ours, base in zip(speeds[name], speeds['bare decode'], strict=True)]
        print(f'{name} / bare decode: median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})')


if __name__ == '__main__':
    app.run(main)
