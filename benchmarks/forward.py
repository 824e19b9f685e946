"""Milliseconds of a forward pass, one image at once, by every runtime that is installed: they take turns.

  python benchmarks/forward.py --models=yolov2,yolov2-tiny --rounds=15

From an image uint8 to the raw output, random weights, 20 classes. Prints the median of each and its ratio to TensorFlow
with batch norm as trained.
"""

import statistics
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import app, flags
from in_turn import seconds

from yolo.backends import networks, runtimes
from yolo.detection import exported
from yolo.export import draft, exporting, tflite
from yolo.models.architectures import build_spec
from yolo.models.build import DarknetModel
from yolo.models.folding import FoldedNetwork, build_folded, fold
from yolo.models.model_folder import ModelInfo

FLAGS = flags.FLAGS
flags.DEFINE_list('models', ['yolov2', 'yolov2-tiny'], 'Networks by name.')
flags.DEFINE_integer('image_size', 416, 'Pixels of a side.', lower_bound=32)
flags.DEFINE_integer('rounds', 15, 'Rounds, in each of which all take one turn.', lower_bound=3)
ANCHORS = [(1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892), (9.47112, 4.84053), (11.2364, 10.0071)]
INFO = ModelInfo((), 'stretch')
TRAINED = 'TensorFlow, as trained'


def in_tensorflow(model: DarknetModel, compiled: bool) -> Callable[[np.ndarray], np.ndarray]:
    """A Keras model as a graph, compiled by XLA or not."""

    @tf.function(jit_compile=compiled)
    def forward(images):
        return model(images, training=False)

    return lambda images: forward(tf.constant(images)).numpy()


def int8(folded: FoldedNetwork, size: tuple[int, int]):
    """The int8 file in LiteRT, calibrated with noise: its speed does not depend on the numbers."""
    about = draft.make(folded, INFO, exported.TFLITE_INT8, draft.Options(exported.RAW, size, 1))
    noise = np.random.default_rng(0).integers(0, 256, (8, *size, 3), dtype=np.uint8)
    data, about = tflite.build(draft.at_size(folded, size), about, exporting.Calibration(noise))
    return runtimes.module_of(runtimes.LITERT).load(data, about)


def measure(name: str) -> None:
    """Prints the table of one network."""
    size = (FLAGS.image_size, FLAGS.image_size)
    model = DarknetModel(build_spec(name, 20, ANCHORS))
    folded = fold(model)
    runners: dict[str, Callable] = {
        TRAINED: in_tensorflow(model, False),
        'TensorFlow, as trained, XLA': in_tensorflow(model, True),
        'TensorFlow, folded': networks.make_backend(folded, INFO, runtimes.TENSORFLOW, size),
        'TensorFlow, folded, XLA': in_tensorflow(build_folded(folded), True),
    }
    for runtime, title in (
        (runtimes.ONNXRUNTIME, 'ONNX in onnxruntime'),
        (runtimes.OPENVINO, 'ONNX in OpenVINO'),
        (runtimes.OPENCV, 'ONNX in OpenCV'),
        (runtimes.LITERT, 'TFLite float32 in LiteRT'),
    ):
        if runtimes.is_installed(runtime):
            runners[title] = networks.make_backend(folded, INFO, runtime, size)
    if runtimes.is_installed(runtimes.LITERT):
        runners['TFLite int8 in LiteRT'] = int8(folded, size)
    image = np.random.default_rng(1).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    turns = {title: (lambda run=run: run(image)) for title, run in runners.items()}
    seconds(turns)  # the first turn makes the graphs
    rounds = [seconds(turns) for _ in range(FLAGS.rounds)]
    medians = {title: 1000 * statistics.median(each[title] for each in rounds) for title in turns}
    print(f'{name}, {size[1]} x {size[0]}, one image')
    for title, milliseconds in medians.items():
        ratio = statistics.median(each[TRAINED] / each[title] for each in rounds)
        print(f'  {title:<28}  {milliseconds:8.1f} ms  {ratio:6.2f} times as fast')


def main(_) -> None:
    """Measures each network."""
    for name in FLAGS.models:
        measure(name)


if __name__ == '__main__':
    app.run(main)
