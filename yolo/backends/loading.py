"""Models of every kind behind one interface: the folder of a run, Darknet's files, .keras, and what was exported."""

import dataclasses
import os
import posixpath
from collections.abc import Sequence
from typing import Any

from absl import logging

from yolo import descriptions, storage
from yolo.backends import inside_of_model, onnx_metadata, runtimes
from yolo.backends.model import Model, Size
from yolo.data import labels
from yolo.detection import best_f1, exported, host, options
from yolo.detection import thresholds as usual
from yolo.detection.detector import Backend, Detector
from yolo.detection.exported import Exported
from yolo.geometry.box_convention import choose

SUFFIXES = ONNX, TFLITE, KERAS, CFG = ('.onnx', '.tflite', '.keras', '.cfg')
SAVED_MODEL, RUN = 'a SavedModel', 'the folder of a run'


def load_detector(
    path: str | os.PathLike,
    checkpoint: str = '',
    score_threshold: float | str = usual.PHOTO_SCORE_THRESHOLD,
    iou_threshold: float = usual.IOU_THRESHOLD,
    max_detections: int = usual.PHOTO_MAX_DETECTIONS,
    resize: str | None = None,
    batch_size: int = 8,
    backend: str = '',
    weights: str = '',
    nms_scope: str = options.PER_CLASS,
    class_scores: Sequence[float] | None = None,
    metrics: str = '',
    box_convention: str | None = None,
    nms: str = options.GREEDY,
) -> Detector:
    """The detector of a model: photos in, boxes in their pixels out, whatever computes it.

    path: the folder of a run of train.py or of `yolo convert --model_dir_out`; a SavedModel, .onnx or .tflite of
    `yolo export`; a .keras file; or a Darknet .cfg with its `weights`. backend: one of runtimes.RUNTIMES that takes
    it; 'auto' for the fastest that is installed; '' for TensorFlow, or for exported files onnxruntime and LiteRT.
    checkpoint: of a run: 'best', 'latest', the path of one, or '' for the best if there is one, else the latest;
    score_threshold: lowest score, objectness x class probability; or 'best_f1': for each class that of its best F1, as
    `metrics` has it, by default what eval.py left in the run's folder, or the description of an exported model;
    class_scores: thresholds by class, in its place; iou_threshold: over which a better box, of its class or of all
    (`nms_scope`), suppresses a box; nms: 'greedy', or 'wbf' to average what is suppressed; max_detections: of one
    photo; resize: 'stretch', 'letterbox', or None for the way of the training; batch_size: photos at once;
    box_convention: 'voc', 'darknet' (its boxes are a pixel short), or None for the model's own. Classes without names
    are 'class 0' and so on. ValueError without such a model, a runtime, thresholds of best F1, or boxes to average.
    """
    limits = _limits(score_threshold, class_scores, iou_threshold, max_detections, nms_scope, nms)
    model = load(os.fspath(path), checkpoint, backend, weights, batch_size)
    if score_threshold == best_f1.WORD:
        limits = dataclasses.replace(limits, class_scores=_best_scores(model, os.fspath(path), metrics, limits))
    warn_of_limits(model, limits)
    classes = labels.complete(model.classes, model.num_classes)
    computed_by, how = model.backend_at(model.image_size), resize or model.resize or 'stretch'
    convention = choose(box_convention, model.box_convention, model.convention_doubt, model.path)
    sizes, kind = (model.image_size, how, batch_size), (model.channels, model.grey_range, convention)
    return Detector(computed_by, classes, model.anchors, *sizes, limits, *kind)


def _limits(
    score_threshold: float | str,
    class_scores: Sequence[float] | None,
    iou: float,
    max_detections: int,
    nms_scope: str,
    nms: str,
) -> host.Thresholds:
    """The thresholds that `load_detector` is given, of best F1 those to fill in."""
    by_class = None if class_scores is None else tuple(map(float, class_scores))
    lowest = usual.PHOTO_SCORE_THRESHOLD if isinstance(score_threshold, str) else score_threshold
    if isinstance(score_threshold, str) and (score_threshold != best_f1.WORD or by_class):
        raise ValueError(f'score_threshold={score_threshold!r}: a number or {best_f1.WORD}, which is for all classes')
    return host.Thresholds(lowest, iou, max_detections, nms_scope, by_class, nms)


def _best_scores(model: Model, path: str, metrics: str, limits: host.Thresholds) -> tuple[float, ...]:
    """The thresholds of best F1 of a model, see `load_detector`."""
    if metrics:
        return best_f1.class_thresholds(metrics, model.classes, limits.score, nms=limits.nms)
    if model.inside is None:
        if _kind(path) != RUN:
            raise ValueError(f'{path} has no thresholds of best F1 beside it; {best_f1.ADVICE}')
        of_a_run = posixpath.join(path, best_f1.OF_A_RUN)
        return best_f1.class_thresholds(of_a_run, model.classes, limits.score, model.path, limits.nms)
    if model.inside.class_thresholds is None:
        raise ValueError(
            f'{path} has no thresholds of best F1: evaluate its run with eval.py and export it, or give --metrics=PATH'
        )
    best_f1.warn_of_nms(path, options.GREEDY, limits.nms)  # no others are exported
    return model.inside.class_thresholds


def load(
    path: str,
    checkpoint: str = '',
    backend: str = '',
    weights: str = '',
    batch_size: int = 1,
    strategy: Any = None,
) -> Model:
    """The model of a path; see `load_detector`. batch_size: images at once, for which memory is checked.

    strategy: a tf.distribute strategy, whose devices of this process share every batch where TensorFlow computes a
    trained network; others compute on one device, or as their runtimes do.
    """
    kind = _kind(path)
    if kind in (ONNX, TFLITE, SAVED_MODEL):
        return _load_exported(path, kind, backend)
    if kind == CFG and not weights:
        raise ValueError(f'{path}: a .cfg goes with its .weights; give --weights')
    if kind == CFG and backend == runtimes.OPENCV:  # OpenCV's own reader of such files
        from yolo.backends import opencv_darknet

        return opencv_darknet.load(path, weights)
    from yolo.backends import networks

    return networks.load(path, kind == RUN, checkpoint, backend, weights, batch_size, strategy)


def _kind(path: str) -> str:
    """One of SUFFIXES, SAVED_MODEL or RUN; ValueError if a path is none of them."""
    suffix = posixpath.splitext(path.lower())[1]
    if suffix in SUFFIXES and storage.is_file(path):
        return suffix
    if storage.exists(posixpath.join(path, 'saved_model.pb')):
        return SAVED_MODEL
    if storage.is_folder(path):
        return RUN
    problem = 'not a model' if storage.exists(path) else 'no such file or folder'
    raise ValueError(f'{path}: {problem}; give {RUN}, {SAVED_MODEL}, or a file {", ".join(SUFFIXES)}')


def _load_exported(path: str, kind: str, backend: str) -> Model:
    """An exported model, by one of the runtimes that read it."""
    able = {ONNX: runtimes.READ_ONNX, TFLITE: (runtimes.LITERT,), SAVED_MODEL: (runtimes.TENSORFLOW,)}[kind]
    name = runtimes.choose(backend, able, path)
    data = b'' if kind == SAVED_MODEL else storage.read(path)
    inside = _describe(path, kind, data)
    module = runtimes.module_of('saved_model' if kind == SAVED_MODEL else name)
    try:
        computed_by = module.load(path if kind == SAVED_MODEL else data, inside)
    except ValueError as error:
        raise ValueError(str(error) if path in str(error) else f'{path}: {error}') from error

    def backend_at(size: Size) -> Backend:
        if size != inside.image_size:
            height, width = inside.image_size
            raise ValueError(
                f'{path} takes images of {width} x {height} pixels, not {size[1]} x {size[0]}; export it again with '
                f'--image_size={size[1]}x{size[0]}'
            )
        return computed_by

    return Model(
        backend_at,
        inside.classes,
        len(inside.classes),
        inside.anchors,
        inside.image_size,
        inside.channels,
        inside.resize,
        path,
        inside,
        inside.grey_range,
        inside.box_convention,
    )


def _describe(path: str, kind: str, data: bytes) -> Exported:
    """What an exported model is: from the .json beside it, or from what ONNX files and SavedModels have inside."""
    if kind == ONNX:
        return onnx_metadata.describe(path, data)
    asset = posixpath.join(path, exported.IN_SAVED_MODEL)
    if kind == SAVED_MODEL and storage.exists(asset):
        text = storage.read(asset, descriptions.MOST_BYTES).decode(errors='replace')
        return inside_of_model.describe(path, text, asset)
    return exported.read(path)


def warn_of_limits(model: Model, limits: host.Thresholds) -> None:
    """Warns where the thresholds inside of a model leave out what is asked for.

    ValueError if thresholds are of other classes, or a model that suppresses boxes itself leaves none to average.
    """
    limits.scores(model.num_classes)
    inside = model.inside
    if inside is None or inside.output != exported.DETECTIONS:
        return
    if limits.nms != options.GREEDY:
        raise ValueError(
            f'{model.path} suppresses boxes itself, and none are left to average: nms={limits.nms} is for models that '
            f'give all boxes: export it again with --output=boxes, or take nms={options.GREEDY}'
        )
    asked = min(limits.class_scores or (limits.score,))
    for what, is_narrower, narrow, wide in (
        ('detections with a score under', inside.score_threshold > asked, inside.score_threshold, asked),
        ('boxes with an IoU over', inside.nms_iou < limits.suppression_iou, inside.nms_iou, limits.suppression_iou),
        (
            'detections beyond the number of',
            inside.max_detections < limits.max_detections,
            inside.max_detections,
            limits.max_detections,
        ),
    ):
        if is_narrower:
            logging.warning('%s leaves out %s %g itself: %g has no effect', model.path, what, narrow, wide)
