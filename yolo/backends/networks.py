"""Trained networks - of a run, a .keras file, Darknet's files - by any of the runtimes."""

import importlib.util

import tensorflow as tf

from yolo.backends import runtimes, tensorflow_backend
from yolo.backends.model import Model, Size
from yolo.detection import exported
from yolo.detection.detector import Backend
from yolo.export import draft, extra
from yolo.models import conversion, model_folder
from yolo.models.build import DarknetModel
from yolo.models.folding import FoldedNetwork, fold
from yolo.models.memory import check_forward
from yolo.models.model_folder import ModelInfo


def load(
    path: str,
    is_run: bool,
    checkpoint: str,
    backend: str,
    weights: str,
    batch_size: int,
    strategy: tf.distribute.Strategy | None = None,
) -> Model:
    """The model of a run's folder, or of a .keras file or a .cfg with `weights`.

    backend: see `runtimes.choose`; batch_size: images at once, for which memory is checked; strategy: see
    `loading.load`. ValueError for a network that is no detector.
    """
    able = [name for name in runtimes.RUNTIMES if backend != runtimes.AUTO or _has_exporter(name)]
    name = runtimes.choose(backend, able, 'a trained network', bool(tf.config.list_physical_devices('GPU')))
    trained, info, source = _read(path, is_run, checkpoint, weights)
    network = trained.network
    region = network.region
    folded = fold(trained)

    def backend_at(size: Size) -> Backend:
        check_forward(network, [size], batch_size)
        return make_backend(folded, info, name, size, strategy)

    resize = info.resize if is_run else ''
    sizes = network.image_size, network.channels
    about = info.classes, region.classes, region.anchors
    ends = network.box_convention, network.convention_doubt
    return Model(backend_at, *about, *sizes, resize, source, None, info.grey_range, *ends)


def _has_exporter(runtime: str) -> bool:
    """Whether a network can be written in the format that a runtime reads."""
    return runtime not in runtimes.READ_ONNX or importlib.util.find_spec('onnx') is not None


def _read(path: str, is_run: bool, checkpoint: str, weights: str) -> tuple[DarknetModel, ModelInfo, str]:
    if is_run:
        return model_folder.load_trained(path, checkpoint)
    is_keras = path.lower().endswith('.keras')
    model, info = conversion.read_model(keras=path) if is_keras else conversion.read_model(path, weights)
    return model, info, weights or path


def make_backend(
    folded: FoldedNetwork,
    info: ModelInfo,
    runtime: str,
    size: Size,
    strategy: tf.distribute.Strategy | None = None,
) -> Backend:
    """The backend of a folded network for images of `size` = height, width, by a runtime that is installed.

    Others than TensorFlow read the network as it would be exported for them, which stays in memory. strategy: see
    `loading.load`.
    """
    if runtime == runtimes.TENSORFLOW:
        return tensorflow_backend.load(folded, strategy=strategy)
    if runtime == runtimes.LITERT:
        from yolo.export import tflite

        about = draft.make(folded, info, exported.TFLITE, draft.Options(exported.RAW, size, 1))
        return runtimes.module_of(runtime).load(*tflite.build(draft.at_size(folded, size), about))
    extra.check_package('onnx', f'backend {runtime} of a trained network')
    from yolo.export import onnx_file

    about = draft.make(folded, info, exported.ONNX, draft.Options(exported.RAW, size))
    return runtimes.module_of(runtime).load(*onnx_file.build(draft.at_size(folded, size), about))
