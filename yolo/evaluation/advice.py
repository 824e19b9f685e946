"""What limits a detector, and what to try next, in at most three sentences: from what `metrics.json` holds."""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

from yolo.evaluation.breakdowns import most_confused
from yolo.evaluation.error_analysis import ERROR_TYPES
from yolo.geometry.image_sizes import RANGE, SMALL_SIDE, STRIDE, better_size, format_size
from yolo.recipes import FROM_SCRATCH, MODERN

SMALLEST_COST = 0.0005  # of the mAP: less is shown as 0
MEANINGS = {
    'class': 'The box fits an object, the class is another one.',
    'localisation': 'The class is that of the object, the box fits too badly to match it.',
    'both': 'The class is another one and the box fits badly.',
    'duplicate': 'A second box on an object that a better detection matched.',
    'background': 'A box where no annotated object is.',
    'missed': 'An object that no detection comes close to.',
}
NEXT_STEPS = {
    'class': 'look at the annotations of classes that are confused, add images of the rarer one, or make one class of '
    'two that people cannot tell apart',
    'localisation': 'check that the annotated boxes are tight; train for longer, with --loss=ciou and with anchors '
    'that preprocess fits to the boxes (--anchors=kmeans:5, its default) if you have not',
    'both': 'train for longer, from pretrained weights (--init_weights) if you have not: the detector has not learnt '
    'these objects yet',
    'duplicate': 'lower --nms_iou, and look for objects that are annotated twice',
    'background': 'look at the most confident false positives in report.html: objects that nobody annotated are to be '
    'annotated; for real mistakes add images that show such backgrounds without objects',
    'missed': 'add images of the classes with a low AP, and train for longer',
}
NOTHING_DETECTED = 'No object of any class has been detected: no score is over the threshold.'
ANEW_IF_NOTHING = 'if the objectness at objects is 0 in TensorBoard, begin anew'
FROM_WEIGHTS = 'begin from trained weights (--init_weights)'

OF_SIZE = ('localisation', 'both', 'missed')  # the kinds of errors that larger images are the cure for
LESS_THAN_LARGER = 0.5  # times the mAP of larger objects: then size is what is wrong
LARGER_ARE_LEARNT = 0.3  # mAP of these from which on size can be the reason
SHARE_OF_OBJECTS = 0.1  # that objects of a size have to be of all, to be spoken of
FEWEST_OBJECTS = 10  # of a class that is small, to be spoken of
BY_HEART = 0.15  # mAP on images of the training above that on others
LEARNT = 0.7  # mAP on images of the training
RISING = 0.1  # of the mAP at the end, gained in the last part of a run
WEAK_CLASS = 0.1  # AP below the mean


@dataclasses.dataclass(frozen=True)
class Training:
    """What is known of the training: the mAP (area) on images of it, and by step on others; None, () if not known.

    num_steps: 0 if not known; recipe: '' if not known; from_weights: whether it began with trained ones; sides: by
    class, the typical side of its objects in pixels of the network's images.
    """

    map_area: float | None = None
    curve: Sequence[tuple[int, float]] = ()
    num_steps: int = 0
    recipe: str = ''
    from_weights: bool = False
    sides: Mapping[str, float] = dataclasses.field(default_factory=dict)


def advise(metrics: dict, training: Training | None = None) -> list[str]:
    """The kind of error that costs most; what is behind it, as far as that shows; the next thing to try.

    metrics: what `summary.evaluate` gives; training: of the run, where it is known.
    """
    training = training or Training()
    if metrics['map_area'] is None:
        return ['The split has no objects to find, so there is no mAP and nothing to lose.']
    if not any(row['num_detections'] for row in metrics['per_class'].values()):
        return [NOTHING_DETECTED, f'Next: {if_nothing(training)}.']
    costs = {name: metrics['errors'][name]['cost'] for name in ERROR_TYPES}
    costliest = max(ERROR_TYPES, key=lambda name: costs[name])
    if costs[costliest] < SMALLEST_COST:
        return ['No kind of error costs any mAP.']
    meaning = MEANINGS[costliest].rstrip('.')
    first = f'Most is lost by: {costliest}, {costs[costliest]:.3f} of mAP ({meaning[0].lower()}{meaning[1:]}).'
    why, next_step = _find_cause(metrics, costliest, training)
    return [first, *([why] if why else []), f'Next: {next_step}.']


def if_nothing(training: Training) -> str:
    """What to try where nothing is detected."""
    is_for_few = training.recipe in FROM_SCRATCH
    recipe = '' if is_for_few else f', with --recipe={MODERN} where there are few steps or images'
    return f'train for longer{recipe}; {ANEW_IF_NOTHING}'


def longer(training: Training) -> str:
    """To train for longer, anew: some schedules end with the steps of a run."""
    anew = f' (--num_steps={2 * training.num_steps}, in another --model_dir)' if training.num_steps else ''
    return f'train for twice as many steps{anew}' + ('' if training.from_weights else f', or {FROM_WEIGHTS}')


def more_images(training: Training) -> str:
    """What to try where the images of the training are known by heart."""
    weights = '' if training.from_weights else f', {FROM_WEIGHTS},'
    return f'add images{weights} or vary the images more (--mosaic=0.5)'


def _find_cause(metrics: dict, costliest: str, training: Training) -> tuple[str, str]:
    """A sentence of what is behind the costliest kind of error, '' if nothing shows, and what to try, in words."""
    if costliest in OF_SIZE:
        size = _say_size(metrics['by_size'])
        if size:
            return size, _larger_images(metrics.get('image_size'))
        small = _small_class(metrics, training.sides)
        if small:
            side, ap = training.sides[small], metrics['per_class'][small]['ap_area']
            why = f"The typical {small} has a side of {side:.0f} pixels in the network's images; its AP is {ap:.3f}."
            return why, _larger_images(metrics.get('image_size'), side)
    rising = _say_rising(training.curve)
    if rising:
        return rising, longer(training)
    if training.map_area is not None:
        own, others = training.map_area, metrics['map_area']
        if own - others >= BY_HEART:
            why = f'On images of the training the mAP is {own:.3f}, here {others:.3f}: it knows them by heart.'
            return why, more_images(training)
        if own < LEARNT:
            why = f'On images of the training the mAP is {own:.3f}, here {others:.3f}: it has not learnt them yet.'
            return why, longer(training)
    if costliest == 'class':
        return _say_confused(metrics), NEXT_STEPS['class']
    return _say_weak_class(metrics), NEXT_STEPS[costliest]


def _say_size(by_size: dict[str, dict]) -> str:
    """That objects of a size have a far lower mAP than larger ones, which are learnt; '' if that is not so."""
    total = sum(row['num_objects'] for row in by_size.values())
    rows = [(name, row) for name, row in by_size.items() if row['num_objects'] >= max(1, SHARE_OF_OBJECTS * total)]
    for (name, row), (_, larger) in itertools.pairwise(rows):  # the smallest first
        is_learnt = larger['map_area'] >= LARGER_ARE_LEARNT
        if is_learnt and row['map_area'] < LESS_THAN_LARGER * larger['map_area']:
            return f'Objects of {name} size have a mAP of {row["map_area"]:.3f}, larger ones {larger["map_area"]:.3f}.'
    return ''


def _small_class(metrics: dict, sides: Mapping[str, float]) -> str:
    """The class of the smallest objects that are small in the network's images, however large the photos.

    Of those that have a far lower AP than classes of larger objects, which are learnt; '' if there is none.
    """
    rows = {name: row for name, row in metrics['per_class'].items() if row['ap_area'] is not None and name in sides}
    larger = [row['ap_area'] for name, row in rows.items() if sides[name] >= SMALL_SIDE]
    if not larger or statistics.mean(larger) < LARGER_ARE_LEARNT:
        return ''
    weak = [
        name
        for name, row in rows.items()
        if sides[name] < SMALL_SIDE
        and row['ap_area'] < LESS_THAN_LARGER * statistics.mean(larger)
        and row['num_objects'] >= FEWEST_OBJECTS
    ]
    return min(weak, key=lambda name: sides[name], default='')


def _larger_images(image_size: Sequence[int] | None, side: float = math.inf) -> str:
    """image_size: height, width of the network's images; side: of small objects in them, if known."""
    if not image_size:
        return 'use larger images, so that these objects have more cells'
    height, width = image_size
    usual = [round(each * RANGE[1] / STRIDE) * STRIDE for each in image_size]
    size = format_size(better_size((height, width), side) or usual)
    return f'use larger images (preprocess --image_size={size}), so that these objects have more cells'


def _say_rising(curve: Sequence[tuple[int, float]]) -> str:
    """That the mAP rose to the end, '' if it did not, or that is not known; curve: steps and mAP by area."""
    if len(curve) < 3:
        return ''
    last_step, last = curve[-1]
    step, before = max((point for point in curve[:-1] if point[0] <= 0.8 * last_step), default=curve[0])
    if last - before < RISING * last or last < max(value for _, value in curve):
        return ''
    return f'The mAP was still rising: {before:.3f} after {step:,} steps, {last:.3f} after {last_step:,}.'


def _say_confused(metrics: dict) -> str:
    pairs = most_confused(metrics, 1)
    if not pairs:
        return ''
    true, taken, count, share = pairs[0]
    return f'Most often {true} is taken for {taken}: {count:,} of its objects, {100 * share:.0f} %.'


def _say_weak_class(metrics: dict) -> str:
    """The class of the lowest AP, if that is far below the mean."""
    rows = {name: row for name, row in metrics['per_class'].items() if row['ap_area'] is not None}
    name = min(rows, key=lambda name: rows[name]['ap_area'])
    if rows[name]['ap_area'] > metrics['map_area'] - WEAK_CLASS:
        return ''
    return f'The weakest class is {name}, with an AP of {rows[name]["ap_area"]:.3f} of {rows[name]["num_objects"]:,}.'
