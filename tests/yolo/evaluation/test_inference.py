"""From records to detections: every image once, in pixels of the original, with a bar where there is a terminal."""

import io
import json
import threading
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf
from tqdm import tqdm

from yolo import progress
from yolo.data import pipeline
from yolo.evaluation import inference, record_pictures, summary
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


@pytest.mark.parametrize(('is_terminal', 'show_progress'), [(True, True), (True, False), (False, True)])
def test_a_bar_with_images_a_second_is_shown_on_a_terminal(records_dir, monkeypatch, is_terminal, show_progress):
    output = io.StringIO()
    output.isatty = lambda: is_terminal
    monkeypatch.setattr(progress, 'tqdm', lambda **options: tqdm(file=output, **options))
    inference.run_inference(predict, records_dir, 'test', 3, Thresholds(), show_progress)
    if is_terminal and show_progress:
        assert '8/8' in output.getvalue()
        assert ' images/s' in output.getvalue()
    else:
        assert output.getvalue() == ''


def test_without_a_terminal_the_log_says_how_far_an_evaluation_is(records_dir, monkeypatch, caplog):
    monkeypatch.setattr(progress, 'SECONDS', 0)
    for show_progress in (True, False):
        caplog.clear()
        with caplog.at_level('INFO'):
            inference.run_inference(predict, records_dir, 'test', 3, Thresholds(), show_progress)
        lines = [line.rpartition(',')[0] for line in caplog.messages]
        assert lines == (['test: 3 of 8 images', 'test: 6 of 8 images', 'test: 8 of 8 images'] if show_progress else [])


def test_pictures_are_the_stored_images_by_number(records_dir):
    batch = next(iter(pipeline.evaluation_batches(records_dir, 'test', 8)))
    shown = record_pictures.read(records_dir, 'test', [5, 1])
    assert set(shown) == {1, 5}
    for number, (image, size) in shown.items():
        assert size == (192, 288)
        np.testing.assert_array_equal(image, batch['image'][number].numpy()[..., ::-1])


class Threads:
    """Processes that evaluate together, as threads."""

    def __init__(self, index, count, barrier, given):
        self.index, self.count, self.barrier, self.given = index, count, barrier, given

    def gather(self, data):
        self.given[self.index] = data
        self.barrier.wait(60)
        return [self.given[index] for index in range(self.count)]


@pytest.mark.parametrize('count', [2, 3, 11])
def test_processes_share_the_images_and_all_get_what_one_gets(records_dir, count):
    def one_an_image(images):  # unlike `predict` above: whatever the batch
        found = {name: value.numpy() for name, value in predict(images).items()}
        found['scores'][:, 0] = np.mean(images, (1, 2, 3)) / 255
        return {**found, 'count': np.ones(len(found['count']), int)}

    thresholds = Thresholds(max_detections=1)
    expected, settings, _ = inference.run_inference(one_an_image, records_dir, 'test', 5, thresholds)
    barrier, given = threading.Barrier(count), {}
    workers = [Threads(index, count, barrier, given) for index in range(count)]

    def run(worker):
        return inference.run_inference(one_an_image, records_dir, 'test', 5, thresholds, workers=worker)

    with futures.ThreadPoolExecutor(count) as pool:
        results = list(pool.map(run, workers))
    assert len(set(map(len, given.values()))) > 1 or count == 2  # 8 images are no equal parts
    assert len(np.unique(expected.detections.scores)) == 8
    for result, its_settings, milliseconds in results:
        assert its_settings == settings
        assert settings['num_images_at_max_detections'] == 8
        assert milliseconds > 0
        assert result.image_ids == expected.image_ids
        for kind in ('truth', 'detections'):
            for name, value in vars(getattr(expected, kind)).items():
                other = getattr(getattr(result, kind), name)
                np.testing.assert_array_equal(other, value, err_msg=f'{kind} {name}')
                assert other.dtype == value.dtype


def test_the_host_finishes_a_batch_while_the_network_computes_the_next(records_dir):
    """Each finish but the last waits for the network to begin the next batch, which one after the other never ends."""
    begun, finished = [threading.Event() for _ in range(4)], []

    def network(images):
        begun[sum(event.is_set() for event in begun)].set()
        return predict(images)

    def finish(outputs):
        number = len(finished)
        assert begun[min(number + 1, 3)].wait(60)
        finished.append(threading.current_thread())
        return outputs

    result, _, _ = inference.run_inference(
        inference.OnHost(network, finish), records_dir, 'test', 2, Thresholds(max_detections=2)
    )
    assert len(result.image_ids) == 8
    assert finished == [threading.main_thread()] * 4
