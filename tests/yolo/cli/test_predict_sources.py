"""`yolo predict` on videos, lists and folders, and with Ctrl-C in the middle, as real processes."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from conftest import CLASSES, ROOT, SMALL, make_image

import yolo.__main__
from yolo.cli import flags
from yolo.data import images
from yolo.models import cfg, conversion, model_folder
from yolo.models.build import DarknetModel
from yolo.prediction import video


@pytest.fixture(scope='module')
def model_dir(tmp_path_factory):
    """A model with random weights."""
    folder = str(tmp_path_factory.mktemp('model'))
    conversion.write_folder(DarknetModel(cfg.read(SMALL)), model_folder.ModelInfo(CLASSES, 'stretch'), folder)
    return folder


@pytest.fixture
def call(capfd, model_dir):
    """Calls the command within this process: its exit status, what it printed, and its lines on stderr."""

    def called(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            flags.run(yolo.__main__.COMMANDS['predict'], ['predict', f'--model_dir={model_dir}', *words])
        return int(ended.value.code or 0), *capfd.readouterr()

    return called


def write_images(folder, number: int) -> None:
    folder.mkdir(parents=True)
    for i in range(number):
        (folder / f'{i:04d}.png').write_bytes(images.encode_png(make_image(np.random.default_rng(i), 48, 1)[0]))


def write_video(path, number: int) -> None:
    with video.quiet():
        file = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*'MJPG'), 20, (320, 240))
    for i in range(number):
        file.write(cv2.resize(make_image(np.random.default_rng(i % 50), 60, 2)[0], (320, 240)))
    file.release()


def count_frames(path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def test_a_folder_with_images_and_videos(call, tmp_path):
    write_images(tmp_path / 'in' / 'sub', 3)
    write_video(tmp_path / 'in' / 'a.avi', 11)
    status, out, err = call(f'--source={tmp_path}/in', '--recursive', f'--out_dir={tmp_path}/in/out', '--max_frames=7')
    assert (status, err) == (0, '')
    first, second = out.splitlines()
    assert first.endswith(f' objects in 3 images: {tmp_path}/in/out/detections.json')
    assert f' objects in 7 frames of {tmp_path}/in/a.avi (' in second
    assert second.endswith(f' frames/s, its own rate is 20): {tmp_path}/in/out/a.avi.mp4')
    assert len(json.loads((tmp_path / 'in/out/detections.json').read_text())) == 3
    assert (tmp_path / 'in/out/detections.jsonl').read_text().count('\n') == 7
    assert count_frames(tmp_path / 'in/out/a.avi.mp4') == 7
    again, _, _ = call(f'--source={tmp_path}/in', '--recursive', f'--out_dir={tmp_path}/in/out', '--write=json')
    assert again == 0
    assert len(json.loads((tmp_path / 'in/out/detections.json').read_text())) == 3  # no drawing among them


def test_a_list_of_paths(call, tmp_path, monkeypatch):
    write_images(tmp_path / 'in', 3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'list.txt').write_text('in/0002.png\nin/nowhere.png\nin/0000.png\n')
    status, _, err = call('--source=list.txt', '--out_dir=out', '--write=json')
    assert status == 1
    errors = [line for line in err.splitlines() if line.startswith('error: ')]  # TensorFlow may warn of many loads
    assert errors == ["error: in/nowhere.png left out: [Errno 2] No such file or directory: 'in/nowhere.png'"]
    entries = json.loads((tmp_path / 'out/detections.json').read_text())
    assert [entry['image'] for entry in entries] == ['in/0002.png', 'in/0000.png']


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ((), 'give one of --source and --images'),
        (('--source=a', '--images=b'), 'give one of --source and --images'),
        (('--source=/nowhere',), '/nowhere: no such file or folder'),
        (('--source=99',), 'camera 99: there is no such camera, or another program has it'),
        (('--source={folder}/text.mp4',), 'text.mp4: not a video that OpenCV reads'),
        (('--source=a', '--write='), '--write= writes nothing; there are json, drawn'),
        (('--source=a', '--write=json,gif'), '--write=json,gif: not one of json, drawn'),
        (('--source=a', '--write=json', '--sheet=3'), '--sheet=3 shows drawn images; add drawn to --write'),
    ],
)
def test_what_cannot_be_is_one_line(call, tmp_path, words, message):
    (tmp_path / 'text.mp4').write_text('no video\n' * 99)
    status, out, err = call(f'--out_dir={tmp_path}/out', *(word.format(folder=tmp_path) for word in words))
    assert (status, out) == (1, '')
    assert message in err
    assert err.count('\n') == 1, err
    assert not (tmp_path / 'out').exists() or not list((tmp_path / 'out').iterdir())


def start(model_dir, *words: str) -> subprocess.Popen:
    command = [sys.executable, '-m', 'yolo', 'predict', f'--model_dir={model_dir}', *words]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(condition, process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.slow
def test_ctrl_c_in_a_video_leaves_whole_files(model_dir, tmp_path):
    write_video(tmp_path / 'a.avi', 4000)
    lines = tmp_path / 'out' / 'detections.jsonl'
    process = start(model_dir, f'--source={tmp_path}/a.avi', f'--out_dir={tmp_path}/out', '--score_threshold=0.1')
    wait_for(lambda: lines.exists() and lines.stat().st_size > 5000, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == f'yolo predict: SIGINT: ended; what was done until then is in {tmp_path}/out\n'
    text = lines.read_text()
    frames = [json.loads(line)['frame'] for line in text.splitlines()]
    assert text.endswith('\n')
    assert frames == list(range(len(frames)))
    assert 0 < len(frames) < 4000
    assert f' objects in {len(frames)} frames of ' in out
    assert count_frames(tmp_path / 'out' / 'a.avi.mp4') == len(frames)
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['a.avi.mp4', 'detections.jsonl']


@pytest.mark.slow
def test_ctrl_c_among_photos_leaves_whole_files(model_dir, tmp_path):
    write_images(tmp_path / 'in', 1500)
    process = start(model_dir, f'--source={tmp_path}/in', f'--out_dir={tmp_path}/out')
    wait_for(lambda: (tmp_path / 'out' / '0010.png.png').exists(), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == f'yolo predict: SIGINT: ended; what was done until then is in {tmp_path}/out\n'
    entries = json.loads((tmp_path / 'out' / 'detections.json').read_text())
    assert [os.path.basename(entry['image']) for entry in entries] == [f'{i:04d}.png' for i in range(len(entries))]
    assert 10 < len(entries) < 1500
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == [*(entry['drawn'] for entry in entries), 'detections.json']


@pytest.mark.slow
def test_nothing_but_our_own_lines_is_printed_of_a_broken_video(model_dir, tmp_path):
    write_video(tmp_path / 'a.avi', 60)
    data = (tmp_path / 'a.avi').read_bytes()
    (tmp_path / 'a.avi').write_bytes(data[: len(data) // 2])
    process = start(model_dir, f'--source={tmp_path}/a.avi', f'--out_dir={tmp_path}/out')
    out, err = process.communicate(timeout=100)
    count = count_frames(tmp_path / 'out' / 'a.avi.mp4')
    assert process.returncode == 1
    assert err == f'error: {tmp_path}/a.avi: {count} of 60 frames could be read; it is damaged or not complete\n'
    assert f' objects in {count} frames of ' in out
