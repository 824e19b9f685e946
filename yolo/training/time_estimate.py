"""How long a run will take: from its first timed steps, or from some that are timed before it begins."""

import math
import time
from typing import NamedTuple

import keras
import tensorflow as tf
from absl import logging

from yolo.recipes import AUTO, FROM_SCRATCH, MODERN
from yolo.training.batches import distribute_batches
from yolo.training.config import TrainConfig
from yolo.training.state import make_state
from yolo.training.step import make_accumulators, make_steps

TIMED_STEPS = 10
LONG = 2 * 24 * 3600  # seconds


class StepTimer:
    """Times the first steps of a start and then logs, once, how long the rest will take."""

    def __init__(self, config: TrainConfig, has_accelerator: bool):
        self.config, self.has_accelerator = config, has_accelerator
        self.num_steps, self.pixels = 0, 0
        self.is_done = False

    def add(self, num_steps: int, size: tuple[int, int]) -> None:
        """Counts some steps, of images of `size`; not the first ones of each size, which are compiled meanwhile."""
        self.num_steps += num_steps
        self.pixels += num_steps * size[0] * size[1]

    def measure(self, end: int, seconds: float) -> None:
        """Takes the time of all steps that were counted; the last step so far was number `end`."""
        if self.is_done or self.num_steps < TIMED_STEPS:
            return
        self.is_done = True
        self._log(self.config.num_steps - end, seconds)

    def _log(self, steps_left: int, seconds: float) -> None:
        # The timed steps may all have been of one size; the time of a step is proportional to its pixels.
        seconds_per_step = seconds / self.pixels * mean_pixels(self.config)
        seconds_left = steps_left * seconds_per_step
        logging.info('%s', format_estimate(seconds_left, self.config.batch_size / seconds_per_step))
        if seconds_left > LONG:
            logging.warning('%s', format_warning(self.config, seconds_left, self.has_accelerator))


def mean_pixels(config: TrainConfig) -> float:
    """The pixels of an image in training, over all sizes."""
    sizes = config.sizes or (config.image_size,)
    return sum(map(math.prod, sizes)) / len(sizes)


class Speed(NamedTuple):
    """Pixels/s of training steps, and the seconds of a first one, in which the graph of its size is compiled."""

    pixels: float
    compiling: float


def measure_speed(config: TrainConfig, strategy: tf.distribute.Strategy, size: tuple[int, int]) -> Speed:
    """The speed of ten training steps at a size (height, width), of a resolved run and a state that is thrown away.

    The first step is not one of them. tf.errors.ResourceExhaustedError where a device has not enough memory.
    """
    keras.utils.set_random_seed(config.seed)
    state = make_state(config, strategy)
    take_steps = make_steps(state, config, strategy, size, make_accumulators(state, config, strategy))
    batches = iter(distribute_batches(config, strategy, 0))
    begun = time.perf_counter()
    take_steps(batches, 0, 1)[0].numpy()
    since = time.perf_counter()
    metrics = [take_steps(batches, step, 1)[0] for step in range(1, TIMED_STEPS + 1)]
    metrics[-1].numpy()  # waits for the device
    pixels = TIMED_STEPS * config.batch_size * math.prod(size)
    return Speed(pixels / (time.perf_counter() - since), since - begun)


def format_estimate(seconds_left: float, images_per_second: float) -> str:
    """As `about 3 h 20 min left at 14.2 images/s`."""
    return f'{format_duration(seconds_left)} left at {images_per_second:.1f} images/s'


def format_duration(seconds: float) -> str:
    """As `about 3 h 20 min`; days and hours where it is more than two days."""
    if seconds < 60:
        return 'less than a minute'
    if seconds > LONG:
        days, hours = divmod(round(seconds / 3600), 24)
        parts = [(days, 'days'), (hours, 'h')]
    else:
        hours, minutes = divmod(round(seconds / 60), 60)
        parts = [(hours, 'h'), (minutes, 'min')]
    return 'about ' + ' '.join(f'{number:,} {unit}' for number, unit in parts if number)


def format_warning(config: TrainConfig, seconds_left: float, has_accelerator: bool) -> str:
    """That a run will take more than two days, and what would shorten it."""
    ways = []
    if not has_accelerator:
        ways.append('train on a GPU')
    if config.model != 'yolov2-tiny':
        ways.append('use --model=yolov2-tiny')
    height, width = config.image_size
    ways.append(f'write the records with a smaller --image_size than {width} x {height}')
    if config.recipe not in (*FROM_SCRATCH, 'finetune', AUTO):
        ways.append(f'for a few hundred images use --recipe={MODERN}')
    days = seconds_left / (24 * 3600)
    return f'this run will take about {days:,.0f} days. To make it shorter: {"; or ".join(ways)}'
