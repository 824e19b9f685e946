"""How much memory a network needs, estimated from its description.

It counts float32 numbers and TensorFlow itself; buffers that are used again are counted once.
Measured on a CPU (peak resident memory): yolov2-tiny on 64 images of 416 pixels 1.7 GB, estimated 2.0.
"""

import dataclasses
import math
from collections.abc import Callable

from yolo import memory
from yolo.memory import Estimate, format_bytes
from yolo.models.spec import Convolution, Network, num_weights, shapes

PROGRAM = int(0.7 * memory.GIB)  # TensorFlow, its libraries and the graph of a network
BATCHES_READY = 4  # of stored images, that the input makes ahead


def weights_bytes(network: Network) -> int:
    """Bytes of a network's weights, float32."""
    return 4 * sum(num_weights(network))


def outputs(network: Network, size: tuple[int, int]) -> tuple[list[int], list[int]]:
    """How many numbers each section gives for an image of `size` = height, width; and the convolutions among them."""
    at_size = dataclasses.replace(network, image_size=size)
    numbers = [math.prod(shape) for shape in shapes(at_size)]
    are_convolutions = [isinstance(section, Convolution) for section in network.sections]
    return numbers, [number for number, is_one in zip(numbers, are_convolutions, strict=True) if is_one]


def forward(network: Network, size: tuple[int, int], batch_size: int) -> Estimate:
    """Memory of a detector at work on batches of images of `size` = height, width, float32.

    At the very least the weights, the images, and the input and the output of one section are there at a time; and
    stored images in some batches that are ready.
    """
    numbers, _ = outputs(network, size)
    image = network.channels * math.prod(size)
    largest = max(before + after for before, after in zip([image, *numbers], numbers, strict=False))
    weights = weights_bytes(network)
    least = weights + 4 * batch_size * max(largest, image)
    likely = PROGRAM + weights + batch_size * (4 * image + int(4 * 1.2 * largest) + BATCHES_READY * image)
    return Estimate(least, likely)


def check_weights(network: Network) -> None:
    """ValueError for a network whose weights alone need more memory than there is."""
    needed, there = weights_bytes(network), memory.host_memory()
    if needed > there:
        raise ValueError(
            f'the network has {needed // 4:,} weights, which need {format_bytes(needed)} of memory; this machine has '
            f'{format_bytes(there)}'
        )


def check_forward(network: Network, sizes: list[tuple[int, int]], batch_size: int) -> None:
    """ValueError, with what would fit, if a detector is likely to need more memory than there is at one of `sizes`.

    Fewer images at once give the same detections, so that nothing is lost where the estimate is too high.
    """
    if batch_size < 1:
        raise ValueError(f'batch_size={batch_size}: must be 1 or more')
    there = memory.host_memory()
    size = max(sizes, key=math.prod)
    needed = forward(network, size, batch_size).likely
    if needed <= there:
        return
    fits = most_that_fit(lambda number: forward(network, size, number), there)
    way_out = f'use --batch_size={fits}' if fits else 'not even a single image would fit'
    raise ValueError(
        f'--batch_size={batch_size}: {batch_size:,} images of {size[1]} x {size[0]} pixels at once need about '
        f'{format_bytes(needed)} of memory, this machine has {format_bytes(there)}; {way_out}'
    )


def most_that_fit(estimate: Callable[[int], Estimate], there: int) -> int:
    """The largest number of images for which `estimate` is likely to need no more memory than there is; 0 for none."""
    fixed = estimate(0).likely
    for_one = estimate(1).likely - fixed
    return max(0, (there - fixed) // for_one)
