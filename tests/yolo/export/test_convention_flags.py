"""--box_convention of every command: what the flag does, and what is done without it."""

import json

import numpy as np
import pytest
from conftest import CLASSES, DATA
from exported_models import make_model, make_photo
from test_commands import call  # noqa: F401

from yolo.data import images, records
from yolo.detection import exported, host
from yolo.evaluation import models
from yolo.evaluation.settings import EvalSettings
from yolo.export import tflite
from yolo.models import cfg, conversion, model_folder
from yolo.models.build import DarknetModel
from yolo.prediction.writers import SIDES

OLD = DATA / 'version_0_1'
CLASSIFIER = '[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=3\nsize=1\nactivation=linear\n[avgpool]\n[softmax]\n'
GIVEN = pytest.mark.parametrize(
    ('flags', 'expected'), [((), 'voc'), (('--box_convention=darknet',), 'darknet')], ids=['own', 'darknet']
)


@pytest.fixture(scope='module')
def model_dir(tmp_path_factory):
    """A model with random weights that finds something, trained here."""
    folder = str(tmp_path_factory.mktemp('model'))
    conversion.write_folder(make_model(), model_folder.ModelInfo(CLASSES, 'stretch'), folder)
    return folder


@GIVEN
def test_convert_writes_it(call, model_dir, tmp_path, flags, expected):  # noqa: F811
    files = f'--cfg_out={tmp_path}/x.cfg', f'--weights_out={tmp_path}/x.weights'
    assert call('convert', f'--model_dir={model_dir}', *files, *flags)[0] == 0
    assert (tmp_path / 'x.cfg').read_text().startswith(f'# box_convention={expected}\n')


def test_convert_refuses_it_for_a_classifier(call, tmp_path):  # noqa: F811
    paths = f'{tmp_path}/c.cfg', f'{tmp_path}/c.weights'
    conversion.write_darknet(DarknetModel(cfg.parse(CLASSIFIER)), *paths, None)
    words = f'--cfg={paths[0]}', f'--weights={paths[1]}', f'--keras_out={tmp_path}/c.keras'
    status, text = call('convert', *words, '--box_convention=voc')
    assert status == 1
    assert f'--box_convention=voc: {paths[0]} is a classifier, without boxes' in text
    assert call('convert', *words)[0] == 0
    assert 'box_convention' not in (tmp_path / 'c.cfg').read_text()


@GIVEN
def test_export_writes_it(call, model_dir, tmp_path, monkeypatch, flags, expected):  # noqa: F811
    monkeypatch.setattr(tflite, 'build', lambda folded, about, calibration: (b'', about))
    words = f'--model_dir={model_dir}', f'--out_dir={tmp_path}', '--formats=tflite'
    assert call('export', *words, *flags)[0] == 0
    assert exported.read(f'{tmp_path}/model.tflite').box_convention == expected


def test_predict_adds_the_pixel(call, model_dir, tmp_path):  # noqa: F811
    (tmp_path / 'photo.png').write_bytes(images.encode_png(make_photo(1, (150, 90))))
    words = f'--model_dir={model_dir}', f'--source={tmp_path}/photo.png', '--write=json', '--score_threshold=0.3'
    boxes = {}
    for name, flags in ('own', ()), ('voc', ('--box_convention=voc',)), ('darknet', ('--box_convention=darknet',)):
        _, text = call('predict', *words, f'--out_dir={tmp_path}/{name}', *flags, check=True)
        assert ('one pixel of the photo early' in text) == (name == 'darknet')
        [photo] = json.loads((tmp_path / name / 'detections.json').read_text())
        boxes[name] = np.array([[each[side] for side in SIDES] for each in photo['detections']])
    assert boxes['own'].tolist() == boxes['voc'].tolist()
    expected = np.minimum(boxes['voc'] + [0, 0, 1, 1], [90, 150, 90, 150])
    np.testing.assert_allclose(boxes['darknet'], expected, atol=0.02)
    assert (boxes['darknet'][:, 2:] - boxes['voc'][:, 2:] > 0.9).any()


@pytest.mark.parametrize(('asked', 'expected'), [(None, 'voc'), ('darknet', 'darknet')])
def test_eval_takes_it(asked, expected):
    settings = EvalSettings(data_dir=f'{OLD}/records', model_dir=f'{OLD}/run', box_convention=asked)
    model = models.load(settings, records.read_description(settings.data_dir), host.Thresholds())
    assert model.box_convention == expected
