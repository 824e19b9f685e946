"""Detections in NumPy: those of the graph, and of a slow loop that suppresses box by box."""

import numpy as np
import pytest

import yolo
from yolo.detection import host
from yolo.detection.detector import Backend
from yolo.detection.host import Thresholds

ANCHORS = np.array([[1.3, 1.7], [3.2, 4.0], [5.1, 8.1]])


def random_raw(seed: int, num_classes: int = 4, objectness: float = -2.0) -> np.ndarray:
    raw = np.random.default_rng(seed).normal(0, 2, (3, 5, 7, 3, 5 + num_classes)).astype(np.float32)
    raw[..., 4] += objectness
    return raw


@pytest.mark.parametrize('thresholds', [(0.005, 0.45, 500), (0.2, 0.3, 500), (0.01, 0.7, 9), (0.0, 0.45, 20)])
@pytest.mark.parametrize('kind', ['raw', 'boxes'])
def test_detections_are_those_of_the_graph(thresholds, kind):
    raw = random_raw(0)
    expected = {name: value.numpy() for name, value in yolo.detect(raw, ANCHORS, *thresholds).items()}
    outputs = {'raw': raw} if kind == 'raw' else dict(zip(('boxes', 'scores'), host.decode(raw, ANCHORS), strict=True))
    result = host.detect(outputs, ANCHORS, Thresholds(*thresholds))
    assert expected['count'].min() > 0
    assert result.keys() == expected.keys()
    for name, value in expected.items():
        assert result[name].dtype == value.dtype
        np.testing.assert_allclose(result[name], value, atol=1e-6)


def test_decoding_is_that_of_the_graph_even_where_numbers_are_huge():
    raw = random_raw(1)
    raw[0, 0, 0, 0] = [500, -500, 90, -90, 500, 90, 0, 0, 0]
    boxes, objectness, probabilities = (value.numpy() for value in yolo.decode(raw, ANCHORS))
    result_boxes, scores = host.decode(raw, ANCHORS)
    np.testing.assert_allclose(result_boxes, boxes.reshape(3, -1, 4), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores, (objectness[..., None] * probabilities).reshape(3, -1, 4), atol=1e-6)


def slow_suppress(boxes, scores, classes, iou, all_classes):
    """Box by box, from the definition."""

    def overlap(a, b):
        shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
        return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)

    kept: list[int] = []
    for i in np.argsort(-scores, kind='stable'):
        rivals = [j for j in kept if all_classes or classes[i] == classes[j]]
        if all(overlap(boxes[i], boxes[j]) <= iou for j in rivals):
            kept.append(int(i))
    return kept


@pytest.mark.parametrize('scope', ['per_class', 'all_classes'])
@pytest.mark.parametrize('iou', [0.1, 0.3, 0.5])
def test_suppression_is_that_of_a_slow_loop(scope, iou):
    rng = np.random.default_rng(2)
    low = rng.uniform(0, 0.7, (200, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.05, 0.3, (200, 2))], 1).astype(np.float32)
    scores, classes = rng.permutation(np.linspace(0.01, 1, 200)).astype(np.float32), rng.integers(0, 3, 200)
    expected = slow_suppress(boxes, scores, classes, iou, scope == 'all_classes')
    assert 10 < len(expected) < 200
    assert host.suppress(boxes, scores, classes, iou, scope).tolist() == expected


def test_two_labels_on_one_object_are_one_over_all_classes():
    outputs = {
        'boxes': np.array([[[0.1, 0.1, 0.5, 0.5], [0.11, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]]], np.float32),
        'scores': np.array([[[0.6, 0.5], [0.1, 0.7], [0.0, 0.3]]], np.float32),
    }
    both = host.detect(outputs, ANCHORS, Thresholds(0.2))
    one = host.detect(outputs, ANCHORS, Thresholds(0.2, nms_scope='all_classes'))
    assert both['classes'][0, : both['count'][0]].tolist() == [1, 0, 1]
    assert one['classes'][0, : one['count'][0]].tolist() == [1, 1]
    np.testing.assert_allclose(one['scores'][0, :2], [0.7, 0.3])


def test_each_class_can_have_a_threshold_of_its_own():
    outputs = {
        'boxes': np.array([[[0.1, 0.1, 0.2, 0.2], [0.6, 0.6, 0.9, 0.9]]], np.float32),
        'scores': np.array([[[0.6, 0.5], [0.3, 0.7]]], np.float32),
    }
    result = host.detect(outputs, ANCHORS, Thresholds(0.9, class_scores=(0.5, 0.6)))
    assert result['count'].tolist() == [2]
    np.testing.assert_allclose(result['scores'][0, :2], [0.7, 0.6])
    with pytest.raises(ValueError, match='3 thresholds of classes for 2 classes'):
        host.detect(outputs, ANCHORS, Thresholds(class_scores=(0.5, 0.6, 0.7)))


def test_detections_of_a_network_are_left_out_under_the_threshold():
    outputs = {
        'boxes': np.array([[[0.1, 0.1, 0.2, 0.2], [0.6, 0.6, 1.2, 0.9], [0, 0, 0, 0]]], np.float32),
        'scores': np.array([[0.9, 0.3, 0.0]], np.float32),
        'classes': np.array([[1, 0, 0]]),
        'count': np.array([2]),
    }
    assert host.detect(outputs, ANCHORS, Thresholds(0.5))['count'].tolist() == [1]
    result = host.detect(outputs, ANCHORS, Thresholds(0.1))
    assert result['classes'][0, :2].tolist() == [1, 0]
    np.testing.assert_allclose(result['boxes'][0, 1], [0.6, 0.6, 1.0, 0.9])


def test_nothing_is_detected_in_nothing():
    raw = np.full((2, 3, 3, 3, 7), -50, np.float32)
    assert host.detect({'raw': raw}, ANCHORS, Thresholds())['count'].tolist() == [0, 0]


def test_a_backend_of_a_fixed_batch_takes_any_number_of_images():
    shapes = []

    def run(images):
        shapes.append(images.shape)
        return {'raw': images[:, :1, :1, None].astype(np.float32)}

    batch = np.random.default_rng(0).integers(0, 255, (5, 4, 4, 3), dtype=np.uint8)
    outputs = Backend(run, 'fixed', 2)(batch)
    assert shapes == [(2, 4, 4, 3)] * 3
    np.testing.assert_array_equal(outputs['raw'], batch[:, :1, :1, None])
