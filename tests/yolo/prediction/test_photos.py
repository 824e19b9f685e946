"""Photos: detected in, drawn and listed, whatever their number, and up to a signal."""

import json
import os
import signal
import threading
import time
import weakref

import numpy as np
import pytest
from conftest import make_image
from prediction_cases import make_detector, write_photos

from yolo.cores import num_cores
from yolo.data import images
from yolo.prediction import photos
from yolo.prediction.stop import Stop


def test_photos_are_drawn_and_listed_in_order(tmp_path):
    paths = write_photos(tmp_path / 'in', 7)
    (tmp_path / 'in' / '003.png').write_bytes(b'no')
    counts = photos.predict_photos(make_detector(), paths, str(tmp_path), Stop(), sheet=2)
    assert counts == photos.Counts(images=6, objects=12, problems=1)
    text = (tmp_path / 'detections.json').read_text()
    results = json.loads(text)
    assert text == json.dumps(results, indent=1) + '\n'
    assert [entry['image'] for entry in results] == paths[:3] + paths[4:]
    assert results[2] == {
        'image': paths[2],
        'drawn': '002.png.png',
        'width': 80,
        'height': 80,
        'detections': [
            {'label': 'dog', 'score': 0.9, 'xmin': 20.0, 'ymin': 40.0, 'xmax': 60.0, 'ymax': 80.0},
            {'label': 'cat', 'score': 0.4, 'xmin': 0.0, 'ymin': 20.0, 'xmax': 40.0, 'ymax': 40.0},
        ],
    }
    drawn = images.decode((tmp_path / '002.png.png').read_bytes())
    assert drawn.shape == (80, 80, 3)
    assert not np.array_equal(drawn, make_image(np.random.default_rng(2), 80, 1)[0])
    assert (tmp_path / 'sheet.png').stat().st_size > 100


def test_only_what_is_asked_is_written(tmp_path):
    paths = write_photos(tmp_path / 'in', 3)
    for name, formats in (('a', ('json',)), ('b', ('drawn',))):
        (tmp_path / name).mkdir()
        photos.predict_photos(make_detector(), paths, f'{tmp_path}/{name}', Stop(), formats)
    assert [path.name for path in (tmp_path / 'a').iterdir()] == ['detections.json']
    assert 'drawn' not in json.loads((tmp_path / 'a' / 'detections.json').read_text())[0]
    assert sorted(path.name for path in (tmp_path / 'b').iterdir()) == ['000.png.png', '001.png.png', '002.png.png']


def test_no_photo_that_can_be_read_is_an_empty_list(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'no')
    counts = photos.predict_photos(make_detector(), [f'{tmp_path}/a.png'], str(tmp_path), Stop())
    assert (counts.images, counts.problems) == (0, 1)
    assert (tmp_path / 'detections.json').read_text() == '[]\n'


def test_a_signal_ends_after_the_batch_in_the_network_and_all_files_are_whole(tmp_path):
    paths = write_photos(tmp_path / 'in', 40)
    stop, calls = Stop(), []
    detector = make_detector(lambda: len(calls) == 3 and stop._record(signal.SIGINT), calls)
    counts = photos.predict_photos(detector, paths, str(tmp_path), stop)
    assert len(calls) == 3
    assert counts.images == 6
    results = json.loads((tmp_path / 'detections.json').read_text())
    assert [entry['image'] for entry in results] == paths[:6]
    assert sorted(path.name for path in tmp_path.glob('*.png')) == [entry['drawn'] for entry in results]


def test_an_error_of_the_network_surfaces_and_leaves_no_half_list(tmp_path):
    paths = write_photos(tmp_path / 'in', 9)

    def fail():
        raise ValueError('the network is gone')

    with pytest.raises(ValueError, match='the network is gone'):
        photos.predict_photos(make_detector(fail), paths, str(tmp_path), Stop())
    assert [path.name for path in tmp_path.iterdir()] == ['in']


class Held:
    """How many of some arrays are in memory at a time."""

    def __init__(self) -> None:
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def add(self, array: np.ndarray) -> None:
        self._count(1)
        weakref.finalize(array, self._count, -1)

    def _count(self, change: int) -> None:
        with self.lock:
            self.now += change
            self.most = max(self.most, self.now)


@pytest.mark.parametrize('slow', ['network', 'writing', 'neither'])
@pytest.mark.parametrize(('formats', 'kept'), [(('json',), 0), (('json', 'drawn'), 0), (('json', 'drawn'), 1 << 20)])
def test_few_photos_are_in_memory_at_a_time(tmp_path, monkeypatch, slow, formats, kept):
    """Of 80 at the network's size: a batch that is read, one gathered, two at the network, one behind it.

    Their own pixels are held by the threads alone, or as long, if they are few and will be drawn.
    """
    paths = write_photos(tmp_path / 'in', 80)
    batch, threads, pixels, prepared = 4, num_cores(), Held(), Held()
    detector = make_detector(lambda: time.sleep(0.02 * (slow == 'network')), batch_size=batch)
    prepare, finish = detector.prepare, photos._finish

    def read(path: str) -> photos.Photo | photos.Unreadable:
        photo = photos.read_photo(path)
        assert isinstance(photo, photos.Photo)
        pixels.add(photo.pixels)
        return photo

    def counted_prepare(photo: np.ndarray):
        result = prepare(photo)
        prepared.add(result.inputs)
        return result

    def finish_slowly(*args, **kwargs):
        time.sleep(0.01 * (slow == 'writing'))
        return finish(*args, **kwargs)

    monkeypatch.setattr(photos, '_finish', finish_slowly)
    monkeypatch.setattr(photos, 'MOST_KEPT', kept)
    monkeypatch.setattr(detector, 'prepare', counted_prepare)
    counts = photos.predict_photos(detector, paths, str(tmp_path), Stop(), formats, read=read)
    assert (counts.images, pixels.now, prepared.now) == (80, 0, 0)
    assert batch <= prepared.most <= 5 * batch + threads
    assert 1 <= pixels.most <= (6 * batch + 2 * threads if kept else 2 * threads)


def test_a_large_photo_is_read_again_to_be_drawn(tmp_path, monkeypatch):
    paths = write_photos(tmp_path / 'in', 3)
    (tmp_path / 'kept').mkdir()
    photos.predict_photos(make_detector(), paths, f'{tmp_path}/kept', Stop())
    monkeypatch.setattr(photos, 'MOST_KEPT', 0)
    photos.predict_photos(make_detector(), paths, str(tmp_path), Stop())
    for name in ('000.png.png', '001.png.png', '002.png.png'):
        assert (tmp_path / name).read_bytes() == (tmp_path / 'kept' / name).read_bytes()

    def vanish():
        for path in paths:
            os.remove(path)

    with pytest.raises(ValueError, match=r'00.\.png could be read at first, and then not any more: .* No such file'):
        photos.predict_photos(make_detector(vanish, batch_size=3), paths, str(tmp_path), Stop())
