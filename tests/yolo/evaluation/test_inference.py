"""From records to detections: every image once, in pixels of the original, with a bar where there is a terminal."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from tqdm import tqdm

from yolo.data import pipeline
from yolo.evaluation import inference, summary
from yolo.evaluation.inference import Thresholds


def predict(images):
    """One detection an image, over all of it, and a second one for the first image of each batch."""
    num = images.shape[0]
    boxes = np.tile(np.array([[0, 0, 1, 1], [0.25, 0.25, 0.5, 0.5]], np.float32), (num, 1, 1))
    count = np.where(np.arange(num) == 0, 2, 1)
    return {
        'boxes': tf.constant(boxes),
        'scores': tf.constant(np.tile(np.array([0.9, 0.4], np.float32), (num, 1))),
        'classes': tf.constant(np.tile([1, 0], (num, 1))),
        'count': tf.constant(count),
    }


@pytest.mark.parametrize('batch_size', [3, 8])
def test_every_image_counts_once_and_padding_never(records_dir, batch_size):
    result, settings, milliseconds = inference.run_inference(
        predict, records_dir, 'test', batch_size, Thresholds(max_detections=2)
    )
    assert sorted(result.image_ids) == [f'test_{i}' for i in range(8)]
    assert settings['num_images_at_max_detections'] == -(-8 // batch_size)  # the first image of each batch
    assert np.bincount(result.detections.images).tolist() == [2 if i % batch_size == 0 else 1 for i in range(8)]
    np.testing.assert_array_equal(result.detections.boxes[0], [1, 1, 288, 192])  # the originals are of 192 x 288
    np.testing.assert_array_equal(result.detections.boxes[1], [73, 49, 144, 96])
    assert result.detections.classes[:2].tolist() == [1, 0]
    assert result.detections.scores[:2] == pytest.approx([0.9, 0.4])
    counts = {image_id: int(image_id[5:]) % 5 for image_id in result.image_ids}
    objects = np.bincount(result.truth.images, minlength=8)
    assert dict(zip(result.image_ids, objects.tolist(), strict=True)) == counts
    assert milliseconds > 0


def test_metrics_are_those_of_the_result_with_its_settings(records_dir):
    thresholds = Thresholds(max_detections=2)
    metrics = inference.evaluate(predict, records_dir, 'test', 3, thresholds)
    result, settings, _ = inference.run_inference(predict, records_dir, 'test', 3, thresholds)
    everything = summary.evaluate(result, thresholds.match_iou, settings).metrics
    assert metrics['num_images'] == 8
    assert metrics['split'] == 'test'
    assert json.loads(json.dumps(metrics))['thresholds']['max_detections'] == 2
    for name in set(metrics) - {'per_class'}:
        assert metrics[name] == everything[name], name
    for name, row in metrics['per_class'].items():
        assert row == {key: everything['per_class'][name][key] for key in row}


@pytest.mark.parametrize(('is_terminal', 'progress'), [(True, True), (True, False), (False, True)])
def test_a_bar_with_images_a_second_is_shown_on_a_terminal(records_dir, monkeypatch, is_terminal, progress):
    output = io.StringIO()
    output.isatty = lambda: is_terminal
    monkeypatch.setattr(inference, 'tqdm', lambda **options: tqdm(file=output, **options))
    inference.run_inference(predict, records_dir, 'test', 3, Thresholds(), progress)
    if is_terminal and progress:
        assert '8/8' in output.getvalue()
        assert ' images/s' in output.getvalue()
    else:
        assert output.getvalue() == ''


def test_pictures_are_the_stored_images_by_number(records_dir):
    batch = next(iter(pipeline.evaluation_batches(records_dir, 'test', 8)))
    shown = inference.pictures(records_dir, 'test', [5, 1])
    assert set(shown) == {1, 5}
    for number, (image, size) in shown.items():
        assert size == (192, 288)
        np.testing.assert_array_equal(image, batch['image'][number].numpy()[..., ::-1])
