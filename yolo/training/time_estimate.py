"""How long a run will take, from its first timed steps."""

from absl import logging

from yolo.training.config import TrainConfig

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
        sizes = self.config.sizes or (self.config.image_size,)
        mean_pixels = sum(height * width for height, width in sizes) / len(sizes)
        seconds_per_step = seconds / self.pixels * mean_pixels
        seconds_left = steps_left * seconds_per_step
        logging.info('%s', format_estimate(seconds_left, self.config.batch_size / seconds_per_step))
        if seconds_left > LONG:
            logging.warning('%s', format_warning(self.config, seconds_left, self.has_accelerator))


def format_estimate(seconds_left: float, images_per_second: float) -> str:
    """As `about 3 h 20 min left at 14.2 images/s`; days and hours where it is more than two days."""
    if seconds_left < 60:
        return f'less than a minute left at {images_per_second:.1f} images/s'
    if seconds_left > LONG:
        days, hours = divmod(round(seconds_left / 3600), 24)
        parts = [(days, 'days'), (hours, 'h')]
    else:
        hours, minutes = divmod(round(seconds_left / 60), 60)
        parts = [(hours, 'h'), (minutes, 'min')]
    duration = ' '.join(f'{number:,} {unit}' for number, unit in parts if number)
    return f'about {duration} left at {images_per_second:.1f} images/s'


def format_warning(config: TrainConfig, seconds_left: float, has_accelerator: bool) -> str:
    """That a run will take more than two days, and what would shorten it."""
    ways = []
    if not has_accelerator:
        ways.append('train on a GPU')
    if config.model != 'yolov2-tiny':
        ways.append('use --model=yolov2-tiny')
    height, width = config.image_size
    ways.append(f'write the records with a smaller --image_size than {width} x {height}')
    if config.recipe not in ('small-data', 'finetune'):
        ways.append('for a few hundred images use --recipe=small-data')
    days = seconds_left / (24 * 3600)
    return f'this run will take about {days:,.0f} days. To make it shorter: {"; or ".join(ways)}'
