"""Videos: a line and a drawn frame for each frame; what is broken is said, and what was read is kept."""

import json
import os
import signal
import time

import cv2
import numpy as np
import pytest
from prediction_cases import make_detector, serve_stream, write_video

from yolo.prediction import streams, video
from yolo.prediction.stop import Stop


def frames_of(path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    assert capture.isOpened()
    frames = []
    while True:
        is_read, image = capture.read()
        if not is_read:
            return frames
        frames.append(image)


def lines_of(folder) -> list[dict]:
    text = (folder / 'detections.jsonl').read_text()
    assert text.endswith('\n')
    return [json.loads(line) for line in text.splitlines()]


def run(sources, out_dir, stop=None, detector=None, **more):
    return streams.predict_streams(
        detector or make_detector(), [str(each) for each in sources], str(out_dir), stop or Stop(), **more
    )


@pytest.mark.parametrize(('name', 'codec', 'size'), [('a.mp4', 'mp4v', (96, 64)), ('b.avi', 'MJPG', (130, 98))])
def test_every_frame_has_a_line_and_is_drawn(tmp_path, name, codec, size):
    write_video(tmp_path / name, 23, codec, size)
    [counts] = run([tmp_path / name], tmp_path)
    assert (counts.frames, counts.objects, counts.problem, counts.frame_rate) == (23, 46, '', 12.5)
    assert f'46 objects in 23 frames of {tmp_path}/{name} (' in str(counts)
    assert str(counts).endswith(' frames/s, its own rate is 12.5)')
    lines = lines_of(tmp_path)
    assert [line['frame'] for line in lines] == list(range(23))
    assert [line['seconds'] for line in lines] == [round(i / 12.5, 3) for i in range(23)]
    width, height = size
    assert lines[7] == {
        'video': f'{tmp_path}/{name}',
        'frame': 7,
        'seconds': 0.56,
        'width': width,
        'height': height,
        'detections': [
            {'label': 'dog', 'score': 0.9, 'xmin': width / 4, 'ymin': height / 2, 'xmax': 0.75 * width, 'ymax': height},
            {'label': 'cat', 'score': 0.4, 'xmin': 0, 'ymin': height / 4, 'xmax': width / 2, 'ymax': height / 2},
        ],
    }
    drawn, plain = frames_of(counts.drawn), frames_of(tmp_path / name)
    assert counts.drawn == f'{tmp_path}/{name}.mp4'
    assert len(drawn) == len(plain) == 23
    brightness = [frame[: height // 5].mean() for frame in drawn]  # rises from frame to frame: the order is kept
    assert np.all(np.diff(brightness) > 0)
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(drawn, plain, strict=True)) > 50
    assert cv2.VideoCapture(counts.drawn).get(cv2.CAP_PROP_FPS) == 12.5


def test_only_what_is_asked_is_written(tmp_path):
    write_video(tmp_path / 'a.mp4', 9)
    for name, formats in (('a', ('json',)), ('b', ('drawn',))):
        (tmp_path / name).mkdir()
        run([tmp_path / 'a.mp4'], tmp_path / name, formats=formats, max_frames=5)
    assert [path.name for path in (tmp_path / 'a').iterdir()] == ['detections.jsonl']
    assert len(lines_of(tmp_path / 'a')) == 5
    assert [path.name for path in (tmp_path / 'b').iterdir()] == ['a.mp4.mp4']
    assert len(frames_of(tmp_path / 'b' / 'a.mp4.mp4')) == 5


def test_a_video_that_ends_too_early_is_said_and_its_frames_are_kept(tmp_path):
    path = write_video(tmp_path / 'a.avi', 40, 'MJPG', (96, 64))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    [counts] = run([path], tmp_path)
    assert 10 < counts.frames < 30
    assert counts.problem == (f'{path}: {counts.frames} of 40 frames could be read; it is damaged or not complete')
    assert len(lines_of(tmp_path)) == len(frames_of(counts.drawn)) == counts.frames


def test_broken_frames_in_the_middle_are_said_and_those_behind_them_are_kept(tmp_path, caplog):
    path = write_video(tmp_path / 'a.mp4', 50, 'mp4v', (96, 64))
    data = bytearray(path.read_bytes())
    first = data.index(b'mdat')
    places = [i for i in range(first, len(data) - 4) if data[i : i + 4] == b'\0\0\x01\xb6']  # starts of frames
    data[places[14] : places[14] + 4] = bytes(4)
    path.write_bytes(data)
    [counts] = run([path], tmp_path)
    assert 45 < counts.frames < 50
    assert f'{path}: broken after frame 13, goes on behind it' in caplog.text
    assert f'{counts.frames} of 50 frames could be read' in counts.problem
    lines = lines_of(tmp_path)
    assert len(frames_of(counts.drawn)) == counts.frames == len(lines)
    assert lines[-1]['seconds'] == 49 / 12.5  # the time is that of the video


def test_what_is_no_video_is_one_line_and_the_others_are_read(tmp_path, capfd, caplog):
    (tmp_path / 'text.mp4').write_text('no video\n' * 99)
    (tmp_path / 'empty.mp4').write_bytes(b'')
    write_video(tmp_path / 'a.mp4', 3)
    names = ['text.mp4', 'empty.mp4', 'none.mp4', 'a.mp4']
    capfd.readouterr()
    done = run([*(tmp_path / name for name in names), '99', 'rtsp://me:secret@127.0.0.1:1/x'], tmp_path)
    assert [counts.problem for counts in done] == [
        f'{tmp_path}/text.mp4: not a video that OpenCV reads',
        f'{tmp_path}/empty.mp4: the file is empty',
        f"[Errno 2] No such file or directory: '{tmp_path}/none.mp4'",
        '',
        'camera 99: there is no such camera, or another program has it',
        'rtsp://127.0.0.1:1/x: no stream that OpenCV reads is there',
    ]
    assert [counts.frames for counts in done] == [0, 0, 0, 3, 0, 0]
    assert [record.getMessage() for record in caplog.records] == [each.problem for each in done if each.problem]
    assert 'V4L' not in capfd.readouterr().err  # OpenCV's own word
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'a.mp4', 'a.mp4.mp4', 'detections.jsonl', 'empty.mp4', 'text.mp4'
    ]  # fmt: skip


def test_a_signal_ends_after_the_batch_in_the_network_and_all_files_are_whole(tmp_path):
    write_video(tmp_path / 'a.mp4', 60)
    write_video(tmp_path / 'b.mp4', 9)
    stop, calls = Stop(), []
    detector = make_detector(lambda: len(calls) == 5 and stop._record(signal.SIGINT), calls)
    done = run([tmp_path / 'a.mp4', tmp_path / 'b.mp4'], tmp_path, stop, detector)
    [counts] = done
    assert counts.frames == 10
    assert counts.problem == ''
    assert len(lines_of(tmp_path)) == len(frames_of(counts.drawn)) == 10


def test_an_error_of_the_network_keeps_whole_lines_and_no_half_video(tmp_path):
    write_video(tmp_path / 'a.mp4', 60)
    calls = []

    def fail():
        if len(calls) == 9:
            raise ValueError('the network is gone')

    with pytest.raises(ValueError, match='the network is gone'):
        run([tmp_path / 'a.mp4'], tmp_path, detector=make_detector(fail, calls))
    assert 2 <= len(lines_of(tmp_path)) <= 16
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.mp4', 'detections.jsonl']


def test_a_frame_of_another_size_is_resized(tmp_path):
    with video.writer(str(tmp_path / 'a.mp4'), 0) as write:
        for side in (64, 32, 65):
            write(np.full((side, side, 3), 200, np.uint8))
    assert [frame.shape for frame in frames_of(tmp_path / 'a.mp4')] == [(64, 64, 3)] * 3
    assert cv2.VideoCapture(str(tmp_path / 'a.mp4')).get(cv2.CAP_PROP_FPS) == video.FRAME_RATE


def test_a_stream_runs_to_its_end_which_is_said(tmp_path, caplog):
    with serve_stream(30, seconds=0.02) as address:
        [counts] = run([address], tmp_path)
    shown = address.replace('me:secret@', '')
    assert counts.problem == ''
    assert f'{shown} ended after 30 frames' in caplog.text
    lines = lines_of(tmp_path)
    assert {line['video'] for line in lines} == {shown}
    assert len(frames_of(counts.drawn)) == len(lines) == counts.frames
    assert os.path.basename(counts.drawn) == 'camera.mp4'
    assert np.all(np.diff([line['seconds'] for line in lines]) >= 0)
    assert 'secret' not in caplog.text + counts.drawn + str(counts)


def test_frames_that_come_too_fast_are_left_out_and_counted(tmp_path, caplog):
    with serve_stream(80, seconds=0.002) as address:
        [counts] = run([address], tmp_path, detector=make_detector(lambda: time.sleep(0.1)))
    numbers = [line['frame'] for line in lines_of(tmp_path)]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 79  # the newest are kept
    assert len(numbers) == counts.frames < 60
    assert f'{80 - len(numbers)} of 80 frames left out, which came while the detector was busy' in caplog.text


def test_a_stream_without_end_is_read_for_as_many_frames_as_asked(tmp_path, caplog):
    with serve_stream(None) as address:
        [counts] = run([address], tmp_path, max_frames=7, formats=('json',))
    assert (counts.frames, len(lines_of(tmp_path))) == (7, 7)
    assert 'ended' not in caplog.text
