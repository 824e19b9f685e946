"""`--image_format=jpeg|png|raw`: bytes an image, and images/s read through the input graph, in one run.

python benchmarks/storage_formats.py --voc_dir=VOCdevkit/VOC2012 --split=trainval
"""

import os
import pathlib
import statistics
import tempfile
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

from absl import app, flags
from preprocessing import link_images

from preprocess import convert
from preprocess.settings import Settings
from yolo.data import images, pipeline, records, voc_folder

FLAGS = flags.FLAGS


def read_speed(data_dir: str, num_images: int) -> float:
    """Images/s of one pass over all records, from opening the files on."""
    start = time.perf_counter()
    batches = pipeline.evaluation_batches(data_dir, 'all', 16)
    batches.reduce(0, lambda count, batch: count + 1)
    return num_images / (time.perf_counter() - start)


def main(_) -> None:
    """Writes all three, reads them in turn, prints a line each."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch, 'VOC')
        link_images(pathlib.Path(FLAGS.voc_dir).resolve(), FLAGS.split, FLAGS.num_images, folder)
        source = voc_folder.Source(f'{folder}/Annotations', f'{folder}/JPEGImages')
        size = FLAGS.image_size, FLAGS.image_size
        for how in images.FORMATS:
            lists: dict[str, str | tuple[str, ...]] = {'all': f'{folder}/ImageSets/Main/all.txt'}
            convert.convert(
                Settings(
                    source,
                    lists,
                    f'{scratch}/{how}',
                    None,
                    size,
                    'stretch',
                    'voc',
                    how,
                    95,
                    False,
                    0,
                    os.cpu_count() or 1,
                )
            )
        speeds: dict[str, list[float]] = {how: [] for how in images.FORMATS}
        for _ in range(FLAGS.rounds):
            for how in images.FORMATS:
                speeds[how].append(read_speed(f'{scratch}/{how}', FLAGS.num_images))
        for how in images.FORMATS:
            manifest = records.read_manifest(f'{scratch}/{how}')
            assert manifest is not None
            size_mean = sum(shard.num_bytes for shard in manifest.shards.values()) / FLAGS.num_images
            speed = statistics.median(speeds[how])
            print(
                f'{how}: {size_mean / 1000:.0f} kB an image, {speed:.0f} images/s, '
                f'{speed / statistics.median(speeds["jpeg"]):.2f} x jpeg'
            )


if __name__ == '__main__':
    app.run(main)
