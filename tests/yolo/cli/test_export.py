"""`python -m yolo export`: what it writes, what it leaves alone, and that it writes all or nothing."""

import errno
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import CLASSES, DATA, ROOT, SMALL, digests, yolo_on_a_full_disk

import yolo.__main__
from yolo import lock, storage
from yolo.cli import flags
from yolo.data import labels
from yolo.detection import exported
from yolo.export import tflite
from yolo.models import cfg, conversion, model_folder
from yolo.models.build import DarknetModel
from yolo.models.darknet import save_darknet

CLASSIFIER = """[net]
width=32
height=32
[convolutional]
filters=3
size=1
activation=linear
[avgpool]
[softmax]
"""


@pytest.fixture(scope='module')
def model_dir(tmp_path_factory):
    """A model with random weights."""
    folder = str(tmp_path_factory.mktemp('model'))
    conversion.write_folder(DarknetModel(cfg.read(SMALL), 640), model_folder.ModelInfo(CLASSES, 'letterbox'), folder)
    return folder


@pytest.fixture
def call(capfd):
    """Calls the command within this process: its exit status, the lines on stdout, and what it wrote to stderr."""

    def called(*words: str) -> tuple[int, list[str], str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            flags.run(yolo.__main__.COMMANDS['export'], ['export', *words])
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out.splitlines(), err

    return called


@pytest.fixture
def small_files(monkeypatch):
    """An exporter that is quick: its files hold the number of the format and the size of the network."""

    def build(folded, about, calibration):
        return f'{about.format} {folded.network.image_size}'.encode(), about

    monkeypatch.setattr(tflite, 'build', build)


def test_files_descriptions_and_labels(call, model_dir, tmp_path, small_files):
    (tmp_path / 'out').mkdir()
    for name in ('notes.txt', 'model.tflite', 'labels.txt'):
        (tmp_path / 'out' / name).write_text('of before')
    words = (f'--model_dir={model_dir}', f'--out_dir={tmp_path}/out', '--image_size=128x64', '--score_threshold=0.5')
    status, out, err = call(*words, '--formats=tflite,tflite_fp16,tflite')
    assert (status, err) == (0, '')
    names = ['labels.txt', 'model.tflite', 'model_fp16.tflite']
    assert out == [f'{tmp_path}/out/{name}' for name in names]
    assert set(os.listdir(tmp_path / 'out')) == {*names, 'model.tflite.json', 'model_fp16.tflite.json', 'notes.txt'}
    assert (tmp_path / 'out/notes.txt').read_text() == 'of before'
    assert (tmp_path / 'out/model.tflite').read_text() == 'tflite (64, 128)'
    assert (tmp_path / 'out/labels.txt').read_text() == 'bright\ndark\n'
    about = exported.read(f'{tmp_path}/out/model_fp16.tflite')
    assert (about.classes, about.resize, about.image_size) == (CLASSES, 'letterbox', (64, 128))
    assert (about.output, about.batch_size, about.score_threshold) == ('boxes', 1, 0.5)
    assert (about.source.checkpoint, about.source.seen) == ('checkpoints/ckpt-0', 640)


@pytest.mark.slow
def test_the_usual_formats_of_a_run(call, tmp_path):
    run = DATA / 'version_0_1' / 'run'
    words = (f'--model_dir={run}', f'--out_dir={tmp_path}', '--formats=saved_model,tflite')
    assert call(*words)[0] == 0
    first = digests(tmp_path)
    assert exported.read(f'{tmp_path}/saved_model').batch_size is None
    assert exported.read(f'{tmp_path}/saved_model').output == 'detections'
    (tmp_path / 'saved_model/of_before').write_text('')
    assert call(*words)[0] == 0  # the folder is replaced as a whole
    assert digests(tmp_path) == first


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--formats=onnx,caffe',), "--formats: no format 'caffe'; there are saved_model, onnx, tflite, "),
        (('--formats=',), '--formats: no format is given'),
        (('--formats=tflite', '--batch_size=dynamic'), '--batch_size=dynamic: tflite takes a fixed number of images'),
        (('--formats=tflite', '--batch_size=0'), '--batch_size=0: must be 1 to 65,536, or dynamic'),
        (('--formats=tflite', '--batch_size=some'), "--batch_size=some: 'some' is not a whole number"),
        (
            ('--formats=tflite', '--output=detections'),
            '--output=detections: tflite has no suppression inside; give raw',
        ),
        (('--formats=tflite_int8',), 'tflite_int8 needs images that show the range of its numbers: give --calibration'),
        (('--formats=tflite', '--image_size=100'), '--image_size=100: '),
        (('--formats=tflite', '--image_size=0'), '--image_size=0: '),
        (('--formats=tflite', '--output=pixels'), '--output=pixels: not one of raw, boxes, detections'),
        (('--formats=tflite', '--labels=a,b,c'), '--labels=a,b,c: 3 names, but the network has 2 classes'),
        (('--formats=tflite', '--keras=x.keras'), 'give one of --cfg and --weights, --model_dir, or --keras'),
        (('--formats=tflite', '--checkpoint=best'), "no best checkpoint in '"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_nothing_is_written(call, model_dir, tmp_path, words, message):
    status, out, err = call(f'--model_dir={model_dir}', f'--out_dir={tmp_path}/out', *words)
    assert (status, out) == (1, [])
    assert err.startswith('yolo export: ')
    assert message in err
    assert err.count('\n') == 1
    assert os.listdir(tmp_path) == []


def test_what_is_no_model_is_one_line(call, model_dir, tmp_path):
    without_weights = shutil.copytree(model_dir, tmp_path / 'run')
    shutil.rmtree(without_weights / 'checkpoints')
    (tmp_path / 'file').write_text('')
    (tmp_path / 'classifier.cfg').write_text(CLASSIFIER)
    classifier = f'--cfg={tmp_path}/classifier.cfg', f'--weights={tmp_path}/classifier.weights'
    network = cfg.read(classifier[0].removeprefix('--cfg='))
    save_darknet(DarknetModel(network), f'{tmp_path}/c.cfg', classifier[1].removeprefix('--weights='))
    for words, message in (
        ((f'--model_dir={without_weights}',), 'no best or latest checkpoint in '),
        ((f'--model_dir={tmp_path}/none',), "/none' has no model.json: no model was trained or converted there"),
        ((f'--cfg={SMALL}',), '--cfg and --weights go together'),
        ((f'--cfg={SMALL}', f'--weights={tmp_path}/none'), '/none'),
        ((f'--keras={tmp_path}/file',), '/file: not a .keras file of a model'),
        (classifier, 'region'),
        ((), 'give one of --cfg and --weights, --model_dir, or --keras'),
        ((f'--model_dir={model_dir}', f'--out_dir={tmp_path}/file'), '/file is a file; give a folder'),
        ((f'--model_dir={model_dir}', f'--out_dir={tmp_path}/file/x'), '/file is a file, not a folder'),
    ):
        status, out, err = call('--formats=tflite', f'--out_dir={tmp_path}/out', *words)
        assert (status, out) == (1, []), words
        assert message in err
        assert err.count('\n') == 1, err
        assert not (tmp_path / 'out').exists()


def test_a_missing_package_is_named_with_the_extra(call, model_dir, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'onnx' else real(name))
    status, _, err = call(f'--model_dir={model_dir}', f'--out_dir={tmp_path}/out', '--formats=onnx')
    assert status == 1
    assert 'onnx needs the package onnx, which is not installed: pip install ' in err
    assert '[export]' in err


def test_names_for_darknets_files_and_for_a_model_without_names(call, tmp_path, small_files):
    save_darknet(DarknetModel(cfg.read(SMALL), 77), f'{tmp_path}/m.cfg', f'{tmp_path}/m.weights')
    (tmp_path / 'names').write_text('cat\ndog\n')
    words = (f'--cfg={tmp_path}/m.cfg', f'--weights={tmp_path}/m.weights', '--formats=tflite')
    for given, classes in ((('--labels=a,b',), 'a\nb\n'), ((f'--labels={tmp_path}/names',), 'cat\ndog\n')):
        assert call(*words, f'--out_dir={tmp_path}/out', *given)[0] == 0
        assert (tmp_path / 'out/labels.txt').read_text() == classes
    assert call(*words, f'--out_dir={tmp_path}/out', '--resize=letterbox')[0] == 0
    assert (tmp_path / 'out/labels.txt').read_text() == 'class 0\nclass 1\n'
    about = exported.read(f'{tmp_path}/out/model.tflite')
    assert (about.resize, about.source) == ('letterbox', exported.Source('m.cfg', 'm.weights', 77))
    assert labels.read(f'{tmp_path}/out/labels.txt') == about.classes


def test_the_map_of_the_same_checkpoint_is_taken_over(call, model_dir, tmp_path, small_files):
    run = shutil.copytree(model_dir, tmp_path / 'run')
    points = {name: {'best_f1': {'score': 0.5}} for name in CLASSES}
    metrics = {'map_11pt': 0.5, 'map_area': 0.6, 'split': 'test', 'per_class': points}
    (run / 'report').mkdir()
    words = (f'--model_dir={run}', f'--out_dir={tmp_path}/out', '--formats=tflite')
    numbers, moved = {name: metrics[name] for name in ('map_11pt', 'map_area', 'split')}, '/moved/since'
    for checkpoint, flags_given, expected in (
        (f'{moved}/checkpoints/ckpt-0', (), numbers),
        (f'{moved}/checkpoints/ckpt-0', ('--box_convention=voc',), numbers),  # as it was measured
        (f'{moved}/checkpoints/ckpt-0', ('--box_convention=darknet',), {}),
        (f'{run}/best/ckpt-0', (), {}),
    ):
        (run / 'report/metrics.json').write_text(json.dumps({**metrics, 'checkpoint': checkpoint}))
        assert call(*words, *flags_given)[0] == 0
        assert exported.read(f'{tmp_path}/out/model.tflite').source.metrics == expected
    (run / 'report/metrics.json').write_text('{')
    status, _, err = call(*words)
    assert status == 1
    assert 'report/metrics.json is damaged' in err


def test_two_commands_do_not_write_to_one_folder(call, model_dir, tmp_path, small_files):
    words = (f'--model_dir={model_dir}', f'--out_dir={tmp_path}/out', '--formats=tflite')
    with lock.hold(str(tmp_path / 'out'), 'yolo export', '--out_dir'):
        status, _, err = call(*words)
        assert os.listdir(tmp_path / 'out') == ['.lock']
    assert status == 1
    assert 'yolo export' in err
    assert 'give another --out_dir' in err
    assert err.count('\n') == 1
    assert call(*words)[0] == 0


def test_what_a_killed_command_left_is_removed(call, model_dir, tmp_path, small_files):
    (tmp_path / 'out/.partial/saved_model').mkdir(parents=True)
    (tmp_path / 'out/.partial/model.tflite').write_text('half')
    assert call(f'--model_dir={model_dir}', f'--out_dir={tmp_path}/out', '--formats=tflite_fp16')[0] == 0
    assert sorted(os.listdir(tmp_path / 'out')) == ['labels.txt', 'model_fp16.tflite', 'model_fp16.tflite.json']


@pytest.mark.parametrize('last', range(1, 7))
def test_a_disk_that_fails_while_files_are_moved_leaves_those_of_before(
    call, model_dir, tmp_path, small_files, monkeypatch, last
):
    """Two files and a folder are replaced, two files are new: the last of up to eight moves fails."""
    out = tmp_path / 'out'
    (out / 'model.tflite').mkdir(parents=True)
    (out / 'model.tflite/x').write_text('of before')
    for name in ('labels.txt', 'model.tflite.json'):
        (out / name).write_text('of before')
    before, count, move = digests(tmp_path), 0, storage.move

    def failing(path: str, target: str) -> None:
        nonlocal count
        count += 1
        if count == last:
            raise OSError(errno.ENOSPC, 'No space left on device', target)
        move(path, target)

    monkeypatch.setattr(storage, 'move', failing)
    status, _, err = call(f'--model_dir={model_dir}', f'--out_dir={out}', '--formats=tflite,tflite_fp16')
    assert status == 1
    assert 'No space left on device' in err
    assert err.count('\n') == 1
    assert digests(tmp_path) == before
    assert sorted(os.listdir(out)) == ['labels.txt', 'model.tflite', 'model.tflite.json']


@pytest.mark.slow
@pytest.mark.parametrize('is_new', [True, False])
def test_a_full_disk_in_the_middle_leaves_the_folder_as_it_was(model_dir, tmp_path, is_new):
    """Enough for the first format's file, not for the graph of the SavedModel."""
    pytest.importorskip('onnx', reason='the package onnx is not installed')
    out = tmp_path / 'out'
    if not is_new:
        (out / 'saved_model').mkdir(parents=True)
        (out / 'saved_model/saved_model.pb').write_text('of before')
        (out / 'model.tflite').write_text('of before')
    before, limit = digests(tmp_path), 120_000
    words = [f'--model_dir={model_dir}', f'--out_dir={out}', '--formats=onnx,saved_model']
    done = yolo_on_a_full_disk(limit, 'export', *words)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith('yolo export: '), done.stderr
    assert 'saved_model' in done.stderr
    assert done.stderr.count('\n') == 1, done.stderr
    assert digests(tmp_path) == before
    assert out.exists() != is_new


@pytest.mark.slow
@pytest.mark.parametrize('is_new', [True, False])
def test_ctrl_c_in_the_middle_leaves_the_folder_as_it_was(model_dir, tmp_path, is_new):
    out = tmp_path / 'out'
    if not is_new:
        out.mkdir()
        (out / 'model_fp16.tflite').write_text('of before')
    before = digests(tmp_path)
    words = [f'--model_dir={model_dir}', f'--out_dir={out}', '--formats=tflite_fp16,saved_model']
    process = subprocess.Popen(
        [sys.executable, '-m', 'yolo', 'export', *words], cwd=ROOT, text=True, stderr=subprocess.PIPE
    )
    while not pathlib.Path(out, '.partial/model_fp16.tflite').exists():  # and the SavedModel takes seconds
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=100)[1]
    assert process.returncode == 130
    assert err == 'yolo export: SIGINT: ended\n'
    assert digests(tmp_path) == before
    assert out.exists() != is_new
