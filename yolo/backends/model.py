"""A model of any kind, ready to run."""

import dataclasses
from collections.abc import Callable

from yolo.detection.detector import Backend
from yolo.detection.exported import Exported
from yolo.geometry.box_convention import VOC

Size = tuple[int, int]  # height, width


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that can be run.

    backend_at: the backend for images of a height and width; ValueError for one that the model does not take.
    classes: names, empty if unknown; num_classes; anchors ((w, h), ...) in grid cells; image_size: height, width that
    it was made for; channels: of the images; resize: how images come to it, '' if unknown; path: of the file or the
    checkpoint; inside: the description of an exported model; grey_range: as in images.read; box_convention: where its
    boxes end, one of BOX_CONVENTIONS; convention_doubt: as of a Network.
    """

    backend_at: Callable[[Size], Backend]
    classes: tuple[str, ...]
    num_classes: int
    anchors: tuple[tuple[float, float], ...]
    image_size: Size
    channels: int
    resize: str
    path: str
    inside: Exported | None = None
    grey_range: tuple[int, ...] = ()
    box_convention: str = VOC
    convention_doubt: str = ''
