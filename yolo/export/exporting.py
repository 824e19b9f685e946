"""A trained model -> files of other formats, each with its description; all of them are there whole, or none."""

import contextlib
import dataclasses
import posixpath
import threading
from collections.abc import Iterator, Mapping

from yolo import lock, signals, storage
from yolo.data import labels
from yolo.detection import exported
from yolo.detection.exported import Exported, Source
from yolo.export import draft, extra
from yolo.export.calibration import Calibration
from yolo.export.draft import Options
from yolo.models.folding import FoldedNetwork
from yolo.models.model_folder import ModelInfo

TFLITES = exported.TFLITE, exported.TFLITE_FP16, exported.TFLITE_INT8
# Outputs that are usual: suppression is left to the user where few runtimes have it, sigmoids where they cost accuracy.
USUAL_OUTPUTS = {exported.SAVED_MODEL: exported.DETECTIONS, exported.TFLITE_INT8: exported.RAW}
LABELS, SCRATCH, REPLACED = 'labels.txt', '.partial', '.replaced'


def make_plan(
    kinds: tuple[str, ...], wanted: Options, batch_size: int | None = None, dynamic: bool = False
) -> dict[str, Options]:
    """The options of each format.

    wanted: output '' for what is usual in each; batch_size: images at once, None for 1, or any number in a SavedModel;
    dynamic: any number, where the format can.
    """
    plan = {}
    for kind in kinds:
        any_number = dynamic or (batch_size is None and kind == exported.SAVED_MODEL)
        plan[kind] = dataclasses.replace(
            wanted,
            output=wanted.output or USUAL_OUTPUTS.get(kind, exported.BOXES),
            batch_size=None if any_number else batch_size or 1,
        )
    return plan


def check_plan(plan: Mapping[str, Options], has_calibration: bool) -> None:
    """ValueError, with the way out, for what cannot be exported: before anything is read or written."""
    unknown = [kind for kind in plan if kind not in exported.FORMATS]
    if unknown or not plan:
        given = f'no format {unknown[0]!r}' if unknown else 'no format is given'
        raise ValueError(f'--formats: {given}; there are {", ".join(exported.FORMATS)}')
    for kind in TFLITES:
        if kind in plan and plan[kind].output == exported.DETECTIONS:
            raise ValueError(f'--output=detections: {kind} has no suppression inside; give raw or boxes')
        if kind in plan and plan[kind].batch_size is None:
            raise ValueError(f'--batch_size=dynamic: {kind} takes a fixed number of images; give one')
    if exported.TFLITE_INT8 in plan and not has_calibration:
        raise ValueError(
            f'{exported.TFLITE_INT8} needs images that show the range of its numbers: give --calibration_data, a '
            'folder of records of the data that it was trained on'
        )
    if exported.ONNX in plan:
        extra.check_package('onnx', exported.ONNX)


def export(
    folded: FoldedNetwork,
    info: ModelInfo,
    plan: Mapping[str, Options],
    out_dir: str,
    source: Source | None = None,
    calibration: Calibration | None = None,
) -> list[str]:
    """Writes a network in each format of `plan` with its description, and labels.txt; returns the paths.

    Files of the same names are replaced, others in the folder are left alone. After an error the folder is as it was.
    ValueError for what cannot be exported, OSError if it cannot be written or another command writes there.
    """
    check_plan(plan, calibration is not None)
    with lock.hold(out_dir, 'yolo export', '--out_dir'), _scratch(out_dir) as (scratch, moving):
        for kind, wanted in plan.items():
            about = draft.make(folded, info, kind, wanted, source)
            path = posixpath.join(scratch, about.file)
            about = _write(path, draft.at_size(folded, about.image_size), about, calibration)
            exported.write(path, about)
        storage.write(posixpath.join(scratch, LABELS), labels.to_text(about.classes))
        with moving:
            return _move_all(scratch, out_dir)


def _write(path: str, folded: FoldedNetwork, about: Exported, calibration: Calibration | None) -> Exported:
    """Writes one model; returns its description with its inputs and outputs."""
    if about.format == exported.SAVED_MODEL:
        from yolo.export import saved_model

        return saved_model.write(path, folded, about)
    if about.format in TFLITES:
        from yolo.export import tflite

        data, about = tflite.build(folded, about, calibration)
    else:
        from yolo.export import onnx_file  # of the extra: it needs the package onnx

        data, about = onnx_file.build(folded, about)
    storage.write(path, data)
    return about


@contextlib.contextmanager
def _scratch(out_dir: str) -> Iterator[tuple[str, threading.Lock]]:
    """An empty folder in `out_dir`, which is removed in the end; one that a killed command left is emptied.

    Also a lock: while it is held, a signal that ends this process waits.
    """
    path, moving = posixpath.join(out_dir, SCRATCH), threading.Lock()

    def clean(_: str) -> None:
        with moving:
            _remove(path)

    _remove(path)
    with signals.at_end(clean):
        storage.make_folder(path)
        try:
            yield path, moving
        finally:
            _remove(path)


def _remove(path: str) -> None:
    if storage.is_folder(path):
        storage.remove_folder(path)
    elif storage.exists(path):
        storage.remove(path)


def _move_all(scratch: str, out_dir: str) -> list[str]:
    """Moves all that is in a folder into the one around it, or nothing; returns the paths there, but of descriptions.

    Those of the same names go into the folder meanwhile.
    """
    names, replaced = storage.names(scratch), posixpath.join(scratch, REPLACED)
    storage.make_folder(replaced)
    moves = []
    for name in names:
        target = posixpath.join(out_dir, name)
        if storage.exists(target):
            moves.append((target, posixpath.join(replaced, name)))
        moves.append((posixpath.join(scratch, name), target))
    done: list[tuple[str, str]] = []
    try:
        for move in moves:
            storage.move(*move)
            done.append(move)
    except BaseException:
        for path, target in reversed(done):
            storage.move(target, path)
        raise
    return [posixpath.join(out_dir, name) for name in names if not name.endswith('.json')]
