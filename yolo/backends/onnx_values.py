"""What the runtimes of ONNX files have in common: the input they take, and what their outputs become."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from yolo.detection import exported
from yolo.detection.exported import Exported

OUTPUTS = {
    exported.RAW: ('grid',),
    exported.BOXES: ('boxes', 'scores'),
    exported.DETECTIONS: ('boxes', 'scores', 'classes', 'images'),
}
MOST_CHARACTERS = 300  # of what a runtime says, which may name its own source files at length
Compute = Callable[[np.ndarray], Mapping[str, np.ndarray]]  # image (B, C, H, W) float32 -> outputs by their names


def to_planes(images: np.ndarray) -> np.ndarray:
    """Images (B, H, W, C) uint8 as an ONNX file takes them: (B, C, H, W) float32 0..1.

    Channel by channel, since that is the fastest way: a third of the time of cv2.dnn.blobFromImages.
    """
    batch, height, width, channels = images.shape
    planes = np.empty((batch, channels, height, width), np.float32)
    for image, target in zip(images, planes, strict=True):
        for channel, plane in zip(cv2.split(image), target, strict=True):
            np.divide(channel, np.float32(255), out=plane)
    return planes


def make_run(compute: Compute, about: Exported) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The run of a backend: images (B, H, W, C) uint8 -> what `host.detect` takes.

    It is tried on a black image first: ValueError if the file is not what its description says.
    """

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return _convert(compute(to_planes(images)), len(images), about)

    check(compute(np.zeros((about.batch_size or 1, about.channels, *about.image_size), np.float32)), about)
    return run


def output_names(about: Exported) -> list[str]:
    """The names of a file's outputs; ValueError if its description has other ones."""
    names = [output.name for output in about.outputs]
    if names != list(OUTPUTS[about.output]):
        raise ValueError(f'its description says output {about.output} and names {names}; export it again')
    return names


def one_line(runtime: str, error: Exception) -> str:
    """What is wrong with a file that a runtime does not read."""
    reason = ' '.join(str(error).split())
    return f'damaged, or not what its description says: {runtime} does not read it ({reason[:MOST_CHARACTERS]})'


def check(outputs: Mapping[str, np.ndarray], about: Exported) -> None:
    """ValueError if outputs have not the names and shapes that a description says."""
    for expected in about.outputs:
        shape = outputs[expected.name].shape if expected.name in outputs else None
        fits = shape is not None and len(shape) == len(expected.shape)
        if not fits or any(b not in (a, None) for a, b in zip(shape or (), expected.shape, strict=True)):
            given = 'is not there' if shape is None else f'has the shape {tuple(shape)}'
            raise ValueError(
                f'its output {expected.name!r} {given}, not {expected.shape} as its description says: they belong to '
                'different models; export it again'
            )


def _convert(outputs: Mapping[str, np.ndarray], batch_size: int, about: Exported) -> dict[str, np.ndarray]:
    """The outputs of a file as `host.detect` takes them."""
    if about.output == exported.RAW:
        return {'raw': split_anchors(outputs['grid'], len(about.anchors))}
    if about.output == exported.BOXES:
        return {name: outputs[name] for name in ('boxes', 'scores')}
    return by_image(outputs, batch_size, about.max_detections)


def split_anchors(grid: np.ndarray, num_anchors: int) -> np.ndarray:
    """The last convolution's output (B, A (5 + C), GH, GW) as raw (B, GH, GW, A, 5 + C)."""
    batch, _, rows, columns = grid.shape
    return grid.reshape(batch, num_anchors, -1, rows, columns).transpose(0, 3, 4, 1, 2)


def by_image(outputs: Mapping[str, np.ndarray], batch_size: int, most: int) -> dict[str, np.ndarray]:
    """Detections (K, ...) of a whole batch, sorted by image, as arrays (B, most, ...) with the count (B,) of each."""
    images = outputs['images']
    count = np.bincount(images, minlength=batch_size)
    position = np.arange(len(images)) - (np.cumsum(count) - count)[images]
    padded = {'count': count.astype(np.int32)}
    for name, dtype in (('boxes', np.float32), ('scores', np.float32), ('classes', np.int32)):
        values = outputs[name]
        padded[name] = np.zeros((batch_size, most, *values.shape[1:]), dtype)
        padded[name][images, position] = values
    return padded
