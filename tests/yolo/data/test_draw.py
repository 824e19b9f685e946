import numpy as np
import pytest

from yolo.data.draw import class_colour, contact_sheet, draw_detections, draw_tag


@pytest.mark.parametrize('size', [(32, 32), (60, 500), (1200, 900)])
def test_boxes_are_drawn_and_the_image_is_left_alone(size):
    image = np.full((*size, 3), 128, np.uint8)
    drawn = draw_detections(
        image,
        np.array([[0.2, 0.3, 0.7, 0.8], [0, 0, 1, 1]]),
        np.array([0, 1]),
        np.array([0.5, 0.25]),
        ['cat', 'a rather long name'],
    )
    assert (image == 128).all()
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    row = round(0.8 * size[0]) - 1
    line = drawn[max(row - 3, 0) : row + 2, round(0.45 * size[1])].astype(int)
    assert np.abs(line - class_colour(0)).sum(-1).min() < 60  # the lower side of the first box


def test_nothing_to_draw_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    drawn = draw_detections(image, np.zeros((0, 4)), np.zeros(0, int), None, ['cat'])
    np.testing.assert_array_equal(drawn, image)


@pytest.mark.parametrize('box', [[0.9, 0.0, 1.0, 0.2], [0.0, 0.9, 0.1, 1.0], [0.95, 0.95, 1.0, 1.0]])
def test_tags_stay_inside_and_say_the_label_and_the_score(box):
    """The tag at a corner of the image is, pixel for pixel, the tag of `label score` drawn in the middle."""
    image = np.zeros((100, 200, 3), np.uint8)
    drawn = draw_detections(image, np.array([box]), np.array([0]), np.array([0.876]), ['cat'])
    middle = np.zeros_like(image)
    draw_tag(middle, 'cat 0.88', (100, 50), class_colour(0))
    rows, columns = np.nonzero(middle.any(-1))
    tag = middle[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    windows = np.lib.stride_tricks.sliding_window_view(drawn, tag.shape)[:, :, 0]
    assert (windows == tag).all((2, 3, 4)).sum() == 1


def test_twenty_classes_have_twenty_colours():
    colours = np.array([class_colour(i) for i in range(20)])
    distance = np.abs(colours[:, None] - colours).sum(-1) + 999 * np.eye(20)
    assert distance.min() > 20


@pytest.mark.parametrize('size', [(16, 24), (96, 96), (400, 300), (1500, 2000)])
@pytest.mark.parametrize('corner', [(0, 0), (10_000, 10_000), (-50, 5), (3, -9)])
def test_a_tag_is_whole_wherever_it_is(size, corner):
    image, middle = np.zeros((2, *size, 3), np.uint8)
    draw_tag(image, 'a rather long label 0.55', corner, (255, 40, 40))
    draw_tag(middle, 'a rather long label 0.55', (0, size[0] // 2), (255, 40, 40))
    assert image.any(-1).sum() == middle.any(-1).sum() > 0


def test_tags_grow_with_the_image_and_leave_a_low_box_at_the_top_visible():
    areas = []
    for size in (200, 600, 1800):
        image = np.zeros((size, size, 3), np.uint8)
        draw_tag(image, 'dog', (size // 2, size // 2), (255, 0, 0))
        areas.append(image.any(-1).sum())
    assert areas[0] < areas[1] < areas[2]
    image = np.zeros((200, 200, 3), np.uint8)
    draw_tag(image, 'dog', (20, 2), (255, 0, 0), below=8)
    assert not image[:9].any()
    assert image[9:30].any()


@pytest.mark.parametrize(('scores', 'top'), [([0.2, 0.9], 1), ([0.9, 0.2], 0)])
def test_the_best_score_is_on_top(scores, top):
    boxes = np.array([[0.1, 0.3, 0.9, 0.9]] * 2)
    drawn = draw_detections(np.zeros((80, 80, 3), np.uint8), boxes, np.array([0, 1]), np.array(scores), ['a', 'b'])
    assert tuple(drawn[71, 40]) == class_colour(top)


def test_boxes_beyond_the_image_are_clipped():
    image = np.zeros((60, 60, 3), np.uint8)
    drawn = draw_detections(image, np.array([[-3, 0.5, 9, 0.8]]), np.array([0]), None, ['cat'])
    assert (drawn[31:47, [0, 59]] == class_colour(0)).all()


@pytest.mark.parametrize(
    ('image', 'box', 'scores', 'message'),
    [
        (np.zeros((8, 8, 3)), [0, 0, 1, 1], [1], r'float64 of shape \(8, 8, 3\)'),
        (np.zeros((8, 8), np.uint8), [0, 0, 1, 1], [1], r'shape \(8, 8\)'),
        (np.zeros((8, 8, 3), np.uint8), [0, 0, 1, 1], [1, 2], '1 boxes, 1 classes and 2 scores'),
        (np.zeros((8, 8, 3), np.uint8), [0, 0, np.nan, 1], [1], r'boxes\[0\]'),
    ],
)
def test_bad_input_is_named(image, box, scores, message):
    with pytest.raises(ValueError, match=message):
        draw_detections(image, np.array([box]), np.array([0]), np.array(scores), ['cat'])


def test_a_sheet_holds_every_image():
    tiles = [np.full((20 + i, 60, 3), 10 * i, np.uint8) for i in range(5)]
    sheet = contact_sheet(tiles, [f'number {i}' for i in range(5)], per_row=3)
    assert sheet.shape == (2 * (24 + 32), 3 * 66, 3)
    for i, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]):
        np.testing.assert_array_equal(sheet[56 * row + 3 :, 66 * column + 3 :][: 20 + i, :60], tiles[i])
    assert (sheet[57:, 133:] == 255).all()
