"""A batch over two devices: the numbers of one device, whatever the number of images."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import ANCHORS

from yolo.detection import graph, replicas
from yolo.detection.host import Thresholds
from yolo.models import build
from yolo.training import distribution

DEVICES = {'one_device': ['CPU:0'], 'mirrored': ['CPU:0', 'CPU:1']}


@pytest.mark.parametrize('number', [1, 5, 8])
def test_every_device_computes_its_part(number):
    shapes = []

    def double(part):
        shapes.append(part.shape.as_list())
        return {'twice': 2 * part, 'sum': tf.reduce_sum(part, 1)}

    batch = np.arange(number * 3, dtype=np.float32).reshape(number, 3)
    outputs = replicas.spread(double, distribution.make_strategy('mirrored', DEVICES['mirrored']))(tf.constant(batch))
    np.testing.assert_array_equal(outputs['twice'], 2 * batch)
    np.testing.assert_array_equal(outputs['sum'], batch.sum(1))
    assert shapes == [[-(-number // 2), 3]] * 2


@pytest.mark.parametrize('kind', DEVICES)
def test_detections_are_those_without_a_strategy(kind):
    images = tf.constant(np.random.default_rng(0).integers(0, 255, (5, 96, 96, 3), np.uint8))
    strategy, limits = distribution.make_strategy(kind, DEVICES[kind]), Thresholds(0.05)
    plain = build.build_model('yolov2-tiny', 2, ANCHORS, 0.1)
    with strategy.scope():
        model = build.build_model('yolov2-tiny', 2, ANCHORS, 0.1)
        model.set_weights(plain.get_weights())
    expected = graph.make_predict(plain, ANCHORS, limits)(images)
    found = graph.make_predict(model, ANCHORS, limits, strategy)(images)
    assert expected['count'].min() > 0
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(found['count'], expected['count'])
    np.testing.assert_array_equal(found['classes'], expected['classes'])
    for name in ('boxes', 'scores'):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)
