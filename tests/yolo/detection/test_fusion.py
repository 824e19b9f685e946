"""Weighted boxes fusion, on the host and in the graph: what a slow loop gives that adds box to box."""

import numpy as np
import pytest
import tensorflow as tf

import yolo
from yolo.detection import fusion, graph, host, host_fusion, suppression
from yolo.detection.host import Thresholds
from yolo.detection.options import ALL_CLASSES, NMS_SCOPES, PER_CLASS

ANCHORS = np.array([[1.3, 1.7], [3.2, 4.0], [5.1, 8.1]])
PLACES, CLASSES = 30, 3


def overlap(a, b) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared) if sum(areas) else 0.0


def slowly(boxes, scores, score_threshold, iou, most, scope) -> tuple[list, list, list]:
    """Boxes, scores and classes of one image, best first: box by box, number by number."""
    candidates = [
        (float(scores[n][k]), n, k)
        for n in range(len(boxes))
        for k in range(len(scores[n]))
        if scores[n][k] > score_threshold
    ]
    kept: list[tuple[float, int, int]] = []
    for score, n, k in sorted(candidates, key=lambda one: -one[0]):
        rivals = [m for _, m, other in kept if scope == ALL_CLASSES or other == k]
        if all(overlap(boxes[m], boxes[n]) <= iou for m in rivals):
            kept.append((score, n, k))
    means = []
    for _, n, k in kept[:most]:
        sums, total = [0.0] * 4, 0.0
        for score, m, other in candidates:
            if (scope == ALL_CLASSES or other == k) and overlap(boxes[n], boxes[m]) > iou:
                sums = [part + score**2 * float(side) for part, side in zip(sums, boxes[m], strict=True)]
                total += score**2
        means.append([part / total for part in sums] if total else list(boxes[n]))
    return means, [score for score, _, _ in kept[:most]], [k for _, _, k in kept[:most]]


def random_cases(seed: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (B, N, 4) in clusters, and scores (B, N, C), all different in an image."""
    rng = np.random.default_rng(seed)
    middle = rng.integers(0, 3, (batch, PLACES, 2)) * 0.2 + rng.normal(0, 0.03, (batch, PLACES, 2))
    sides = np.exp(rng.normal(-1.5, 0.3, (batch, PLACES, 2)))
    boxes = np.concatenate([middle - sides / 2, middle + sides / 2], -1)
    scores = (1 + np.stack([rng.permutation(PLACES * CLASSES) for _ in range(batch)])) / (PLACES * CLASSES + 1)
    return boxes.astype(np.float32), scores.reshape(batch, PLACES, CLASSES).astype(np.float32)


def fuse(boxes, scores, score_threshold, iou, most, scope):
    limits = score_threshold, iou, most, scope
    return fusion.fuse(suppression.suppress(boxes, scores, *limits), boxes, scores, *(*limits[:2], scope))


def check(found, boxes, scores, limits) -> None:
    for i in range(len(boxes)):
        means, best, classes = slowly(boxes[i], scores[i], *limits)
        count = found['count'][i]
        assert count == len(means) > 5
        np.testing.assert_allclose(found['scores'][i][:count], best, rtol=1e-6)
        assert found['classes'][i][:count].tolist() == classes
        np.testing.assert_allclose(found['boxes'][i][:count], means, atol=2e-6)
        assert not found['boxes'][i][count:].any()


@pytest.mark.parametrize('jit_compile', [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize('scope', NMS_SCOPES)
@pytest.mark.parametrize(
    ('score_threshold', 'iou', 'most'), [(0.3, 0.2, 11), pytest.param(0.1, 0.45, 60, marks=pytest.mark.slow)]
)
def test_the_graph_gives_what_a_slow_loop_does(monkeypatch, score_threshold, iou, most, scope, jit_compile):
    monkeypatch.setattr(fusion, 'ROWS', 8)  # so that there are several tiles, the last one not full
    limits = score_threshold, iou, most, scope
    boxes, scores = random_cases(0, 2)
    found = tf.function(lambda b, s: fuse(b, s, *limits), jit_compile=jit_compile)(boxes, scores)
    check({name: value.numpy() for name, value in found.items()}, boxes, scores, limits)
    greedy = suppression.suppress(boxes, scores, *limits)
    for name in ('scores', 'classes', 'count'):
        np.testing.assert_array_equal(found[name], greedy[name])
    assert np.abs(found['boxes'] - greedy['boxes']).max() > 0.01


@pytest.mark.parametrize('scope', NMS_SCOPES)
@pytest.mark.parametrize(('score_threshold', 'iou', 'most'), [(0.1, 0.45, 60), (0.3, 0.2, 7)])
def test_the_host_gives_what_a_slow_loop_does(monkeypatch, score_threshold, iou, most, scope):
    monkeypatch.setattr(host_fusion, 'PAIRS', 500)  # so that there are several parts
    boxes, scores = random_cases(1, 2)
    boxes = (boxes - boxes.min()) / np.ptp(boxes)  # in the image, to which the host clips
    limits = Thresholds(score_threshold, iou, most, scope, nms='wbf')
    found = host.detect({'boxes': boxes, 'scores': scores}, None, limits)
    assert found['boxes'].dtype == np.float32
    check(found, boxes, scores, (score_threshold, iou, most, scope))


@pytest.mark.parametrize('scope', [PER_CLASS, pytest.param(ALL_CLASSES, marks=pytest.mark.slow)])
def test_raw_output_gives_the_same_on_the_host_in_the_library_and_in_the_graph(scope):
    raw = np.random.default_rng(2).normal(0, 2, (3, 5, 7, 3, 9)).astype(np.float32)
    limits = Thresholds(0.05, 0.3, 100, scope, nms='wbf')
    expected = host.detect({'raw': raw}, ANCHORS, limits)
    greedy = yolo.detect(raw, ANCHORS, 0.05, 0.3, 100, scope)
    np.testing.assert_array_equal(greedy['scores'], yolo.detect(raw, ANCHORS, 0.05, 0.3, 100, scope, 'wbf')['scores'])
    images = np.zeros((3, 32, 32, 3), np.uint8)
    predict = graph.make_predict(lambda images, training: tf.constant(raw), ANCHORS, limits)
    for found in (yolo.detect(raw, ANCHORS, 0.05, 0.3, 100, scope, 'wbf'), predict(tf.constant(images))):
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
    assert np.abs(expected['boxes'] - greedy['boxes'].numpy()).max() > 0.01


def test_a_mean_is_weighted_by_squared_scores_within_a_class():
    """By hand: 0.6 and 0.2 of one class, a third box of another class, and a fourth that does not overlap enough."""
    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [0.14, 0.1, 0.54, 0.5], [0.1, 0.1, 0.5, 0.54], [0.4, 0.4, 0.8, 0.8]])
    scores = np.array([[0.6, 0], [0.2, 0], [0, 0.5], [0.1, 0]])
    outputs = {'boxes': boxes[None].astype(np.float32), 'scores': scores[None].astype(np.float32)}
    by_class = host.detect(outputs, None, Thresholds(0.05, nms='wbf'))
    assert by_class['count'].tolist() == [3]
    np.testing.assert_allclose(by_class['scores'][0, :3], [0.6, 0.5, 0.1])
    np.testing.assert_allclose(by_class['boxes'][0, :3], [[0.104, 0.1, 0.504, 0.5], *boxes[2:]], atol=1e-6)
    np.testing.assert_array_equal(by_class['boxes'][0, 1:3], outputs['boxes'][0, 2:])  # alone: to the bit
    of_all = host.detect(outputs, None, Thresholds(0.05, nms_scope=ALL_CLASSES, nms='wbf'))
    mean = (0.36 * boxes[0] + 0.04 * boxes[1] + 0.25 * boxes[2]) / 0.65
    np.testing.assert_allclose(of_all['boxes'][0, :2], [mean, boxes[3]], atol=1e-6)


@pytest.mark.parametrize('scope', NMS_SCOPES)
def test_boxes_without_area_huge_ones_and_what_is_no_number(scope):
    boxes, scores = random_cases(3, 4)
    boxes[0, :, 2:] = boxes[0, :, :2]  # points: none overlaps any, not even itself
    boxes[1] *= np.float32(1e8)
    boxes[2, ::2] = [-8e6, -8e6, 8e6, 8e6]
    boxes[3, :5], scores[3, 5:9] = np.nan, np.nan
    limits = 0.2, 0.45, 60, scope
    greedy = suppression.suppress(boxes, scores, *limits)
    found = fuse(boxes, scores, *limits)
    np.testing.assert_array_equal(found['boxes'][0], greedy['boxes'][0])
    np.testing.assert_array_equal(np.isnan(found['boxes']), np.isnan(greedy['boxes']))  # none spreads
    assert not np.isnan(found['boxes'][:3]).any()
    for i in (1, 2):
        kept = host.suppress(*of_image(boxes[i], scores[i]), 0.45, scope)[:60]
        fused = host_fusion.fuse(*of_image(boxes[i], scores[i]), kept, 0.45, scope)
        assert len(fused) == greedy['count'][i]
        atol = 1e-5 * np.abs(boxes[i]).max()
        np.testing.assert_allclose(found['boxes'][i][: len(fused)], fused, rtol=1e-5, atol=atol)


def of_image(boxes, scores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The candidates of an image over 0.2, as the host has them."""
    place, classes = np.nonzero(scores > 0.2)
    return boxes[place], scores[place, classes], classes


def test_shapes_that_are_not_known_before():
    boxes, scores = random_cases(4, 4)
    limits = 0.2, 0.45, 45, ALL_CLASSES
    signature = [tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, None, CLASSES))]
    fused = tf.function(lambda b, s: fuse(b, s, *limits), signature)
    for images in (1, 4):
        found = {name: value.numpy() for name, value in fused(boxes[:images], scores[:images]).items()}
        check(found, boxes[:images], scores[:images], limits)
    nothing = fused(boxes, np.zeros_like(scores))
    assert nothing['count'].numpy().tolist() == [0] * 4
    assert nothing['boxes'].shape == (4, 45, 4)
    assert not nothing['boxes'].numpy().any()


def test_greedy_is_the_default_and_what_it_was():
    raw = np.random.default_rng(5).normal(0, 2, (2, 5, 7, 3, 9)).astype(np.float32)
    assert Thresholds().nms == 'greedy'
    for name, value in yolo.detect(raw, ANCHORS, nms='greedy').items():
        np.testing.assert_array_equal(yolo.detect(raw, ANCHORS)[name], value)
    boxes, _ = host.decode(raw, ANCHORS)
    found = host.detect({'raw': raw}, ANCHORS, Thresholds(0.2, nms='greedy'))
    for i in range(2):
        own = {tuple(box) for box in np.clip(boxes[i], 0, 1).tolist()}
        assert {tuple(box) for box in found['boxes'][i, : found['count'][i]].tolist()} <= own  # no box is a mean


def test_what_suppressed_already_has_nothing_to_average():
    outputs = {
        'boxes': np.array([[[0.1, 0.1, 0.2, 0.2]]], np.float32),
        'scores': np.array([[0.9]], np.float32),
        'classes': np.array([[1]]),
        'count': np.array([1]),
    }
    with pytest.raises(ValueError, match=r"nms='wbf': the network suppressed boxes itself, .* raw or boxes"):
        host.detect(outputs, ANCHORS, Thresholds(nms='wbf'))


def test_another_word_is_refused():
    raw = np.zeros((1, 2, 2, 3, 7), np.float32)
    with pytest.raises(ValueError, match="nms='soft': not one of greedy, wbf"):
        yolo.detect(raw, ANCHORS, nms='soft')
    with pytest.raises(ValueError, match="nms='soft': not one of greedy, wbf"):
        Thresholds(nms='soft', nms_scope=PER_CLASS)
