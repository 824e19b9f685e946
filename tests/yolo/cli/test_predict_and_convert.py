"""`yolo predict` and `yolo convert` where names are odd, disks full, and files in the way of folders."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import CLASSES, ROOT, SMALL, digests, make_image, yolo_on_a_full_disk

import yolo.__main__
from yolo.cli import flags
from yolo.data import images
from yolo.models import cfg, conversion, model_folder
from yolo.models.build import DarknetModel

NOT_TEXT = os.fsdecode(b'caf\xe9.png')


@pytest.fixture(scope='module')
def model_dir(tmp_path_factory):
    """A model with random weights."""
    folder = str(tmp_path_factory.mktemp('model'))
    model = DarknetModel(cfg.read(SMALL))
    conversion.write_folder(model, model_folder.ModelInfo(CLASSES, 'stretch'), folder)
    return folder


@pytest.fixture
def call(capfd):
    """Calls a command within this process: its exit status, what it printed, and its lines on stderr."""

    def called(name: str, *words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            flags.run(yolo.__main__.COMMANDS[name], [name, *words])
        return int(ended.value.code or 0), *capfd.readouterr()

    return called


def write_image(path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(make_image(np.random.default_rng(seed), 64, 1)[0]))


def test_the_range_of_16_bits_can_be_given_where_files_do_not_hold_it(call, model_dir, tmp_path):
    network = dataclasses.replace(cfg.read(SMALL), channels=1)
    conversion.write_darknet(DarknetModel(network), f'{tmp_path}/m.cfg', f'{tmp_path}/m.weights', None)
    files = f'--cfg={tmp_path}/m.cfg', f'--weights={tmp_path}/m.weights', f'--model_dir_out={tmp_path}/out'
    assert call('convert', *files, '--grey_range=7000,9000')[0] == 0
    assert model_folder.read_info(f'{tmp_path}/out').grey_range == (7000, 9000)
    again = f'--model_dir={tmp_path}/out', f'--model_dir_out={tmp_path}/again'
    assert call('convert', *again)[0] == 0
    assert model_folder.read_info(f'{tmp_path}/again').grey_range == (7000, 9000)
    status, _, err = call(
        'convert', f'--model_dir={model_dir}', f'--model_dir_out={tmp_path}/no', '--grey_range=7000,9000'
    )
    assert status == 1
    assert '--grey_range=7000,9000 goes with --channels=1, not with 3' in err


def test_every_image_has_a_drawing_of_its_own(call, model_dir, tmp_path):
    paths = [tmp_path / 'in' / name for name in ('a_b/c/x.png', 'a/b_c/x.png', 'a/b_d/sheet')]
    for seed, path in enumerate(paths):
        write_image(path, seed)
    flags_given = (f'--images={tmp_path}/in/*/*/*', f'--out_dir={tmp_path}/out', '--sheet=3', '--score_threshold=1')
    status, _, err = call('predict', f'--model_dir={model_dir}', *flags_given)
    assert (status, err) == (0, '')
    found = json.loads((tmp_path / 'out/detections.json').read_text())
    assert len({entry['drawn'] for entry in found}) == 3
    for entry in found:  # no detection: the drawing is the image
        with open(entry['image'], 'rb') as file:
            original = images.decode(file.read())
        drawn = images.decode((tmp_path / 'out' / entry['drawn']).read_bytes())
        np.testing.assert_array_equal(drawn, original)
    sheet = images.decode((tmp_path / 'out/sheet.png').read_bytes())
    assert sheet.shape[1] > 3 * 64


@pytest.mark.slow
def test_a_name_that_is_no_text_is_drawn_and_shown_escaped(model_dir, tmp_path):
    write_image(tmp_path / 'in' / NOT_TEXT)
    (tmp_path / 'in' / os.fsdecode(b'\xff.jpg')).write_bytes(b'no image')
    command = ['-m', 'yolo', 'predict', f'--model_dir={model_dir}', '--sheet=2']
    done = subprocess.run(
        [sys.executable, *command, f'--images={tmp_path}/in', f'--out_dir={tmp_path}/' + os.fsdecode(b'o\xfft')],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, 'LC_ALL': 'C.UTF-8'},
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.decode().startswith(f'error: {tmp_path}/in/\\xff.jpg left out: not an image')
    assert done.stderr.count(b'\n') == 1
    assert ' objects in 1 images: ' in done.stdout.decode()
    out = tmp_path / os.fsdecode(b'o\xfft')
    entries = json.loads((out / 'detections.json').read_bytes().decode('utf-8', 'strict'))
    assert entries[0]['image'].encode('utf-8', 'strict') == f'{tmp_path}/in/caf\\xe9.png'.encode()
    assert entries[0]['drawn'] == 'caf\\xe9.png.png'
    assert sorted(digests(out)) == ['caf\\xe9.png.png', 'detections.json', 'sheet.png']


def test_a_file_in_the_way_of_the_folder_is_one_line(call, model_dir, tmp_path):
    write_image(tmp_path / 'x.png')
    status, _, err = call(
        'predict', f'--model_dir={model_dir}', f'--images={tmp_path}', f'--out_dir={tmp_path}/x.png/out'
    )
    assert status == 1
    assert err == (
        f'yolo predict: {tmp_path}/x.png/out: {tmp_path}/x.png is a file, not a folder; give another folder\n'
    )


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--num_convolutions=99',), '--num_convolutions=99: 99 convolutions cannot be written, the network has 4'),
        (('--keras_out={out}/x.h5',), '/x.h5: the name has to end in .keras'),
        (('--keras_out={out}/x',), '/x: the name has to end in .keras'),
        (('--keras_out={out}/x.keras', '--model_dir_out={model}'), 'a model is there already; give another folder'),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is(call, model_dir, tmp_path, words, message):
    given = [word.format(out=tmp_path, model=model_dir) for word in words]
    targets = (f'--cfg_out={tmp_path}/x.cfg', f'--weights_out={tmp_path}/x.weights')
    status, _, err = call('convert', f'--model_dir={model_dir}', *targets, *given)
    assert status == 1
    assert message in err
    assert err.count('\n') == 1
    assert digests(tmp_path) == {}


def test_a_number_of_convolutions_without_weights_is_refused(call, model_dir, tmp_path):
    words = (f'--keras_out={tmp_path}/x.keras', '--num_convolutions=2')
    status, _, err = call('convert', f'--model_dir={model_dir}', *words)
    assert (status, digests(tmp_path)) == (1, {})
    assert '--num_convolutions=2 goes with --cfg_out and --weights_out' in err


@pytest.mark.slow
@pytest.mark.parametrize('target', ['keras_out', 'weights_out', 'model_dir_out'])
def test_a_full_disk_leaves_what_was_there(model_dir, tmp_path, target):
    """--keras_out replaces a good file, the others are new."""
    (tmp_path / 'x.keras').write_bytes(b'of before')
    words = {
        'keras_out': [f'--keras_out={tmp_path}/x.keras'],
        'weights_out': [f'--cfg_out={tmp_path}/x.cfg', f'--weights_out={tmp_path}/x.weights'],
        'model_dir_out': [f'--model_dir_out={tmp_path}/x'],
    }[target]
    limit = 4000  # bytes a file: enough for x.cfg, not for weights
    done = yolo_on_a_full_disk(limit, 'convert', f'--model_dir={model_dir}', *words)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count('\n') == 1, done.stderr
    assert str(tmp_path / 'x') in done.stderr
    left = digests(tmp_path)
    assert (tmp_path / 'x.keras').read_bytes() == b'of before'
    assert [name for name in left if name != 'x.keras' and not name.startswith('x/')] == []
    assert [name for name in left if 'ckpt' in name or 'partial' in name] == []
