"""The mAP of a trained run in every format, by the evaluation of eval.py, beside the checkpoint's; sizes and times.

  python benchmarks/exported_map.py --model_dir=runs/bccd --data_dir=data/bccd256 --out_dir=exported

Prints a row for each file and runtime: mAP over 11 points and as area, their differences from the checkpoint's, the
size of the file in megabytes and the seconds of the export.
"""

import dataclasses
import os
import time

from absl import app, flags

from yolo.backends import loading, runtimes
from yolo.detection import exported, graph
from yolo.evaluation import inference, summary
from yolo.export import calibration, draft, exporting, sources
from yolo.models import folding

FLAGS = flags.FLAGS
flags.DEFINE_string('model_dir', None, 'Folder of a run.', required=True)
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_string('out_dir', None, 'Folder for the files.', required=True)
flags.DEFINE_string('split', 'test', 'Split to evaluate on.')
flags.DEFINE_string('calibration_split', 'trainval', 'Split whose images calibrate int8.')
flags.DEFINE_integer('calibration_images', 200, 'How many of them.', lower_bound=1)
# Format, output, runtimes.
FILES = (
    (exported.SAVED_MODEL, exported.DETECTIONS, (runtimes.TENSORFLOW,)),
    (exported.ONNX, exported.RAW, runtimes.READ_ONNX),
    (exported.ONNX, exported.BOXES, runtimes.READ_ONNX),
    (exported.ONNX, exported.DETECTIONS, (runtimes.ONNXRUNTIME, runtimes.OPENVINO)),
    (exported.TFLITE, exported.RAW, (runtimes.LITERT,)),
    (exported.TFLITE, exported.BOXES, (runtimes.LITERT,)),
    (exported.TFLITE_FP16, exported.BOXES, (runtimes.LITERT,)),
    (exported.TFLITE_INT8, exported.RAW, (runtimes.LITERT,)),
    (exported.TFLITE_INT8, exported.BOXES, (runtimes.LITERT,)),
)


def size_of(path: str) -> float:
    """Megabytes of a file, or of all files in a folder."""
    files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names] or [path]
    return sum(map(os.path.getsize, files)) / 1e6


def measure(predict, thresholds, size: tuple[int, int]) -> tuple[float, float]:
    """mAP over 11 points and as area; size: height, width of the images."""
    result, _, _ = inference.run_inference(predict, FLAGS.data_dir, FLAGS.split, 8, thresholds, size=size)
    means = summary.mean_ap(result, thresholds.match_iou)
    return means['map_11pt'] or 0.0, means['map_area'] or 0.0


def main(_) -> None:
    """Exports and evaluates every format."""
    thresholds = inference.Thresholds()
    model, info, source = sources.read(model_dir=FLAGS.model_dir)
    size, anchors = model.network.image_size, model.network.region.anchors
    whole = measure(graph.make_predict(model, anchors, thresholds), thresholds, size)
    print(f'checkpoint: {whole[0]:.4f} by 11 points, {whole[1]:.4f} by area; {FLAGS.split} of {FLAGS.data_dir}')
    fitting = model.network.input_shape, info.resize, len(info.classes)
    pictures = calibration.read_images(FLAGS.data_dir, FLAGS.calibration_split, FLAGS.calibration_images, *fitting)
    columns = ('11 points', 'difference', 'area', 'difference', 'MB', 's')
    print(f'{"format":<12} {"output":<11} {"runtime":<12}', *(f'{name:>10}' for name in columns))
    for kind, output, names in FILES:
        folder = os.path.join(FLAGS.out_dir, f'{kind}-{output}')
        wanted = draft.Options(output, None, 1, thresholds.score, thresholds.suppression_iou, thresholds.max_detections)
        plan = {kind: dataclasses.replace(wanted, batch_size=None if kind == exported.SAVED_MODEL else 1)}
        start = time.perf_counter()
        exporting.export(folding.fold(model), info, plan, folder, source, exporting.Calibration(pictures))
        took, path = time.perf_counter() - start, os.path.join(folder, exported.FILES[kind])
        for runtime in names:
            if not runtimes.is_installed(runtime):
                print(f'{kind:<12} {output:<11} {runtime:<12} not installed')
                continue
            backend = loading.load(path, backend=runtime).backend_at(size)
            points, area = measure(inference.make_predict(backend, anchors, thresholds), thresholds, size)
            print(
                f'{kind:<12} {output:<11} {runtime:<12} {points:10.4f} {points - whole[0]:+10.4f} {area:10.4f} '
                f'{area - whole[1]:+10.4f} {size_of(path):10.1f} {took:10.1f}',
                flush=True,
            )


if __name__ == '__main__':
    app.run(main)
