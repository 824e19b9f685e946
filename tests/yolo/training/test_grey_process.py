"""Grey images from end to end: preprocess, train, evaluate, export, predict, as a user types it."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT, SMALL, write_records

import yolo
from preprocess.demo.shapes import write_shapes
from yolo.data import records
from yolo.models import cfg
from yolo.training import network, resolve, settings_summary
from yolo.training.config import TrainConfig

LIMITS = ('--score_threshold=0.01', '--max_detections=20')


def process(*command: str) -> str:
    """Runs Python with these words; all it printed."""
    env = {**os.environ, 'CUDA_VISIBLE_DEVICES': ''}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def grey_set(folder) -> str:
    """Drawn shapes in VOC's layout, whose files have one channel."""
    write_shapes(str(folder), 24, 6, 0)
    for path in (folder / 'JPEGImages').iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    return str(folder)


def detections(path) -> list[dict]:
    return json.loads((path / 'detections.json').read_text())


@pytest.mark.slow
def test_grey_images_from_preprocessing_to_prediction(tmp_path):
    voc, data, run = grey_set(tmp_path / 'VOC'), str(tmp_path / 'data'), str(tmp_path / 'run')
    process(
        '-m', 'preprocess', f'--voc_dir={voc}', f'--out_dir={data}', '--image_size=96', '--channels=1', '--workers=1'
    )
    process('-m', 'preprocess', 'verify', f'--data_dir={data}')
    train = ('train.py', f'--data_dir={data}', '--eval_split=test', f'--model_dir={run}', f'--model={SMALL}')
    small = ('--num_steps=20', '--batch_size=8', '--mosaic=0.5', '--strategy=one_device', '--learning_rate=0.01')
    text = process(*train, *small)
    assert 'grey pixels' in text
    assert 'of the colours only brightness changes' in text
    assert cfg.read(f'{run}/network.cfg').input_shape == (96, 96, 1)
    process('eval.py', f'--data_dir={data}', '--split=test', f'--model_dir={run}')
    assert json.loads((tmp_path / 'run/report/metrics.json').read_text())['num_images'] == 6
    out = tmp_path / 'exported'
    formats = '--formats=onnx,tflite,tflite_int8'
    process('-m', 'yolo', 'export', f'--model_dir={run}', f'--out_dir={out}', formats, f'--calibration_data={data}')
    predict = ('-m', 'yolo', 'predict', f'--source={voc}/JPEGImages', *LIMITS)
    process(*predict, f'--model_dir={run}', f'--out_dir={tmp_path}/own', '--sheet=4')
    own = detections(tmp_path / 'own')
    assert sum(len(each['detections']) for each in own) > 20
    assert cv2.imread(str(tmp_path / 'own' / own[0]['drawn'])).std(2).max() > 0  # drawn in colour
    for file in ('model.onnx', 'model.tflite'):
        process(*predict, f'--model={out}/{file}', f'--out_dir={tmp_path}/{file}.found')
        for one, other in zip(own, detections(tmp_path / f'{file}.found'), strict=True):
            assert [each['label'] for each in one['detections']] == [each['label'] for each in other['detections']]
            scores = [[each['score'] for each in group['detections']] for group in (one, other)]
            np.testing.assert_allclose(*scores, atol=1e-3)
    check_darknets_files(tmp_path, data, run, own)


def check_darknets_files(tmp_path, data: str, run: str, own: list[dict]) -> None:
    """Darknet's files of the run, by our network and by OpenCV's."""
    darknet = [f'{tmp_path}/m.cfg', f'{tmp_path}/m.weights']
    process('-m', 'yolo', 'convert', f'--model_dir={run}', f'--cfg_out={darknet[0]}', f'--weights_out={darknet[1]}')
    found = []
    for backend in ('tensorflow', 'opencv'):
        detector = yolo.load_detector(darknet[0], weights=darknet[1], backend=backend, score_threshold=0.01)
        found.append(detector(own[0]['image']))
    np.testing.assert_allclose(found[0].boxes, found[1].boxes, atol=0.5)
    assert [each['score'] for each in own[0]['detections']] == pytest.approx(found[0].scores[:20].tolist(), abs=1e-3)
    evaluated = ('eval.py', f'--cfg={darknet[0]}', f'--weights={darknet[1]}', f'--report_dir={tmp_path}/darknet')
    process(*evaluated, f'--data_dir={data}')


def configured(folder: str, **changes) -> TrainConfig:
    given = {'data_dir': folder, 'train_split': 'train', 'model_dir': f'{folder}/run', 'model': SMALL, **changes}
    return resolve.resolve(TrainConfig(batch_size=4, num_steps=4, **given))


def test_the_network_of_a_run_has_the_channels_of_its_records(tmp_path):
    import tensorflow as tf

    folder = write_records(tmp_path / 'grey', channels=1)
    config, strategy = configured(folder), tf.distribute.OneDeviceStrategy('CPU:0')
    assert network.make_network(config).input_shape == (96, 96, 1)
    assert network.make_network(configured(folder, model='yolov2-tiny')).channels == 1
    lines = settings_summary.summarize_settings(config, strategy, 8)
    assert '96 x 96 grey pixels' in lines[1]
    assert 'of the colours only brightness changes' in lines[2]
    in_colour = configured(write_records(tmp_path / 'colour'))
    lines = settings_summary.summarize_settings(in_colour, strategy, 8)
    assert 'grey pixels' not in lines[1]
    assert 'brightness' not in lines[2]


@pytest.mark.parametrize(('of_records', 'of_model'), [(1, 3), (3, 1)])
def test_records_and_networks_of_different_channels_are_refused(tmp_path, of_records, of_model):
    from yolo.detection.host import Thresholds
    from yolo.evaluation import models
    from yolo.evaluation.settings import EvalSettings

    folder = write_records(tmp_path / 'data', channels=of_records)
    model = network.make_model(configured(write_records(tmp_path / 'other', channels=of_model)))
    yolo.save_darknet(model, f'{tmp_path}/m.cfg', f'{tmp_path}/m.weights')
    asked = EvalSettings(data_dir=folder, cfg=f'{tmp_path}/m.cfg', weights=f'{tmp_path}/m.weights')
    said = f'with --channels={of_records}, those of .*m.weights with --channels={of_model}; .* --channels={of_model}'
    with pytest.raises(ValueError, match=said):
        models.load(asked, records.read_description(folder), Thresholds())
