"""The command with damaged and huge images among good ones: named, or kept as asked, and decoders print nothing."""

import json
import pathlib
import random
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT

from preprocess.demo.shapes import write_shapes
from yolo.data import image_size, images, records, tfrecord

pytestmark = pytest.mark.slow

GOOD = [f'trainval_{number:05d}' for number in range(1, 6)]
PRINTED = re.compile(r'^(libpng |Corrupt JPEG|Premature end|\[ *(WARN|ERROR))', re.MULTILINE)  # by a decoder itself


def chunk(kind: bytes, body: bytes, crc: bytes) -> bytes:
    return len(body).to_bytes(4, 'big') + kind + body + crc


def make_bad(jpeg: bytes) -> dict[str, tuple[bytes, str, str]]:
    """Files made from a good one, by id: bytes, suffix, and the word in what the report says."""
    start = next(end for marker, _, end in image_size.jpeg_segments(jpeg) if marker == image_size.SCAN)
    middle = (start + len(jpeg)) // 2
    frame = jpeg.index(b'\xff\xc0')
    png = images.encode_png(images.decode(jpeg))
    rows = png.index(b'IDAT')
    return {
        'cut': (jpeg[:middle] + b'\xff\xd9', '.jpg', 'premature end of data segment'),
        'no_end': (jpeg[:middle], '.jpg', 'Premature end of JPEG file'),
        'half': (jpeg[:middle] + bytes(len(jpeg) - 2 - middle) + b'\xff\xd9', '.jpg', 'Corrupt JPEG data'),
        'crc': (png[: rows + 9] + b'?' + png[rows + 10 :], '.png', 'libpng error'),
        'bomb': (jpeg[: frame + 5] + b'\xff\xff\xff\xff' + jpeg[frame + 9 :], '.jpg', '65535 x 65535 = 4294836225'),
        'extra': (jpeg[:-2] + b'extra' * 20 + jpeg[-2:], '.jpg', 'extraneous bytes before marker 0xd9'),
        'text': (png[:33] + chunk(b'tEXt', b'a\0b', b'oops') + png[33:], '.png', 'libpng warning: tEXt: CRC error'),
    }


NOTED = ('extra', 'text')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> pathlib.Path:
    """A VOC folder with the lists good and all."""
    folder = tmp_path_factory.mktemp('damaged') / 'VOC'
    write_shapes(str(folder), num_train=5, num_test=1, seed=3)
    xml = (folder / 'Annotations' / f'{GOOD[0]}.xml').read_text()
    bad = make_bad((folder / 'JPEGImages' / f'{GOOD[0]}.jpg').read_bytes())
    for image_id, (data, suffix, _) in bad.items():
        (folder / 'JPEGImages' / (image_id + suffix)).write_bytes(data)
        (folder / 'Annotations' / f'{image_id}.xml').write_text(
            xml.replace('<width>', '<was>').replace('</width>', '</was>')
        )
    everything = [*GOOD, *bad]
    random.Random(0).shuffle(everything)
    (folder / 'ImageSets/Main/good.txt').write_text('\n'.join(GOOD))
    (folder / 'ImageSets/Main/all.txt').write_text('\n'.join(everything))
    return folder


def preprocess(folder: pathlib.Path, split: str, *flags: str) -> tuple[dict[str, records.Record], dict[str, dict], int]:
    """The records of a split, the problems of the report, both by id, and the exit status of the command."""
    out = folder.parent / f'{split}{"".join(flags).strip("-")}'
    command = [sys.executable, '-m', 'preprocess', f'--voc_dir={folder}', f'--splits={split}', f'--out_dir={out}']
    settings = ['--image_size=64', '--image_format=png', '--workers=2', '--anchors=voc', *flags]
    done = subprocess.run([*command, *settings], cwd=ROOT, capture_output=True, text=True, check=False)
    assert not PRINTED.search(done.stderr + done.stdout), done.stderr
    description = records.read_description(str(out))
    written = {}
    for path in records.shard_paths(str(out), split, description):
        with open(path, 'rb') as file:
            for data in tfrecord.unframe(file, path):
                record = records.deserialize(data)
                written[record.image_id] = record
    said = json.loads((out / 'report.json').read_text())['problems']
    problems = {problem['image_id']: problem for problem in said if 'its <size>' not in problem['reason']}
    return written, problems, done.returncode


def test_damaged_images_are_left_out_with_the_reason_and_the_others_are_as_ever(folder):
    good, none, status = preprocess(folder, 'good')
    assert (list(good), none, status) == (GOOD, {}, 0)
    written, problems, status = preprocess(folder, 'all')
    assert status == 1
    bad = make_bad((folder / 'JPEGImages' / f'{GOOD[0]}.jpg').read_bytes())
    assert set(written) == {*GOOD, *NOTED}
    for image_id in GOOD:
        assert records.serialize(written[image_id]) == records.serialize(good[image_id])
    for image_id, (_, _, word) in bad.items():
        assert problems[image_id]['kind'] == ('noted' if image_id in NOTED else 'image left out')
        assert word in problems[image_id]['reason']
    for image_id in NOTED:
        assert written[image_id].image == good[GOOD[0]].image
    for image_id in ('cut', 'no_end', 'half'):
        assert problems[image_id]['reason'].endswith('--damaged=keep writes what can be decoded')


def test_damaged_jpegs_are_kept_if_asked(folder):
    written, problems, status = preprocess(folder, 'all', '--damaged=keep', '--max_pixels=200000')
    assert status == 1
    assert set(written) == {*GOOD, *NOTED, 'cut', 'no_end', 'half'}
    for image_id in ('cut', 'no_end', 'half'):
        assert problems[image_id]['kind'] == 'noted'
        assert 'damaged, and kept as far as it could be decoded' in problems[image_id]['reason']
    decoded = cv2.imread(str(folder / 'JPEGImages/cut.jpg'))
    stored = images.decode_stored(written['cut'].image, 'png', (64, 64))
    np.testing.assert_array_equal(stored[..., ::-1], images.resize(decoded, (64, 64)))


def test_a_bound_of_pixels_leaves_out_what_is_larger(folder):
    sizes = {i: cv2.imread(str(folder / f'JPEGImages/{i}.jpg')).shape for i in GOOD}
    areas = {image_id: height * width for image_id, (height, width, _) in sizes.items()}
    bound = sorted(areas.values())[2]
    written, problems, status = preprocess(folder, 'good', f'--max_pixels={bound}')
    assert status == 1
    assert set(written) == {image_id for image_id, area in areas.items() if area <= bound}
    for image_id in set(GOOD) - set(written):
        height, width, _ = sizes[image_id]
        assert f'{width} x {height} = {areas[image_id]} pixels' in problems[image_id]['reason']
        assert problems[image_id]['reason'].endswith(f'more than --max_pixels={bound}')


def test_prediction_leaves_damaged_photos_out_and_says_so(folder, tmp_path):
    command = [
        sys.executable,
        '-m',
        'yolo',
        'predict',
        '--model_dir=tests/data/version_0_1/run',
        '--score_threshold=0.01',
    ]
    command += [f'--images={folder / "JPEGImages"}', f'--out_dir={tmp_path}']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert not PRINTED.search(done.stderr + done.stdout), done.stderr
    detected = {pathlib.Path(each['image']).stem for each in json.loads((tmp_path / 'detections.json').read_text())}
    assert detected == {*GOOD, 'test_00001', *NOTED}
    for image_id, (_, suffix, word) in make_bad((folder / 'JPEGImages' / f'{GOOD[0]}.jpg').read_bytes()).items():
        assert re.search(rf'{image_id}{re.escape(suffix)}.*{re.escape(word)}', done.stderr), image_id
    kept = subprocess.run([*command, '--damaged=keep'], cwd=ROOT, capture_output=True, text=True, check=False)
    assert kept.returncode == 1  # the bomb, and the PNG of which there is nothing to keep
    detected = {pathlib.Path(each['image']).stem for each in json.loads((tmp_path / 'detections.json').read_text())}
    assert detected == {*GOOD, 'test_00001', *NOTED, 'cut', 'no_end', 'half'}
