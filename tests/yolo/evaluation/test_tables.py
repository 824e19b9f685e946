"""Metrics as text, and what `eval.py` says before them."""

import logging
import textwrap

import pytest
from random_case import random_result

import eval
from yolo.cli import flags
from yolo.evaluation import tables
from yolo.evaluation.settings import EvalSettings

ROW = {'ap_11pt': 0.5, 'ap_area': 0.25, 'num_objects': 7, 'num_difficult': 1, 'num_detections': 90}
NO_OBJECTS = {'ap_11pt': None, 'ap_area': None, 'num_objects': 0, 'num_difficult': 0, 'num_detections': 4}
METRICS = {
    'map_11pt': 0.5,
    'map_area': 0.25,
    'per_class': {'cat': ROW, 'diningtable-or-desk': NO_OBJECTS},
    'num_images': 12,
    'split': 'val',
    'checkpoint': 'runs/voc/best/ckpt-6',
}


def test_the_table_of_aps():
    expected = """\
    class                AP 11-point  AP area  objects  difficult  detections
    cat                       0.5000   0.2500        7          1          90
    diningtable-or-desk            -        -        0          0           4
    mAP                       0.5000   0.2500
    12 images of val, runs/voc/best/ckpt-6"""
    assert tables.format_metrics(METRICS) == textwrap.dedent(expected)


def test_everything_else_that_metrics_may_hold_has_its_line():
    more = {
        'num_images_left_out': 2,
        'num_boxes_left_out': 3,
        'num_images_at_max_detections': 4,
        'thresholds': {'max_detections': 500, 'nms': 'wbf'},
        'image_sizes': {'416 x 416': {'map_11pt': 0.5, 'map_area': None, 'ms_per_image': 20.0}},
        'coco': {'ap': 0.1, 'ap_50': 0.2, 'ap_75': None},
        'compared': {'cat': {'difference': 0.1, 'low': -0.05, 'high': 0.2, 'real': False}, 'dog': None},
    }
    expected = """\
    2 images of the list could not be preprocessed and are not counted
    3 boxes were left out by preprocessing and are not counted
    4 images reached --max_detections=500
    boxes are means of those that they suppress: --nms=wbf
     416 x 416 pixels  mAP 0.5000 (11-point) - (area)     20.00 ms an image     50.0 images/s
    COCO: AP 0.1000, at IoU 0.5 0.2000, at 0.75 -
    against other/metrics.json
    class         difference  95 % of samples       real
    cat              +0.1000  -0.0500 to +0.2000    no
    dog                    -"""
    lines = tables.format_metrics({**METRICS, **more}, 'other/metrics.json').splitlines()[5:]
    assert lines == textwrap.dedent(expected).splitlines()


def test_detections_from_files_have_no_checkpoint():
    metrics = {name: value for name, value in METRICS.items() if name != 'checkpoint'}
    assert tables.format_metrics({**metrics, 'detections_dir': 'results'}).endswith('12 images of val, results')


@pytest.mark.parametrize(
    ('asked', 'said'),
    [
        ({}, '120 detections in 12 images: AP, kinds of errors'),
        (
            {'coco': True, 'compare': 'x', 'suspects': 3},
            "COCO's AP by pycocotools (the longest), 1,000 samples of the images for --compare, suspect annotations",
        ),
    ],
)
def test_eval_says_what_follows_the_images(caplog, asked, said):
    with caplog.at_level(logging.INFO, 'absl'):
        eval._say_what_follows(EvalSettings(**asked), random_result())
    assert caplog.messages[-1].endswith(said)


def test_a_run_of_eval_says_it(tmp_path, caplog):
    """A whole one, of detections in files."""
    box = '<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>50</xmax><ymax>50</ymax></bndbox>'
    for name, text in (
        ('Annotations/x.xml', f'<annotation><object><name>cat</name>{box}</object></annotation>'),
        ('ImageSets/Main/test.txt', 'x'),
        ('comp4_det_test_cat.txt', 'x 0.9 1 1 50 50\nx 0.8 1 1 9 9\n'),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    values = flags.define(eval.COMMAND.settings)
    values(['eval', f'--detections_dir={tmp_path}', f'--voc_dir={tmp_path}', f'--report_dir={tmp_path}/report'])
    with caplog.at_level(logging.INFO, 'absl'):
        eval.evaluate(values)
    assert '2 detections in 1 images: AP, kinds of errors' in caplog.messages
    assert (tmp_path / 'report/report.html').exists()
