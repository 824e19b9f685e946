import numpy as np
import tensorflow as tf
from conftest import DATA

from yolo.detection.nms import decode, detect
from yolo.geometry import boxes as box_ops
from yolo.geometry.targets import encode_targets

ANCHORS = np.array([[1.0, 1.2], [2.5, 2.0]], np.float32)


def detect_slowly(raw, score_threshold, iou_threshold):
    """Greedy per-class suppression, box by box: [(score, class, box)] of one image, best first."""
    boxes, objectness, probabilities = (value.numpy()[0] for value in decode(raw[None], ANCHORS))
    selected = []
    for k in range(raw.shape[-1] - 5):
        candidates = sorted(
            ((float(objectness[at] * probabilities[at][k]), at) for at in np.ndindex(objectness.shape)),
            key=lambda candidate: -candidate[0],
        )
        chosen = []
        for score, at in candidates:
            if score > score_threshold and all(
                box_ops.iou(tf.constant(boxes[at]), tf.constant(boxes[other])).numpy() <= iou_threshold
                for _, other in chosen
            ):
                chosen.append((score, at))
        selected += [(score, k, np.clip(boxes[at], 0, 1)) for score, at in chosen]
    return sorted(selected, key=lambda candidate: -candidate[0])


def test_equals_the_slow_twin():
    raw = np.random.default_rng(0).normal(0, 1.5, (2, 3, 4, 2, 8)).astype(np.float32)
    detections = {name: value.numpy() for name, value in detect(raw, ANCHORS, 0.1, 0.3, 200).items()}
    for i in range(2):
        expected = detect_slowly(raw[i], 0.1, 0.3)
        n = detections['count'][i]
        assert n == len(expected) > 10
        np.testing.assert_allclose(detections['scores'][i, :n], [score for score, _, _ in expected], rtol=1e-5)
        assert detections['classes'][i, :n].tolist() == [k for _, k, _ in expected]
        np.testing.assert_allclose(detections['boxes'][i, :n], [box for _, _, box in expected], atol=1e-6)
        assert (detections['scores'][i, n:] == 0).all()


def test_region_output_is_darknets():
    for name in ('yolov2-w16', 'yolov2-tiny-w16'):
        data = np.load(DATA / 'darknet' / f'{name}.npz')
        raw, expected = data['raw'], data['region']
        boxes, objectness, probabilities = decode(raw, data['anchors'])
        np.testing.assert_allclose(objectness, expected[..., 4], atol=5e-5)
        np.testing.assert_allclose(probabilities, expected[..., 5:], atol=5e-5)
        rows, columns = raw.shape[1:3]
        middle = box_ops.to_centres(boxes).numpy()[..., :2] * [columns, rows]
        cell = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1)[:, :, None]
        np.testing.assert_allclose(middle - cell, expected[..., :2], atol=5e-5)


def test_encoding_then_decoding_gives_the_boxes_back():
    rng = np.random.default_rng(1)
    boxes = np.sort(rng.random((20, 2, 2)), -2).reshape(20, 4).astype(np.float32)
    places = encode_targets(boxes, np.zeros(20, int), ANCHORS, (5, 7)).numpy()
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 * [7, 5]
    for box, place, centre in zip(boxes, places, middle, strict=True):
        raw = np.zeros((1, 5, 7, 2, 6), np.float32)
        offset = centre - place[1::-1]
        raw[(0, *place)][:2] = np.log(offset / (1 - offset))
        raw[(0, *place)][2:4] = np.log((box[2:] - box[:2]) * [7, 5] / ANCHORS[place[2]])
        np.testing.assert_allclose(decode(raw, ANCHORS)[0][(0, *place)], box, atol=1e-5)


def test_boxes_are_clipped_to_the_image_and_an_empty_image_has_none():
    raw = np.zeros((1, 1, 1, 2, 6), np.float32)
    raw[..., 2:4] = 3
    detections = detect(raw, ANCHORS, 0.1)  # sizes of e^3 anchors, around the middle of the only cell
    count = int(detections['count'][0])
    assert count > 0
    assert (detections['boxes'].numpy()[0, :count] == [0, 0, 1, 1]).all()
    assert detections['boxes'].shape[1] == detections['scores'].shape[1] == 500
    raw[..., 4] = -20
    assert detect(raw, ANCHORS, 0.1)['count'].numpy().tolist() == [0]


def test_same_in_a_map():
    raw = np.random.default_rng(0).normal(0, 1.5, (2, 3, 4, 2, 8)).astype(np.float32)
    plain = detect(raw, ANCHORS)
    mapped = next(iter(tf.data.Dataset.from_tensors(raw).map(lambda r: detect(r, ANCHORS))))
    for name, value in plain.items():
        np.testing.assert_array_equal(mapped[name], value)
