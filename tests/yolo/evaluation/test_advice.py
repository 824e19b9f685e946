"""What limits a detector, in words, on constructed results: one for each kind of error and for each cause."""

import numpy as np
import pytest

from yolo.evaluation import advice, result, summary
from yolo.evaluation.advice import Training, advise
from yolo.evaluation.error_analysis import ERROR_TYPES
from yolo.evaluation.voc_matching import Detections, GroundTruth

CLASSES = ('cat', 'dog')
NUM_IMAGES = 20
LONGER, MORE_IMAGES = advice.longer(Training()), advice.more_images(Training())
LARGE, SMALL = (50, 50, 249, 249), (300, 300, 319, 319)
FAR, LOOSE = (400, 400, 499, 499), (150, 50, 349, 249)  # no overlap; an IoU of a third
WRONG = {  # kind of error: class and box of what is detected at the object of class 0, in half of the images
    'class': [(1, LARGE)],
    'localisation': [(0, LOOSE)],
    'both': [(1, LOOSE), (0, LARGE)],
    'duplicate': [(0, LARGE), (0, LARGE)],
    'background': [(0, LARGE), (0, FAR)],
    'missed': [],
}


def columns(items) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (N,), classes (N,) and boxes (N, 4) of a list of class and box for each image."""
    rows = [(i, k, *box) for i, own in enumerate(items) for k, box in own]
    table = np.array(rows, int).reshape(-1, 6)
    return table[:, 0], table[:, 1], table[:, 2:].astype(float)


def measured(objects, detected, **more) -> dict:
    """The metrics of 20 images; objects, detected: for each image a list of class and box."""
    images, classes, boxes = columns(objects)
    truth = GroundTruth(images, classes, boxes, np.zeros(len(images), bool))
    images, classes, boxes = columns(detected)
    detections = Detections(images, classes, np.linspace(0.9, 0.5, len(images)), boxes)
    names = tuple(f'image_{i}' for i in range(NUM_IMAGES))
    return summary.evaluate(result.EvaluationResult(CLASSES, names, truth, detections), 0.5, more).metrics


def with_errors(kind: str) -> dict:
    """The metrics of a detector whose errors are all of one kind, in every second image."""
    objects = [[(i // 2 % 2, LARGE)] for i in range(NUM_IMAGES)]
    wrong = [[((k + own[0][0]) % 2, box) for k, box in WRONG[kind]] for own in objects]
    return measured(objects, [wrong[i] if i % 2 == 0 else objects[i] for i in range(NUM_IMAGES)])


@pytest.mark.parametrize('kind', ERROR_TYPES)
def test_each_kind_of_error_is_named_and_has_its_next_step(kind):
    metrics = with_errors(kind)
    costs = {name: row['cost'] for name, row in metrics['errors'].items()}
    assert max(costs, key=costs.get) == kind
    sentences = advise(metrics)
    assert sentences[0].startswith(f'Most is lost by: {kind}, {costs[kind]:.3f} of mAP (')
    assert sentences[-1] == f'Next: {advice.NEXT_STEPS[kind]}.'
    assert len(sentences) <= 3


def test_a_detector_without_detections_is_not_told_to_use_larger_images():
    sentences = advise(measured([[(0, SMALL)]] * NUM_IMAGES, [[]] * NUM_IMAGES))
    assert sentences == [advice.NOTHING_DETECTED, f'Next: {advice.if_nothing(Training())}.']


def test_the_classes_that_are_confused_are_named():
    objects = [[(0, LARGE)] if i < 15 else [(1, LARGE)] for i in range(NUM_IMAGES)]
    detected = [[(1, LARGE)] if i < 6 else own for i, own in enumerate(objects)]
    assert advise(measured(objects, detected))[1] == 'Most often cat is taken for dog: 6 of its objects, 40 %.'


def test_the_weakest_class_is_named():
    objects = [[(0, LARGE), (1, FAR)] for _ in range(NUM_IMAGES)]
    detected = [[(0, LARGE), (1, FAR)] if i < 5 else [(0, LARGE)] for i in range(NUM_IMAGES)]
    sentences = advise(measured(objects, detected))
    assert sentences[1] == 'The weakest class is dog, with an AP of 0.250 of 20.'
    assert sentences[2] == f'Next: {advice.NEXT_STEPS["missed"]}.'


@pytest.mark.parametrize(('detected_small', 'is_said'), [(5, True), (15, False)])
def test_small_objects_need_larger_images(detected_small, is_said):
    """Not where they are nearly as good as the larger ones."""
    objects = [[(0, LARGE), (0, SMALL)] for _ in range(NUM_IMAGES)]
    detected = [own if i < detected_small else own[:1] for i, own in enumerate(objects)]
    sentences = advise(measured(objects, detected, image_size=[192, 256]))
    assert (sentences[1].startswith('Objects of small size have a mAP of 0.250, larger ones 1.000')) == is_said
    assert ('use larger images (preprocess --image_size=384x288)' in sentences[-1]) == is_said


def test_size_is_not_the_reason_where_larger_objects_are_not_learnt_either():
    objects = [[(0, LARGE), (0, SMALL)] for _ in range(NUM_IMAGES)]
    detected = [[*([own[0]] if i < 5 else []), *([own[1]] if i < 1 else [])] for i, own in enumerate(objects)]
    metrics = measured(objects, detected)
    assert metrics['by_size']['small']['map_area'] < 0.3 * metrics['by_size']['large']['map_area']
    assert advise(metrics, Training(0.2))[-1] == f'Next: {advice.longer(Training())}.'


def with_weak_dogs(cats: int, dogs: int, num_dogs: int = NUM_IMAGES) -> dict:
    """The metrics of a detector that misses all but the first cats and dogs; all are large in the photos."""
    objects = [[(0, LARGE), *([(1, FAR)] if i < num_dogs else [])] for i in range(NUM_IMAGES)]
    detected = [[*([(0, LARGE)] if i < cats else []), *([(1, FAR)] if i < dogs else [])] for i in range(NUM_IMAGES)]
    return measured(objects, detected, image_size=[192, 256])


@pytest.mark.parametrize(
    ('metrics', 'dog', 'is_said'),
    [
        (with_weak_dogs(20, 5), 16.4, True),
        (with_weak_dogs(20, 5), 24.0, False),  # not small
        (with_weak_dogs(20, 11), 16.4, False),  # not much worse than cats
        (with_weak_dogs(4, 1), 16.4, False),  # cats are not learnt either
        (with_weak_dogs(20, 0, num_dogs=9), 16.4, False),  # they are few
    ],
)
def test_a_class_that_is_small_for_the_network_needs_larger_images(metrics, dog, is_said):
    """Photos of 4,000 pixels have no object of COCO's small size."""
    sentences = advise(metrics, Training(sides={'cat': 100.0, 'dog': dog}))
    small = "The typical dog has a side of 16 pixels in the network's images; its AP is 0.250."
    assert (sentences[1] == small) == is_said
    assert ('use larger images (preprocess --image_size=384x288)' in sentences[-1]) == is_said
    assert advise(metrics, Training(sides={'dog': dog})) == advise(metrics)  # without a class of larger objects


def test_of_several_small_classes_the_smallest_weak_one_is_named():
    """Platelets are a fourteenth of the objects of blood cells, and a third of the mAP."""
    rows = {'rbc': (0.77, 805, 52.0), 'wbc': (0.97, 71, 93.0), 'platelets': (0.24, 69, 17.4), 'dust': (0.9, 500, 9.0)}
    metrics = with_errors('missed')
    metrics['per_class'] = {
        name: {'ap_area': ap, 'num_objects': n, 'num_detections': n} for name, (ap, n, _) in rows.items()
    }
    (_, why, _) = advise(metrics, Training(sides={name: side for name, (_, _, side) in rows.items()}))
    assert why == "The typical platelets has a side of 17 pixels in the network's images; its AP is 0.240."


def test_few_small_objects_are_not_the_reason():
    objects = [[(0, LARGE), (0, SMALL)] if i == 0 else [(0, LARGE)] for i in range(NUM_IMAGES)]
    detected = [own[:1] for own in objects[:15]] + [[]] * 5
    assert advise(measured(objects, detected))[-1] == f'Next: {advice.NEXT_STEPS["missed"]}.'


@pytest.mark.parametrize(
    ('training', 'why', 'next_step'),
    [
        (
            Training(0.95),
            'On images of the training the mAP is 0.950, here 0.500: it knows them',
            advice.more_images(Training()),
        ),
        (
            Training(0.55),
            'On images of the training the mAP is 0.550, here 0.500: it has not',
            LONGER,
        ),
        (
            Training(curve=((100, 0.1), (200, 0.3), (300, 0.4), (400, 0.5))),
            'The mAP was still rising: 0.400 after 300 steps, 0.500 after 400.',
            LONGER,
        ),
    ],
)
def test_what_the_training_was_like_comes_before_the_kind(training, why, next_step):
    sentences = advise(with_errors('missed'), training)
    assert sentences[1].startswith(why)
    assert sentences[2] == f'Next: {next_step}.'


@pytest.mark.parametrize(
    'training',
    [
        Training(0.74, ((100, 0.1), (200, 0.49), (300, 0.49), (400, 0.5))),
        Training(0.7, ((100, 0.1), (200, 0.6), (300, 0.4), (400, 0.5))),
        Training(0.72, ((200, 0.1), (400, 0.5))),
    ],
)
def test_a_training_that_was_long_enough_says_nothing(training):
    metrics = with_errors('missed') | {'map_area': 0.6}
    assert advise(metrics, training) == advise(metrics)


def test_nothing_wrong_and_nothing_there():
    objects = [[(0, LARGE)] for _ in range(NUM_IMAGES)]
    assert advise(measured(objects, objects)) == ['No kind of error costs any mAP.']
    (sentence,) = advise(measured([], objects))
    assert 'no objects' in sentence


def test_of_many_classes_all_weak_none_is_named():
    """Every class has half of its objects: none is far below the mean."""
    metrics = with_errors('missed')
    assert [row['ap_area'] for row in metrics['per_class'].values()] == [0.5, 0.5]
    assert len(advise(metrics)) == 2


def test_nothing_is_advised_that_the_run_did_already():
    plain, run = Training(0.95), Training(0.95, (), 2000, 'small-data', from_weights=True)
    assert advise(with_errors('missed'), plain)[-1] == (
        'Next: add images, begin from trained weights (--init_weights), or vary the images more (--mosaic=0.5).'
    )
    assert advise(with_errors('missed'), run)[-1] == 'Next: add images or vary the images more (--mosaic=0.5).'
    assert advice.longer(plain) == 'train for twice as many steps, or begin from trained weights (--init_weights)'
    assert advice.longer(run) == 'train for twice as many steps (--num_steps=4000, in another --model_dir)'
    nothing = measured([[(0, SMALL)]] * NUM_IMAGES, [[]] * NUM_IMAGES)
    assert '--recipe=modern' in advise(nothing, plain)[-1]
    assert advise(nothing, run)[-1].startswith('Next: train for longer; if the objectness')
