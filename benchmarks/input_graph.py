"""The training input graph against nothing but `tf.io.decode_jpeg` of the same records, in turn, in one run.

  python benchmarks/input_graph.py --data_dir=data/voc416 --split=trainval

Both read the same shards; the bare loop parses out the encoded image and decodes it in parallel, and that is all.
Prints images/s of each round and the ratio graph / bare: the median over the rounds, without augmentation, with it,
with it and mosaics, and with what the training step does to the pixels (on the accelerator, if there is one).
"""

import time

import in_turn
import tensorflow as tf
from absl import app, flags

from yolo.data import augment, parsing, pipeline, records

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
        return tf.io.decode_jpeg(parsing.parse_image(serialized), 3, dct_method='INTEGER_ACCURATE')

    return tf.data.TFRecordDataset(paths).repeat().map(decode, tf.data.AUTOTUNE, deterministic=False).prefetch(16)


@tf.function(jit_compile=True)
def pixels(batch: dict[str, tf.Tensor]) -> tf.Tensor:
    """The step's part of augmentation, for images of the records' size."""
    return pipeline.augment_images(batch, tuple(batch['image'].shape[1:3]))


def images_per_second(dataset: tf.data.Dataset, count: int, images: int) -> float:
    """Speed of going through `count` elements of `images` images each, without Python; begun anew, so that nothing is
    made while another one is measured."""
    start = time.perf_counter()
    dataset.take(count).reduce(tf.constant(0), lambda total, _: total + 1).numpy()
    return count * images / (time.perf_counter() - start)


def main(_) -> None:
    """Measures in turn and prints."""
    args = FLAGS.data_dir, FLAGS.split, FLAGS.batch_size, 0
    datasets = {
        'bare decode': (bare(FLAGS.data_dir, FLAGS.split), FLAGS.num_batches * FLAGS.batch_size, 1),
        'graph': (pipeline.training_batches(*args), FLAGS.num_batches, FLAGS.batch_size),
        'graph, augmented': (pipeline.training_batches(*args, augment.Ranges()), FLAGS.num_batches, FLAGS.batch_size),
        'graph, all mosaics': (
            pipeline.training_batches(*args, augment.Ranges(mosaic=1.0)),
            FLAGS.num_batches,
            FLAGS.batch_size,
        ),
        'graph, augmented, and pixels': (
            pipeline.training_batches(*args, augment.Ranges()).map(pixels, tf.data.AUTOTUNE),
            FLAGS.num_batches,
            FLAGS.batch_size,
        ),
    }
    speeds: dict[str, list[float]] = {name: [] for name in datasets}
    for dataset, count, num_images in datasets.values():
        images_per_second(dataset, count // 4, num_images)  # warm-up
    for number in range(FLAGS.rounds):
        for name, (dataset, count, num_images) in datasets.items():
            speeds[name].append(images_per_second(dataset, count, num_images))
        print(f'round {number}: ' + ', '.join(f'{name} {values[-1]:.0f} images/s' for name, values in speeds.items()))
    for name in list(datasets)[1:]:
        ratios = [ours / base for ours, base in zip(speeds[name], speeds['bare decode'], strict=True)]
        print(f'{name} / bare decode: {in_turn.spread(ratios)}')


if __name__ == '__main__':
    app.run(main)
