"""What a machine can do at once: the refusal of more workers than fit into its memory."""

from yolo import memory
from yolo.memory import format_bytes

WORKER = 30 << 20  # bytes that a worker has for itself before its first image, at the very least


def check_workers(number: int, image_size: tuple[int, int], channels: int) -> None:
    """ValueError, with what would fit, if workers need more memory than there is at the very least.

    image_size, channels: of the stored images, height and width in pixels; a worker has one of them, and its encoded
    copy.
    """
    height, width = image_size
    each, there = WORKER + 2 * channels * height * width, memory.host_memory()
    if number * each > there:
        raise ValueError(
            f'--workers={number}: these processes need at least {format_bytes(number * each)} of memory for images of '
            f'{width} x {height} pixels, this machine has {format_bytes(there)}; use --workers={max(1, there // each)}'
        )
