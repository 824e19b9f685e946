"""The description inside of an exported model, and the one beside it: either will do, both must be of one model."""

import dataclasses

from yolo import storage
from yolo.detection import exported
from yolo.detection.exported import Exported

# What both must agree in; the rest of the one beside may be edited.
FIXED = ('format', 'anchors', 'image_size', 'output', 'batch_size', 'channels')
INSIDE = ('score_threshold', 'nms_iou', 'max_detections', 'nms_scope')  # and these, where they are in the graph


def describe(path: str, text: str | None, place: str) -> Exported:
    """The description of the model of a path: of the .json beside it, else the text that was found inside, at `place`.

    ValueError if there is neither, one is damaged, or they are of different models.
    """
    inside = exported.parse(text, place) if text is not None else None
    if not storage.exists(exported.path_of(path)):
        if inside is None:
            raise ValueError(
                f'{path}: not written by `yolo export`: it has no description inside, and there is no '
                f'{exported.path_of(path)}'
            )
        return inside
    beside = exported.read(path)
    if inside is not None:
        _check_same(path, inside, beside)
    return beside


def _check_same(path: str, inside: Exported, beside: Exported) -> None:
    """ValueError if the description beside a model is that of another one."""
    names = FIXED + (INSIDE if inside.output == exported.DETECTIONS else ())
    a, b = dataclasses.asdict(inside), dataclasses.asdict(beside)
    different = [name for name in names if a[name] != b[name]]
    if len(inside.classes) != len(beside.classes):
        different.append('the number of classes')
    if different:
        raise ValueError(
            f'{exported.path_of(path)} describes another model than {path} (they differ in {", ".join(different)}); '
            'copy both of one export'
        )
