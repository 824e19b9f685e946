"""The package as others get it: built as a wheel, installed in a fresh environment, used outside of the checkout."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow
SOURCES = ('yolo', 'preprocess', 'train.py', 'eval.py', 'setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE')


def call(*command, cwd: pathlib.Path) -> str:
    """What a command prints; fails with that if its status is not 0."""
    env = {name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'VIRTUAL_ENV')}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f'{command}: {done.stdout}{done.stderr}'
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> pathlib.Path:
    """A copy of the checkout, so that building leaves nothing in it and finds no remains of an older build."""
    folder = tmp_path_factory.mktemp('source')
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp('wheel')
    call(sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--wheel-dir', folder, source, cwd=folder)
    [path] = folder.glob('*.whl')
    return path


@pytest.fixture(scope='module')
def environment(wheel, tmp_path_factory) -> pathlib.Path:
    """The folder of the commands of a fresh environment with the wheel alone in it.

    What the wheel depends on (2 GB with TensorFlow) is taken from the environment of the tests by a .pth file. The
    checkout is not: .pth files of editable installations are read in an environment's own folder only.
    """
    folder = tmp_path_factory.mktemp('environment')
    call(sys.executable, '-m', 'venv', folder, cwd=folder)
    scripts = folder / ('Scripts' if os.name == 'nt' else 'bin')
    pip = scripts / 'python', '-m', 'pip', '--disable-pip-version-check'
    call(*pip, 'install', '--quiet', '--no-deps', '--no-index', wheel, cwd=folder)
    purelib = call(scripts / 'python', '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))', cwd=folder)
    pathlib.Path(purelib.strip(), 'tests.pth').write_text(sysconfig.get_path('purelib') + '\n')
    return scripts


def test_every_file_of_the_packages_is_in_the_wheel(source, wheel):
    packaged = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(source).as_posix()
        for top in ('yolo', 'preprocess')
        for path in (source / top).rglob('*')
        if path.is_file()
    }
    assert expected - packaged == set()
    assert {'yolo/py.typed', 'train.py', 'eval.py'} <= packaged
    assert not [name for name in packaged if name.startswith(('tests', 'benchmarks', 'build'))]


def test_the_steps_of_the_demo_run_outside_of_the_checkout(environment, tmp_path):
    def run(name: str, *flags: str) -> str:
        return call(environment / name, *flags, cwd=tmp_path)

    place = run('python', '-c', 'import yolo, preprocess, train; print(yolo.__file__, preprocess.__file__)')
    assert str(ROOT) not in place
    run('yolo-preprocess', 'shapes', '--out_dir=VOC', '--num_train=12', '--num_test=4')
    run('yolo-preprocess', '--voc_dir=VOC', '--splits=trainval,test', '--out_dir=data', '--image_size=64')
    run('yolo-preprocess', 'show', '--data_dir=data', '--split=test', '--out=records.png')
    network = '--model=yolov2-tiny', '--width=0.05', '--nojit_compile'
    run('yolo-train', '--data_dir=data', '--model_dir=run', '--num_steps=2', '--batch_size=4', *network)
    run(
        'yolo', 'predict', '--model_dir=run', '--images=VOC/JPEGImages/test_*.jpg', '--out_dir=predictions', '--sheet=2'
    )
    run('yolo-eval', '--data_dir=data', '--split=test', '--model_dir=run', '--report_dir=report')
    assert (tmp_path / 'records.png').stat().st_size > 1000
    assert (tmp_path / 'predictions' / 'sheet.png').stat().st_size > 1000
    assert len(json.loads((tmp_path / 'predictions' / 'detections.json').read_text())) == 4
    assert json.loads((tmp_path / 'report' / 'metrics.json').read_text())['num_images'] == 4
    for page in ('data', 'report'):
        assert '</html>' in (tmp_path / page / 'report.html').read_text()
