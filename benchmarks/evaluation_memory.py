"""Peak memory of eval.py for few images and for many.

  python benchmarks/evaluation_memory.py --voc_dir=VOCdevkit/VOC2007 --split=test --model_dir=runs/voc \\
    --few=2000 --many=20000 --image_size=96

Makes folders of links to the images of the split, converts them, evaluates the model on them, and samples the memory of
the process ten times a second. Prints both peaks, the bytes of the arrays of detections and objects, and how much
the peak grew for each of these bytes and for each image.
"""

import pathlib
import tempfile

from absl import app, flags
from preprocessing_memory import convert, peak_memory

from yolo.evaluation import result

FLAGS = flags.FLAGS
flags.DEFINE_string('model_dir', None, 'Folder of a run of train.py.', required=True)
FLAGS.set_default('many', 20_000)


def evaluate(count: int, scratch: pathlib.Path) -> tuple[int, int, int]:
    """Peak bytes of evaluating `count` images, bytes of the arrays, and number of detections."""
    data, _ = convert(pathlib.Path(FLAGS.voc_dir).resolve(), FLAGS.split, count, scratch)
    report = scratch / f'report{count}'
    peak = peak_memory(
        ['eval.py', f'--data_dir={data}', '--split=all', f'--model_dir={FLAGS.model_dir}', f'--report_dir={report}']
    )
    evaluated = result.read(f'{report}/metrics.json')
    arrays = sum(array.nbytes for items in (evaluated.truth, evaluated.detections) for array in vars(items).values())
    return peak, arrays, len(evaluated.detections.scores)


def main(_) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as scratch:
        counts = FLAGS.few, FLAGS.many
        (few, arrays_few, _), (many, arrays_many, _) = measured = [evaluate(n, pathlib.Path(scratch)) for n in counts]
    for count, (peak, arrays, detections) in zip(counts, measured, strict=True):
        print(f'{count:,} images: {peak / 1e6:.0f} MB; arrays {arrays / 1e6:.1f} MB, {detections:,} detections')
    print(
        f'ratio {many / few:.2f}; {(many - few) / (FLAGS.many - FLAGS.few) / 1e3:.1f} kB an image, '
        f'{(many - few) / (arrays_many - arrays_few):.1f} bytes for each byte of them'
    )


if __name__ == '__main__':
    app.run(main)
