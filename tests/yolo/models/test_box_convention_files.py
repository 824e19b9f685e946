"""The files of a model say where its boxes end, whichever way it takes through them."""

import dataclasses
import json
import pathlib
import shutil
import zipfile

import pytest
from conftest import DATA

import yolo
from yolo.models import architectures, cfg, conversion, model_folder, spec
from yolo.models.build import DarknetModel
from yolo.models.model_folder import ModelInfo
from yolo.training import config, network

FOREIGN, WEIGHTS = (f'{DATA}/darknet/yolov2-tiny-w16.{suffix}' for suffix in ('cfg', 'weights'))
OLD = f'{DATA}/version_0_1/run'


def of(**source: str) -> str:
    """The convention of a model that is read."""
    return conversion.read_model(**source)[0].network.box_convention


def test_a_cfg_says_it_in_a_comment_and_one_of_darknets_does_not():
    foreign = pathlib.Path(FOREIGN).read_text()
    assert cfg.parse(foreign).box_convention == 'darknet'
    for convention in ('voc', 'darknet'):
        text = cfg.write(dataclasses.replace(cfg.parse(foreign), box_convention=convention))
        assert text.splitlines()[0] == f'# box_convention={convention}'
        assert cfg.parse(text).box_convention == convention
        assert cfg.parse(text) == cfg.parse(foreign)  # which compute the same
    for comment in (' ;box_convention = voc ', '## Box_Convention: VOC'):
        assert cfg.parse(f'{foreign}\n{comment}').box_convention == 'voc'


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ('# box_convention=coco', 'x.cfg:1: box_convention=coco: not one of voc, darknet'),
        (
            '# box_convention=voc\n# box_convention=darknet',
            'x.cfg:2: box_convention=darknet, but a line above says voc',
        ),
    ],
)
def test_a_comment_that_is_not_understood_is_refused(lines, message):
    with pytest.raises(ValueError, match=message):
        cfg.parse(f'{lines}\n{pathlib.Path(FOREIGN).read_text()}', 'x.cfg')


@pytest.mark.slow
def test_darknets_keeps_it_on_every_way(tmp_path):
    model, info = conversion.read_model(FOREIGN, WEIGHTS)
    conversion.write_folder(model, info, f'{tmp_path}/folder')
    model, _ = conversion.read_model(model_dir=f'{tmp_path}/folder')
    conversion.write_keras(model, f'{tmp_path}/x.keras')
    model, _ = conversion.read_model(keras=f'{tmp_path}/x.keras')
    conversion.write_darknet(model, f'{tmp_path}/x.cfg', f'{tmp_path}/x.weights', None)
    assert cfg.read(f'{tmp_path}/x.cfg').box_convention == 'darknet'
    assert yolo.load_detector(f'{tmp_path}/folder').box_convention == 'darknet'
    assert yolo.load_detector(f'{tmp_path}/folder', box_convention='voc').box_convention == 'voc'
    conversion.set_box_convention(model, 'voc', 'x')
    conversion.write_darknet(model, f'{tmp_path}/x.cfg', f'{tmp_path}/x.weights', None)
    for backend in ('', 'opencv'):
        detector = yolo.load_detector(f'{tmp_path}/x.cfg', weights=f'{tmp_path}/x.weights', backend=backend)
        assert detector.box_convention == 'voc'


def test_what_was_trained_here_is_voc_everywhere(tmp_path):
    """A run of version 0.1, whose files do not say it, but for the .cfg when it is taken for one of Darknet's."""
    assert 'box_convention' not in pathlib.Path(OLD, 'network.cfg').read_text()
    assert of(model_dir=OLD) == 'voc'
    model = model_folder.load_trained(OLD)[0]
    conversion.write_darknet(model, f'{tmp_path}/x.cfg', f'{tmp_path}/x.weights', None)
    assert of(cfg=f'{tmp_path}/x.cfg', weights=f'{tmp_path}/x.weights') == 'voc'
    shutil.copy(f'{OLD}/network.cfg', f'{tmp_path}/old.cfg')
    assert of(cfg=f'{tmp_path}/old.cfg', weights=f'{tmp_path}/x.weights') == 'darknet'  # with a warning: see below
    assert architectures.build_spec('yolov2-tiny', 2, [(1, 1)]).box_convention == 'voc'


def test_a_network_of_darknets_that_is_trained_here_becomes_voc(tmp_path):
    """With --model=FILE.cfg, and so with --init_weights, of which only the numbers are taken."""
    asked = config.TrainConfig(
        data_dir='', model_dir='', model=FOREIGN, classes=('a', 'b'), anchors=((1, 1),), image_size=(64, 96)
    )
    assert network.make_network(asked).box_convention == 'voc'
    model_folder.write_model(str(tmp_path), network.make_network(asked), ModelInfo(('a', 'b'), 'stretch'))
    assert cfg.read(f'{tmp_path}/network.cfg').box_convention == 'voc'


def without_comment(text: str) -> str:
    """A .cfg as an earlier version wrote it."""
    comment, rest = text.split('\n', 1)
    assert comment.startswith('# box_convention=')
    return rest


def warning_of(caplog, path: str, asked: str | None = None, **source: str) -> str:
    """What is warned of when the boxes of a model are to be put into photos."""
    model, _ = conversion.read_model(**source)
    assert not caplog.records
    conversion.set_box_convention(model, asked, path)
    text = '; '.join(record.getMessage() for record in caplog.records if record.levelname == 'WARNING')
    caplog.clear()
    conversion.set_box_convention(model, None, path)  # now it says it
    assert 'WARNING' not in {record.levelname for record in caplog.records}
    caplog.clear()
    return text


def test_a_keras_file_that_does_not_say_it_is_voc_with_a_warning(tmp_path, caplog):
    model, _ = conversion.read_model(FOREIGN, WEIGHTS)
    conversion.write_keras(model, f'{tmp_path}/new.keras')
    with zipfile.ZipFile(f'{tmp_path}/new.keras') as new, zipfile.ZipFile(f'{tmp_path}/old.keras', 'w') as old:
        for name in new.namelist():
            data = new.read(name)
            if name == 'config.json':
                about = json.loads(data)
                about['config']['cfg'] = without_comment(about['config']['cfg'])
                data = json.dumps(about).encode()
            old.writestr(name, data)
    assert of(keras=f'{tmp_path}/new.keras') == 'darknet'
    assert of(keras=f'{tmp_path}/old.keras') == 'voc'
    model_folder.initialize(DarknetModel(cfg.read(FOREIGN)), f'{tmp_path}/old.keras')  # of which no boxes are taken
    assert warning_of(caplog, 'new', keras=f'{tmp_path}/new.keras') == ''
    assert warning_of(caplog, 'old', 'darknet', keras=f'{tmp_path}/old.keras') == ''
    text = warning_of(caplog, 'old.keras', keras=f'{tmp_path}/old.keras')
    assert text.startswith('old.keras: taken as box_convention=voc: an earlier version wrote this model')
    assert text.endswith('if it was trained by Darknet, give box_convention=darknet')


def test_a_cfg_of_an_earlier_version_is_taken_for_darknets_with_a_warning(tmp_path, caplog):
    """Only the very lines that `cfg.write` gives are: those of Darknet's own files are not."""
    model = model_folder.load_trained(OLD)[0]
    conversion.write_darknet(model, f'{tmp_path}/x.cfg', f'{tmp_path}/x.weights', None)
    old = pathlib.Path(OLD, 'network.cfg').read_text()
    assert without_comment(pathlib.Path(f'{tmp_path}/x.cfg').read_text()) == old
    pathlib.Path(f'{tmp_path}/old.cfg').write_bytes(old.replace('\n', '\r\n').encode())
    files = {'cfg': f'{tmp_path}/old.cfg', 'weights': f'{tmp_path}/x.weights'}
    text = warning_of(caplog, 'old.cfg', **files)
    assert text.startswith('old.cfg: taken as box_convention=darknet: an earlier version wrote this model')
    assert text.endswith('if it was trained here, give box_convention=voc')
    assert warning_of(caplog, 'old.cfg', 'voc', **files) == ''
    assert warning_of(caplog, 'x', cfg=FOREIGN, weights=WEIGHTS) == ''
    for backend in ('', 'opencv'):
        yolo.load_detector(files['cfg'], weights=files['weights'], backend=backend)
        assert 'x.weights: taken as box_convention=darknet' in caplog.text
        caplog.clear()
    assert spec.adapt(cfg.read(files['cfg']), 2, [(1, 1)], (64, 96, 3)).convention_doubt == ''


def test_a_folder_of_an_earlier_version_is_voc_with_a_warning_if_it_is_no_run(tmp_path, caplog):
    assert warning_of(caplog, 'run', model_dir=OLD) == ''
    folder = shutil.copytree(OLD, f'{tmp_path}/folder', ignore=shutil.ignore_patterns('config.json'))
    assert of(model_dir=folder) == 'voc'
    assert 'by Darknet, give box_convention=darknet' in warning_of(caplog, 'folder', model_dir=folder)
