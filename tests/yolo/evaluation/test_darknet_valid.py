"""Detections of Darknet's networks, against the result files of `darknet detector valid`: see darknet_photos.py."""

import dataclasses
import functools
import json
import tempfile

import darknet_photos
import numpy as np
import pytest
from conftest import DATA
from darknet_photos import LABELS, PHOTOS
from test_commands import call  # noqa: F401

import yolo
from preprocess import convert
from preprocess.settings import Settings
from yolo.backends import loading
from yolo.data.voc_folder import Source
from yolo.evaluation import devkit_files, inference
from yolo.geometry.letterbox import inner_pixels

RESULTS = DATA / 'darknet_valid'
NETWORK = DATA / 'darknet/yolov2-tiny-w16'
IDS, SIZE = tuple(PHOTOS), (128, 96)  # height, width of the network's images
LIMITS = inference.Thresholds(max_detections=10_000)  # Darknet has no limit


@pytest.fixture(scope='module')
def records(tmp_path_factory) -> str:
    """The photos as records, at the network's size."""
    folder = tmp_path_factory.mktemp('photos')
    darknet_photos.write(folder)
    convert.convert(
        Settings(
            Source(f'{folder}/Annotations', f'{folder}/JPEGImages'),
            {'test': f'{folder}/ImageSets/Main/test.txt'},
            out_dir=f'{folder}/records',
            labels=LABELS,
            image_size=SIZE,
            resize='letterbox',
            image_format='png',
            anchors='voc',
            workers=1,
        )
    )
    return f'{folder}/records'


def rows_of(folder) -> dict[str, np.ndarray]:
    """By photo the rows class, xmin, ymin, xmax, ymax, score (N, 6) of the result files in a folder."""
    found = devkit_files.read_detections(str(folder), 'test', LABELS, IDS)
    rows = np.column_stack([found.classes, found.boxes, found.scores])
    return {name: rows[found.images == number] for number, name in enumerate(IDS)}


@functools.cache
def detect(records: str, convention: str = '', bars_of_darknet: bool = False) -> dict[str, np.ndarray]:
    """What the network detects, through result files, by the convention that is given, else that of its .cfg.

    bars_of_darknet: bars are 127.5, where those of records are 127.
    """
    model = loading.load(f'{NETWORK}.cfg', weights=f'{NETWORK}.weights')
    convention = convention or model.box_convention
    predict = inference.make_predict(model.backend_at(SIZE), model.anchors, LIMITS, convention)
    if bars_of_darknet:
        network = yolo.load_darknet(f'{NETWORK}.cfg', f'{NETWORK}.weights')
        predict = dataclasses.replace(predict, network=lambda batch: {'raw': network(with_bars_of_darknet(batch))})
    result, settings, _ = inference.run_inference(predict, records, 'test', 4, LIMITS)
    assert settings['box_convention'] == convention
    with tempfile.TemporaryDirectory() as folder:
        devkit_files.write_detections(folder, 'test', LABELS, result.image_ids, result.detections)
        return rows_of(folder)


def with_bars_of_darknet(batch) -> np.ndarray:
    """Images (4, H, W, 3) uint8 of the photos, in their order -> float32 0..1."""
    images = np.full(batch.shape, 0.5, np.float32)
    for i, size in enumerate(PHOTOS.values()):
        left, top, width, height = inner_pixels(size, SIZE, 'letterbox')
        inner = np.s_[i, top : top + height, left : left + width]
        images[inner] = np.asarray(batch)[inner] / 255
    return images


def pairs(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each of our rows (N, 6) and the nearest one of Darknet's of its class, which are all of both."""
    assert len(ours) == len(theirs)
    apart = np.abs(ours[:, None, 1:5] - theirs[None, :, 1:5]).max(-1) + 1000 * (ours[:, None, 0] != theirs[None, :, 0])
    nearest = (apart + 100 * np.abs(ours[:, None, 5] - theirs[None, :, 5])).argmin(1)
    assert len(set(nearest.tolist())) == len(ours)
    return ours, theirs[nearest]


def are_whole(rows: np.ndarray) -> np.ndarray:
    """Which boxes (N,) have any pixel: of one that lies in a bar Darknet prints ends before beginnings."""
    return (rows[:, 3] - rows[:, 1] + 1 > 0) & (rows[:, 4] - rows[:, 2] + 1 > 0)


SLOW = pytest.mark.slow
FLOAT32, BESIDE_BARS = (5e-4, 1e-5), (0.1, 4e-4)  # largest differences in pixels and in score


@pytest.mark.parametrize(
    ('name', 'bars_of_darknet', 'allowed'),
    [
        ('whole', False, FLOAT32),
        ('wide', False, BESIDE_BARS),
        ('tall', False, BESIDE_BARS),
        pytest.param('wide', True, FLOAT32, marks=SLOW),
        pytest.param('tall', True, FLOAT32, marks=SLOW),
    ],
)
def test_a_network_of_darknets_detects_what_darknet_prints(records, name, bars_of_darknet, allowed):
    """As near as float32 allows, once the grey of the bars is the same; all of it, and in the same places."""
    ours, theirs = pairs(detect(records, bars_of_darknet=bars_of_darknet)[name], rows_of(RESULTS)[name])
    whole = are_whole(theirs)
    assert whole.sum() > 90
    np.testing.assert_array_equal(are_whole(ours), whole)
    np.testing.assert_allclose(ours[whole, 1:5], theirs[whole, 1:5], rtol=0, atol=allowed[0])
    np.testing.assert_allclose(ours[:, 5], theirs[:, 5], rtol=0, atol=allowed[1])


def test_without_its_convention_they_are_a_pixel_short(records):
    ours, theirs = pairs(detect(records, 'voc')['whole'], rows_of(RESULTS)['whole'])
    ends, expected = ours[:, 3:5], theirs[:, 3:5]
    inside = expected < np.array(PHOTOS['whole'])[::-1] - 0.01  # the others end at the edge of the photo
    assert inside.sum() > 100
    np.testing.assert_allclose(ends[inside], expected[inside] - 1, rtol=0, atol=5e-4)
    np.testing.assert_allclose(ours[:, 1:3], theirs[:, 1:3], rtol=0, atol=5e-4)


@SLOW
def test_darknet_reads_bars_of_half_pixels_half_a_pixel_off(records):
    """It lays the photo at row 13 of 27 / 2 and takes the boxes back from row 13.5; here both are 13."""
    ours, theirs = pairs(detect(records, bars_of_darknet=True)['odd'], rows_of(RESULTS)['odd'])
    sides = theirs[:, [2, 4]]
    inside = are_whole(theirs)[:, None] & (sides > 1.6) & (sides < PHOTOS['odd'][0] - 0.6)  # others end at an edge
    assert inside.sum() > 90
    np.testing.assert_allclose((ours - theirs)[:, [2, 4]][inside], 0.5, rtol=0, atol=5e-4)
    np.testing.assert_allclose(ours[:, [1, 3]], theirs[:, [1, 3]], rtol=0, atol=5e-4)


@SLOW
def test_eval_says_and_takes_the_convention(call, records, tmp_path):  # noqa: F811
    words = (f'--data_dir={records}', f'--cfg={NETWORK}.cfg', f'--weights={NETWORK}.weights', '--resize=letterbox')
    words += ('--max_detections=10000', f'--report_dir={tmp_path}/report')
    for flags, convention in ((), 'darknet'), (('--box_convention=voc',), 'voc'):
        _, text = call('eval', *words, f'--write_detections={tmp_path}/{convention}', *flags, check=True)
        assert ('one pixel of the photo early' in text) == (convention == 'darknet')
        assert json.loads((tmp_path / 'report/metrics.json').read_text())['box_convention'] == convention
        expected = detect(records, convention)
        np.testing.assert_array_equal(rows_of(tmp_path / convention)['whole'], expected['whole'])
