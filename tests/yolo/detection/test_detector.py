"""Boxes in pixels of photos of any size: from a backend whose answers are known, and from the folder of a run."""

import numpy as np
import pytest
from conftest import DATA, make_image, turned_photo

import yolo
from yolo.data import grey, images, orientation
from yolo.detection.detector import Backend, Detector
from yolo.models import model_folder
from yolo.prediction.tiles import TiledDetector, Tiling

RUN = str(DATA / 'version_0_1' / 'run')
BOXES = np.array([[0.25, 0.5, 0.75, 1.0], [0.0, 0.25, 0.5, 0.5]], np.float32)  # relative to the network's input


def fixed_predict(calls: list):
    """A backend that detects the same two objects everywhere, and notes the images that it was given."""

    def predict(batch):
        calls.append(batch)
        count = len(batch)
        boxes, scores = np.zeros((count, 5, 4), np.float32), np.zeros((count, 5), np.float32)
        boxes[:, :2], scores[:, :2] = BOXES, (0.9, 0.4)
        classes = np.tile(np.array([1, 0, 0, 0, 0], np.int32), (count, 1))
        return {'boxes': boxes, 'scores': scores, 'classes': classes, 'count': np.full(count, 2, np.int32)}

    return predict


def make_detector(resize: str, calls: list) -> Detector:
    return Detector(Backend(fixed_predict(calls), 'fixed'), ['cat', 'dog'], [(1, 2)], (64, 64), resize, batch_size=2)


def test_boxes_are_in_pixels_of_a_stretched_photo():
    result = make_detector('stretch', [])(np.zeros((100, 200, 3), np.uint8))
    np.testing.assert_allclose(result.boxes, [[50, 50, 150, 100], [0, 25, 100, 50]])
    np.testing.assert_allclose(result.relative_boxes, BOXES)
    np.testing.assert_allclose(result.scores, [0.9, 0.4])
    assert result.labels == ('dog', 'cat')
    assert result.classes.tolist() == [1, 0]
    assert len(result) == 2


def test_boxes_are_in_pixels_of_a_photo_with_bars():
    """200 x 100 pixels lie in rows 16 to 48 of 64: below 0.75 of the height there are bars."""
    result = make_detector('letterbox', [])(np.zeros((100, 200, 3), np.uint8))
    np.testing.assert_allclose(result.boxes, [[50, 50, 150, 100], [0, 0, 100, 50]], atol=1e-4)


def test_photos_of_all_kinds_come_to_the_network_as_images_resize_does(tmp_path):
    rng, calls = np.random.default_rng(0), []
    photos = [make_image(rng, size, 2)[0] for size in (40, 70, 100)]
    (tmp_path / 'a.png').write_bytes(images.encode_png(photos[0]))
    results = make_detector('stretch', calls)([tmp_path / 'a.png', photos[1], photos[2]])
    assert [batch.shape for batch in calls] == [(2, 64, 64, 3)] * 2
    for i, photo in enumerate(photos):
        np.testing.assert_array_equal(calls[i // 2][i % 2], images.resize(photo, (64, 64)))
        np.testing.assert_allclose(results[i].boxes, BOXES * len(photo), rtol=1e-6)
    assert (calls[1][1] == 0).all()  # the last batch is filled up
    one = make_detector('stretch', calls)(str(tmp_path / 'a.png'))
    assert calls[-1].shape == (1, 64, 64, 3)
    np.testing.assert_array_equal(one.boxes, results[0].boxes)
    assert make_detector('stretch', calls)([]) == []


def test_a_grey_network_is_given_any_photo_in_grey(tmp_path):
    """As preprocessing makes it: grey first, resized then."""
    calls: list = []
    backend = Backend(fixed_predict(calls), 'fixed')
    detector = Detector(backend, ['cat', 'dog'], [(1, 2)], (64, 64), 'letterbox', batch_size=4, channels=1)
    photo = make_image(np.random.default_rng(0), 90, 2)[0][:60]
    in_grey = grey.to_channels(photo, 1)
    (tmp_path / 'a.png').write_bytes(images.encode_png(photo))
    results = detector([photo, in_grey, in_grey[..., 0], tmp_path / 'a.png'])
    (batch,) = calls
    assert batch.shape == (4, 64, 64, 1)
    for i in range(4):
        np.testing.assert_array_equal(batch[i], images.resize(in_grey, (64, 64), 'letterbox'))
        np.testing.assert_array_equal(results[i].boxes, results[0].boxes)
    np.testing.assert_array_equal(detector(in_grey[..., 0]).boxes, results[0].boxes)
    tiled = TiledDetector(detector, Tiling(2, 2))
    assert tiled.prepare(photo).inputs.shape == (5, 64, 64, 1)
    with pytest.raises(ValueError, match=r'RGB, or \(H, W\) of a grey one'):
        detector(photo[..., :2])
    with pytest.raises(
        ValueError, match=r'the photo is uint8 of shape \(60, 90\): give an array \(H, W, 3\) uint8 RGB, or'
    ):
        make_detector('stretch', [])(in_grey[..., 0])


@pytest.mark.parametrize('turn', [1, 3, 6])
def test_a_file_is_turned_upright_and_an_array_is_taken_as_it_is(tmp_path, turn):
    """Boxes are in pixels of the upright photo."""
    calls: list = []
    stored = np.full((48, 64, 3), 40, np.uint8)
    stored[:10, :30] = 220
    upright = orientation.apply(stored, turn)
    (tmp_path / 'a.jpg').write_bytes(turned_photo(stored, turn))
    for photos in (tmp_path / 'a.jpg', [tmp_path / 'a.jpg']):
        result = make_detector('stretch', calls)(photos)
        height, width = (64, 48) if turn == 6 else (48, 64)
        boxes = BOXES * [width, height, width, height]
        np.testing.assert_allclose((result[0] if isinstance(photos, list) else result).boxes, boxes)
        assert np.abs(calls[-1][0].astype(int) - images.resize(upright, (64, 64))).max() < 12
    make_detector('stretch', calls)(stored)
    np.testing.assert_array_equal(calls[-1][0], images.resize(stored, (64, 64)))


@pytest.mark.parametrize(
    ('photos', 'message'),
    [
        (np.zeros((8, 8, 3)), r'the photo is float64 of shape \(8, 8, 3\): give an array \(H, W, 3\) uint8'),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)], r'photos\[1\] is uint8 of shape \(8, 8\)'),
        ([np.zeros((8, 8, 3), np.uint8)] * 2 + [7], r'photos\[2\] is int'),
        (str(DATA / 'small.cfg'), r'small.cfg: not an image'),
    ],
)
def test_what_is_no_photo_is_refused_by_name(photos, message):
    with pytest.raises(ValueError, match=message):
        make_detector('stretch', [])(photos)


def test_the_detector_of_a_run_is_the_network_and_its_suppression():
    detector = yolo.load_detector(RUN, 'latest', score_threshold=0.01, max_detections=7)
    assert detector.classes == ('circle', 'ring', 'square', 'star', 'triangle')
    assert detector.image_size == (64, 64)
    assert detector.resize == 'stretch'
    assert detector.anchors.shape == (2, 2)
    photo = make_image(np.random.default_rng(1), 90, 3)[0]
    model = model_folder.load_trained(RUN, 'latest')[0]
    raw = model(images.resize(photo, (64, 64))[None])
    expected = yolo.detect(raw, detector.anchors, 0.01, 0.45, 7)
    result = detector(photo)
    assert len(result) == expected['count'][0].numpy() > 0
    np.testing.assert_allclose(result.boxes, expected['boxes'][0, : len(result)].numpy() * 90, atol=1e-3)
    np.testing.assert_allclose(result.scores, expected['scores'][0, : len(result)], atol=1e-5)
    for photos in ([photo], [photo] * 9):
        for other in detector(photos):
            np.testing.assert_allclose(other.boxes, result.boxes, atol=1e-2)
    assert len(yolo.load_detector(RUN, score_threshold=1.0)(photo)) == 0
