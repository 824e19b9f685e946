"""A trained detector behind one interface, whatever computes it: photos in, boxes in their pixels out.

This file loads no TensorFlow, so that an exported model needs none.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

import numpy as np

from yolo import storage
from yolo.data import grey, images
from yolo.detection import host, thresholds
from yolo.geometry.box_convention import VOC, to_photo
from yolo.geometry.letterbox import COLOUR, GREY

# Images (B, H, W, C) uint8, RGB or grey, of the network's size -> raw, boxes, or detections: see `host.detect`.
Run = Callable[[np.ndarray], Mapping[str, Any]]
FOR_PHOTOS = host.Thresholds(thresholds.PHOTO_SCORE_THRESHOLD, max_detections=thresholds.PHOTO_MAX_DETECTIONS)
Photo = np.ndarray | str | os.PathLike  # (H, W, 3) uint8 RGB of any size (for a grey network also (H, W)), or a path


@dataclasses.dataclass(frozen=True)
class Backend:
    """What computes a network: run takes images (B, H, W, C) uint8 of its size and gives what `host.detect` takes.

    name: of the runtime; batch_size: the number of images that it takes, None for any.
    """

    run: Run
    name: str
    batch_size: int | None = None

    def __call__(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs for any number of images, computed in batches of the size that the network takes."""
        size = self.batch_size or len(batch)
        parts = []
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            outputs = self.run(np.pad(part, [(0, size - len(part))] + [(0, 0)] * 3) if len(part) < size else part)
            parts.append({name: np.asarray(value)[: len(part)] for name, value in outputs.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@dataclasses.dataclass(frozen=True)
class PhotoDetections:
    """The N objects that were detected in one photo, best score first.

    boxes (N, 4) float64 xmin, ymin, xmax, ymax in pixels of the photo, whose top left corner is 0, 0; relative_boxes
    (N, 4) float32 the same relative 0..1; scores (N,) float32 objectness x class probability; classes (N,) int32 index
    into the detector's classes; labels: their names.
    """

    boxes: np.ndarray
    relative_boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.boxes)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A photo as a network takes it: inputs (T, H, W, C) uint8 of its size, one but for a photo in tiles.

    size: height, width of the photo in pixels.
    """

    inputs: np.ndarray
    size: tuple[int, int]


class Detector:
    """Detects objects in photos with the network that a backend computes; what follows is the same for all of them.

    classes: names in the order of the network; anchors (A, 2) float32 w, h in grid cells; image_size: height, width in
    pixels that photos are resized to; resize: how, one of letterbox.RESIZES; batch_size: photos at once; channels: of
    the network's images, 3, or 1: then photos become grey; grey_range: as in `images.read`, for files of 16 bits;
    box_convention: where the network's boxes end, one of BOX_CONVENTIONS.
    """

    def __init__(
        self,
        backend: Backend,
        classes: Sequence[str],
        anchors,
        image_size: tuple[int, int],
        resize: str = 'stretch',
        batch_size: int = 8,
        limits: host.Thresholds = FOR_PHOTOS,
        channels: int = COLOUR,
        grey_range: tuple[int, ...] = (),
        box_convention: str = VOC,
    ):
        self.classes = tuple(classes)
        self.anchors = np.asarray(anchors, np.float32)
        self.image_size, self.resize, self.batch_size = image_size, resize, batch_size
        self.backend, self.limits = backend, limits
        self.channels, self.grey_range, self.box_convention = channels, grey_range, box_convention

    @overload
    def __call__(self, photos: Photo) -> PhotoDetections: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, photos: Sequence[Photo]) -> list[PhotoDetections]: ...
    def __call__(self, photos):
        """The objects in one photo, or a list of them for a list of photos.

        A photo is an array (H, W, 3) uint8 RGB of any size, which is taken as it is, or the path of an image file,
        which is turned as its EXIF orientation says: boxes are in pixels of the upright photo. A grey network also
        takes arrays (H, W) and (H, W, 1). ValueError, with the number or the path, for anything else.
        """
        if isinstance(photos, (str, os.PathLike)) or getattr(photos, 'ndim', 0) in (2, 3):
            return self._detect([self.prepare(self._read(photos, 'the photo'))], 1)[0]
        results: list[PhotoDetections] = []
        for start in range(0, len(photos), self.batch_size):
            numbered = enumerate(photos[start : start + self.batch_size], start)
            results += self.detect_batch([self._read(photo, f'photos[{i}]') for i, photo in numbered])
        return results

    def detect_batch(self, photos: Sequence[np.ndarray]) -> list[PhotoDetections]:
        """The objects in each of at most `batch_size` photos (H, W, 3) uint8 RGB, computed as one full batch."""
        return self.detect_prepared([self.prepare(photo) for photo in photos])

    def prepare(self, photo: np.ndarray) -> Prepared:
        """A photo (H, W, 3) uint8 RGB, or (H, W, 1) for a grey network, as the network takes it.

        Any thread may do this, while the network computes.
        """
        pixels = grey.to_channels(photo, self.channels)
        return Prepared(images.resize(pixels, self.image_size, self.resize)[None], (photo.shape[0], photo.shape[1]))

    def detect_prepared(self, photos: Sequence[Prepared]) -> list[PhotoDetections]:
        """The same as `detect_batch`, of photos that were prepared."""
        return self._detect(photos, self.batch_size)

    def _detect(self, photos: Sequence[Prepared], batch_size: int) -> list[PhotoDetections]:
        shape = batch_size, *self.image_size, self.channels
        inputs = np.zeros(shape, np.uint8)  # always full, so that the graph is traced once
        for i, photo in enumerate(photos):
            inputs[i] = photo.inputs[0]
        batch = host.detect(self.backend(inputs), self.anchors, self.limits)
        return [self._result(batch, i, photo.size) for i, photo in enumerate(photos)]

    def _result(self, batch: Mapping[str, np.ndarray], i: int, size: tuple[int, ...]) -> PhotoDetections:
        """The detections in image i of a batch, in pixels of its photo of `size` = height, width."""
        boxes, scores, classes = (batch[name][i, : batch['count'][i]] for name in ('boxes', 'scores', 'classes'))
        relative = to_photo(boxes, size, self.image_size, self.resize, self.box_convention)
        height, width = size
        labels = tuple(self.classes[k] for k in classes)
        return PhotoDetections(relative * [width, height, width, height], relative, scores, classes, labels)

    def _read(self, photo: Photo, name: str) -> np.ndarray:
        """The pixels (H, W, 3) uint8 RGB of a photo, or (H, W, 1) of one that is grey already."""
        if isinstance(photo, (str, os.PathLike)):
            path = os.fspath(photo)
            try:
                return images.decode_upright(storage.read(path), self.grey_range)
            except ValueError as error:
                raise ValueError(f'{path}: {error}') from error
        if self.channels == GREY and getattr(photo, 'ndim', 0) == 2:
            photo = photo[..., None]
        shape: tuple[int, ...] = getattr(photo, 'shape', ())
        has_shape = len(shape) == 3 and shape[2] in (COLOUR, self.channels) and 0 not in shape
        if getattr(photo, 'dtype', None) != np.uint8 or not has_shape:
            kind = f'{photo.dtype} of shape {photo.shape}' if isinstance(photo, np.ndarray) else type(photo).__name__
            also = ', or (H, W) of a grey one' if self.channels == GREY else ''
            raise ValueError(f'{name} is {kind}: give an array (H, W, 3) uint8 RGB{also}, or the path of an image file')
        return photo
