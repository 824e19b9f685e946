"""Large pictures in tiles: small objects are found, those on seams once, with the boxes that they have."""

import cv2
import numpy as np
import pytest

from yolo.detection import host
from yolo.detection.detector import Backend, Detector
from yolo.prediction.tiles import Found, TiledDetector, Tiling, merge, parse_tiles

SIDE = 64  # pixels of the network's images


class Blobs:
    """A network that sees each bright part of an image that has 6 pixels a side or more, larger ones better.

    Its brightness is its class. Parts at an edge score best, so that suppression by score alone would prefer them.
    """

    def __init__(self):
        self.batches: list[int] = []

    def __call__(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        self.batches.append(len(batch))
        boxes, scores = np.zeros((len(batch), 50, 4), np.float32), np.zeros((len(batch), 50, 2), np.float32)
        for i, image in enumerate(batch):
            grey = image[..., 0]
            _, marks, stats, _ = cv2.connectedComponentsWithStats((grey > 100).astype(np.uint8))
            seen = [(k, row) for k, row in enumerate(stats) if k and min(row[2:4]) >= 6]
            for place, (k, (left, top, width, height, _)) in enumerate(seen):
                at_edge = min(left, top) == 0 or max(left + width, top + height) == SIDE
                boxes[i, place] = np.array([left, top, left + width, top + height]) / SIDE
                scores[i, place, int(grey[marks == k].max() > 210)] = 0.95 if at_edge else 0.6 + width * height / 20_000
        return {'boxes': boxes, 'scores': scores}


def make_detector(network: Blobs, batch_size: int = 4, **limits) -> Detector:
    thresholds = host.Thresholds(score=0.25, **limits)
    return Detector(
        Backend(network, 'blobs'), ('dim', 'bright'), [(1, 1)], (SIDE, SIDE), 'stretch', batch_size, thresholds
    )


def picture(objects: list[tuple[int, int, int, int]], level: int = 255) -> np.ndarray:
    """Bright objects left, top, right, bottom in a dark picture of 416 x 416: 4 x 4 tiles of 128 that share 32."""
    image = np.zeros((416, 416, 3), np.uint8)
    for left, top, right, bottom in objects:
        image[top:bottom, left:right] = level
    return image


TILING = Tiling(4, 4, 0.25)
SMALL = [(10, 10, 22, 22), (60, 60, 72, 72), (200, 30, 212, 42), (290, 200, 302, 212), (150, 150, 162, 162)]


def detected(objects, tiling=TILING, **limits) -> list[list[int]]:
    """The boxes in whole pixels, sorted."""
    result = TiledDetector(make_detector(Blobs(), **limits), tiling)(picture(objects))
    np.testing.assert_allclose(result.relative_boxes * 416, result.boxes, atol=1e-3)
    assert (np.diff(result.scores) <= 0).all()
    return sorted(np.rint(result.boxes).astype(int).tolist())


def test_small_objects_are_found_in_tiles_alone():
    network = Blobs()
    assert len(make_detector(network)(picture(SMALL))) == 0
    assert detected(SMALL) == [list(box) for box in sorted(SMALL)]


def test_boxes_of_darknets_end_a_pixel_of_the_picture_later():
    detector = make_detector(Blobs())
    detector.box_convention = 'darknet'
    tiled = TiledDetector(detector, TILING)
    assert tiled.box_convention == 'darknet'
    found = sorted(tiled(picture(SMALL)).boxes.tolist())
    np.testing.assert_allclose(found, np.add(sorted(SMALL), [0, 0, 1, 1]), atol=1e-3)


def test_tiles_cover_the_picture_and_share_what_they_should():
    tiles = Tiling(2, 3, 0.25).tiles((224, 320))
    assert tiles.tolist() == [[left, top, left + 128, top + 128] for top in (0, 96) for left in (0, 96, 192)]
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows, columns = rng.integers(1, 6, 2).tolist()
        overlap = float(rng.uniform(0, 0.9))
        height, width = rng.integers(1, 500, 2).tolist()
        tiles = Tiling(rows, columns, overlap).tiles((height, width))
        seen = np.zeros((height, width), bool)
        for left, top, right, bottom in tiles:
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
            seen[top:bottom, left:right] = True
        assert seen.all()
        assert len({tuple(tile[2:] - tile[:2]) for tile in tiles}) == 1
        assert len(tiles) <= rows * columns


@pytest.mark.parametrize(
    'box',
    [
        (104, 40, 116, 52),  # whole in two tiles
        (104, 100, 116, 112),  # whole in four
        (86, 40, 106, 52),  # whole in the first, cut by the edge of the second
        (90, 90, 104, 104),  # whole in one of four
        (90, 40, 134, 60),  # cut in both: no tile has all of it
        (94, 94, 130, 120),  # cut in four
    ],
)
def test_an_object_on_a_seam_comes_once_with_all_of_its_box(box):
    assert detected([box]) == [list(box)]
    assert detected([box, (10, 10, 22, 22)]) == [[10, 10, 22, 22], list(box)]


def test_an_object_larger_than_a_tile_is_found_in_the_whole_picture_and_once():
    large = (40, 20, 280, 200)
    [box] = detected([large])
    np.testing.assert_allclose(box, large, atol=6.5)  # to a pixel of the network


def test_neighbours_on_a_seam_stay_apart():
    objects = [(100, 40, 112, 52), (114, 40, 126, 52), (100, 54, 112, 66), (128, 40, 140, 52)]
    assert detected(objects) == sorted(map(list, objects))


def test_one_of_two_labels_remains_where_all_classes_suppress_each_other():
    """Each tile sees the object by another brightness, so that its classes differ."""
    image = picture([(104, 40, 116, 52)], level=150)
    network = Blobs()
    looks = make_detector(network, batch_size=1)

    def by_turns(batch):
        outputs = network(batch)
        if len(network.batches) % 2:
            outputs['scores'] = outputs['scores'][..., ::-1]
        return outputs

    for scope, count in (('per_class', 2), ('all_classes', 1)):
        limits = host.Thresholds(0.25, nms_scope=scope)
        detector = Detector(Backend(by_turns, 'turns'), looks.classes, [(1, 1)], (SIDE, SIDE), 'stretch', 1, limits)
        result = TiledDetector(detector, TILING)(image)
        assert len(result) == count
        assert np.rint(result.boxes[0]).tolist() == [104, 40, 116, 52]


def test_tiles_of_all_pictures_share_batches():
    network = Blobs()
    detector = TiledDetector(make_detector(network, batch_size=4), TILING)
    pictures = [picture([box]) for box in SMALL[:3]]
    results = detector.detect_batch(pictures)
    assert [np.rint(result.boxes).astype(int).tolist() for result in results] == [[list(box)] for box in SMALL[:3]]
    assert network.batches == [4] * 13  # 51 tiles and whole pictures
    assert [len(result) for result in detector(pictures)] == [1, 1, 1]


def test_a_picture_has_at_most_max_detections_the_best_ones():
    everything = TiledDetector(make_detector(Blobs()), TILING)(picture([*SMALL, (30, 120, 60, 150)]))
    some = TiledDetector(make_detector(Blobs(), max_detections=2), TILING)(picture([*SMALL, (30, 120, 60, 150)]))
    assert len(everything) == 6
    np.testing.assert_array_equal(some.boxes, everything.boxes[:2])


def test_one_tile_is_the_picture_and_small_pictures_have_tiles_too():
    network = Blobs()
    image = picture([(40, 20, 280, 200)])
    plain = make_detector(network)(image)
    tiled = TiledDetector(make_detector(network), Tiling(1, 1))(image)
    np.testing.assert_array_equal(plain.boxes, tiled.boxes)
    for size in ((1, 1), (3, 7), (64, 1)):
        assert len(TiledDetector(make_detector(network), TILING)(np.full((*size, 3), 255, np.uint8))) == 1


def test_an_overlap_of_two_objects_is_not_a_part():
    """Of a cut box half has to lie in another: two objects that touch in an overlap are both kept."""
    objects = [(60, 40, 110, 60), (112, 30, 190, 66)]
    assert detected(objects) == sorted(map(list, objects))


LARGE, INNER, OUTER = (0, 0, 100, 100), (50, 10, 100, 40), (55, 10, 160, 40)  # INNER is in LARGE, half of it in OUTER


@pytest.mark.parametrize(
    ('boxes', 'classes', 'tiles', 'is_cut', 'expected'),
    [
        ([LARGE, INNER], [0, 0], [0, 1], [False, True], [LARGE]),
        ([LARGE, INNER], [0, 0], [0, 0], [False, True], [LARGE, INNER]),  # the detector itself told them apart
        ([LARGE, INNER], [0, 1], [0, 1], [False, True], [LARGE, INNER]),
        ([LARGE, INNER], [0, 0], [0, 1], [True, False], [LARGE, INNER]),  # what is not cut is not a part
        ([LARGE, (80, 10, 130, 40)], [0, 0], [0, 1], [False, True], [LARGE, (80, 10, 130, 40)]),  # less than half
        ([INNER, OUTER], [0, 0], [0, 1], [True, True], [(50, 10, 160, 40)]),
        ([INNER, OUTER], [0, 0], [0, 0], [True, True], [INNER, OUTER]),
        ([INNER, OUTER], [0, 1], [0, 1], [True, True], [INNER, OUTER]),
        ([INNER, (80, 10, 130, 40)], [0, 0], [0, 1], [True, True], [INNER, (80, 10, 130, 40)]),
    ],
)
@pytest.mark.parametrize('scope', ['per_class', 'all_classes'])
def test_parts_of_other_tiles_are_merged(boxes, classes, tiles, is_cut, expected, scope):
    arrays = (np.array(boxes, float), np.array([0.5, 0.9], np.float32), np.array(classes, np.int32))
    found = Found(*arrays, np.array(tiles), np.array(is_cut))
    merged = merge(found, host.Thresholds(nms_scope=scope))
    if scope == 'all_classes' and classes == [0, 1]:  # as if they were of one class
        expected = [LARGE] if is_cut == [False, True] else [(50, 10, 160, 40)]
    assert sorted(map(tuple, merged.boxes.astype(int).tolist())) == sorted(expected)
    assert (np.diff(merged.scores) <= 0).all()


def test_boxes_of_several_tiles_can_be_averaged():
    arrays = (np.array([LARGE, (0, 0, 100, 120)], float), np.array([0.3, 0.9], np.float32), np.zeros(2, np.int32))
    found = Found(*arrays, np.arange(2), np.zeros(2, bool))
    for nms, bottom in (('greedy', 120), ('wbf', 118)):
        merged = merge(found, host.Thresholds(nms=nms))
        np.testing.assert_allclose(merged.boxes, [[0, 0, 100, bottom]], atol=1e-5)
        np.testing.assert_array_equal(merged.scores, np.array([0.9], np.float32))
        assert merged.tiles.tolist() == [1]


@pytest.mark.parametrize('nms', ['greedy', 'wbf'])
def test_a_box_that_a_tile_cuts_is_not_averaged_away_from_its_edge(nms):
    """One object of x 60 to 140; the first tile ends at 100, and has two boxes of it, whose mean ends at 96."""
    seen = iter([[(0.6, 0.99, 0.9), (0.6, 0.93, 0.85)], [], [(0.3, 0.7, 0.8)]])  # tile, tile, whole: xmin, xmax, score

    def network(batch):
        boxes, scores = np.zeros((1, 2, 4), np.float32), np.zeros((1, 2, 1), np.float32)
        for place, (left, right, score) in enumerate(next(seen)):
            boxes[0, place], scores[0, place] = (left, 0.2, right, 0.8), score
        return {'boxes': boxes, 'scores': scores}

    limits = host.Thresholds(0.25, 0.5, nms=nms)
    plain = Detector(Backend(network, 'two'), ('a',), [(1, 1)], (SIDE, SIDE), 'stretch', 1, limits)
    result = TiledDetector(plain, Tiling(1, 2, 0))(np.zeros((100, 200, 3), np.uint8))
    np.testing.assert_allclose(result.boxes, [[60, 20, 140, 80]], atol=1e-4)
    np.testing.assert_array_equal(result.scores, np.array([0.8], np.float32))
    assert plain.limits.nms == nms


@pytest.mark.parametrize(
    'text', ['2', '2x', 'x3', '0x3', '2x65', '2x3x4', '-1x2', '2.5x3', '２x3', '9' * 5000 + 'x1', '']
)
def test_tiles_are_rows_and_columns(text):
    assert parse_tiles('2x3') == (2, 3)
    with pytest.raises(ValueError, match=r'rows x columns, such as 2x3, of at most 64 each') as raised:
        parse_tiles(text)
    assert len(str(raised.value)) < 200
