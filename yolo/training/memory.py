"""How much memory a training step needs, estimated from the settings of a run.

What counts: weights, gradients, the optimizer's averages, averaged weights; for every image what the backward pass
needs of the forward pass, at the largest size, and its pixels in some batches that are ready; and the program itself.

Peak resident memory of processes that took two steps on a CPU, in GB, beside what `estimate` says is likely
(`benchmarks/step_memory.py`; those that are not compiled do not keep freed memory as `train.py` does):

| network | batch, pixels | compiled | measured | likely |
| --- | --- | --- | --- | --- |
| yolov2-tiny | 8, 416 | yes | 2.35 | 2.41 |
| yolov2-tiny | 16, 416 | yes | 2.87 | 2.87 |
| yolov2 | 4, 416 | yes | 3.66 | 3.51 |
| yolov2 | 8, 416 | yes | 4.15 | 4.11 |
| yolov2 | 64 in 8 parts, 608 | yes | 6.98 | 5.91 |
| yolov2-tiny | 8, 416 | no | 1.71 | 1.70 |
| yolov2-tiny | 16, 416 | no | 2.33 | 2.45 |
"""

import dataclasses
import math

import tensorflow as tf

from yolo import memory
from yolo.memory import Estimate, format_bytes
from yolo.models import fast_convolutions
from yolo.models import memory as network_memory
from yolo.training import network
from yolo.training.config import TrainConfig

SLOTS = {'sgd': 1, 'adam': 2}  # numbers that an optimizer holds for each weight
COMPILER = int(0.4 * memory.GIB)  # of XLA for a step
# On CPUs, where more is compiled: and, at most, the kernels of all convolutions in Winograd's form, 36 numbers for 9.
COMPILER_WINOGRAD, WINOGRAD_KERNELS = int(0.7 * memory.GIB), 4
# Numbers that are there at the busiest moment for each that a convolution gives: compiled and not.
KEPT_COMPILED, KEPT = 2.2, 3.8


def estimate(config: TrainConfig, batch_size: int, on_cpu: bool | None = None) -> Estimate:
    """Memory of a step of a resolved run on one device with its share of `batch_size` images.

    At the very least: what each weight has, and the output of every convolution, which its batch norm's or its own
    gradient needs, for the images of one subdivision. on_cpu: whether a compiled step is for CPUs, by default those of
    this process.
    """
    built, size = network.make_network(config), largest_size(config)
    _, kept = network_memory.outputs(built, size)
    slots = SLOTS[config.optimizer] if config.momentum or config.optimizer == 'adam' else 0
    of_each_weight = 2 + slots + (config.ema > 0) + (config.subdivisions > 1)  # the gradients are added up
    weights = network_memory.weights_bytes(built)
    at_once = math.ceil(batch_size / config.subdivisions)
    item = 4 if config.precision == 'float32' else 2
    image, stored = (built.channels * math.prod(each) for each in (size, config.stored_size or config.image_size))
    least = weights * of_each_weight + at_once * (item * sum(kept) + 4 * image)
    factor = KEPT_COMPILED if config.jit_compile else KEPT
    likely = weights * of_each_weight + batch_size * network_memory.BATCHES_READY * stored
    likely += at_once * int(item * factor * sum(kept) + 2 * 4 * max(image, stored))  # recoloured before it is scaled
    return Estimate(least, network_memory.PROGRAM + _compiled(config, weights, on_cpu) + likely)


def _compiled(config: TrainConfig, weights: int, on_cpu: bool | None) -> int:
    """Bytes for the compiler, and for what it makes of `weights` bytes of kernels."""
    if fast_convolutions.available(config.jit_compile) if on_cpu is None else config.jit_compile and on_cpu:
        return COMPILER_WINOGRAD + WINOGRAD_KERNELS * weights
    return COMPILER if config.jit_compile else 0


def largest_size(config: TrainConfig) -> tuple[int, int]:
    """The largest height, width of a run's images."""
    return max(config.sizes or (config.image_size,), key=math.prod)


def on_each_device(config: TrainConfig, strategy: tf.distribute.Strategy) -> Estimate:
    """The memory of a run's step on each of its devices."""
    return estimate(config, math.ceil(config.batch_size / strategy.num_replicas_in_sync))


def of_each_device(strategy: tf.distribute.Strategy) -> int | None:
    """Bytes of memory for each device: CPUs of one process share the machine's; None where it is not known."""
    devices = [tf.DeviceSpec.from_string(device) for device in strategy.extended.worker_devices]
    if any(device.device_type != 'CPU' for device in devices):
        return None
    return memory.host_memory() // len(devices)


def describe(config: TrainConfig, strategy: tf.distribute.Strategy) -> str:
    """In words what a step will need: 'about 5.1 GiB of 23.4 GiB on each device'."""
    there = of_each_device(strategy)
    of = '' if there is None else f' of {format_bytes(there)}'
    where = ' on each device' if strategy.num_replicas_in_sync > 1 or there is None else ''
    return f'about {format_bytes(on_each_device(config, strategy).likely)}{of}{where}'


def check_memory(config: TrainConfig, strategy: tf.distribute.Strategy) -> None:
    """ValueError, with what would fit, if a step needs more memory than its devices have at the very least."""
    there, needed = of_each_device(strategy), on_each_device(config, strategy).least
    if there is None or needed <= there:
        return
    height, width = largest_size(config)
    ways_out = ', '.join(_ways_out(config, strategy, there))
    raise ValueError(
        f'--batch_size={config.batch_size}: a step at {width} x {height} pixels needs at least {format_bytes(needed)} '
        f'of memory on each device, there are {format_bytes(there)}; use {ways_out}'
    )


def _ways_out(config: TrainConfig, strategy: tf.distribute.Strategy, there: int) -> list[str]:
    """What to change for a step that needs more than `there` bytes on a device; each where it alone would do."""
    replicas, parts = strategy.num_replicas_in_sync, config.subdivisions

    def fits(**changes) -> bool:
        return on_each_device(dataclasses.replace(config, **changes), strategy).least <= there

    images = parts * network_memory.most_that_fit(lambda number: estimate(config, parts * number), there)
    return [
        *([f'--batch_size={images * replicas}'] if images else []),
        *(['more --subdivisions'] if fits(subdivisions=max(1, config.batch_size // replicas)) else []),
        *(['--precision=mixed_bfloat16'] if config.precision == 'float32' and fits(precision='mixed_bfloat16') else []),
        'a smaller network (--model, --width) or smaller images (--sizes)',
    ]
