"""YOLO's texts."""

import numpy as np
import pytest

from yolo.data import yolo_txt
from yolo.data.problems import LEFT_OUT_BOX

CLASSES = ('cat', 'dog')


def parse(text: str):
    return yolo_txt.parse(text.encode(), CLASSES, (50, 100))


def test_boxes_and_polygons():
    annotation = parse('\ufeff1 0.5 0.4 0.2 0.4\r\n\n0.0 .1 .2 .3 .2 .2 .6\n0 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6\n')
    assert annotation.names == ('dog', 'cat', 'cat')
    assert annotation.size == (50, 100)
    np.testing.assert_allclose(annotation.boxes, [[41, 11, 60, 30], [11, 11, 30, 30], [11, 11, 30, 30]])
    assert annotation.problems == ()
    assert not annotation.difficult.any()
    assert annotation.difficult.shape == annotation.truncated.shape == (3,)


def test_an_empty_text_is_an_image_without_objects():
    assert parse('\n').boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ('line', 'reason'),
    [
        ('2 .5 .5 .1 .1', "the class '2' is none of the 2 that have names"),
        ('-1 .5 .5 .1 .1', "the class '-1' is none"),
        ('0.5 .5 .5 .1 .1', "the class '0.5' is none"),
        ('nan .5 .5 .1 .1', "the class 'nan' is none"),
        ('inf .5 .5 .1 .1', "the class 'inf' is none"),
        ('cat .5 .5 .1 .1', "'cat' is not a number"),
        ('0 .5 .5 .1 x', "'x' is not a number"),
        ('0 .5 .5 .1', '4 words; a box has 5, `class x y width height`'),
        ('0 .5 .5 .1 .1 .9', '6 words; a box has 5'),
    ],
)
def test_lines_that_are_not_understood(line, reason):
    annotation = parse(f'1 0.5 0.4 0.2 0.4\n{line}')
    assert annotation.names == ('dog',)
    [(kind, said)] = annotation.problems
    assert kind == LEFT_OUT_BOX
    assert said.startswith('line 2: ')
    assert reason in said


def test_a_file_that_is_no_text():
    with pytest.raises(ValueError, match='not a YOLO text in UTF-8'):
        yolo_txt.parse(b'\xff\xd8', CLASSES, (50, 100))
