"""--leaks=fail and --leaks=drop."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT

from preprocess import convert
from preprocess.demo.shapes import write_shapes
from preprocess.leaks import drop, fingerprint, first_look, near_duplicates
from preprocess.leaks.leaks import Leaks
from preprocess.leaks.near_duplicates import Pairs
from preprocess.report import problems
from preprocess.report import summary as report_summary
from preprocess.settings import Settings
from yolo.data import records, tfrecord, voc_folder
from yolo.data.problems import LEAK, Problem


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Lists `train` and `test`: an image of both, and a mirrored one of training in the test."""
    folder = tmp_path_factory.mktemp('drop') / 'VOC'
    write_shapes(str(folder), num_train=6, num_test=2, seed=0)
    lists = folder / 'ImageSets/Main'
    train, test = ((lists / f'{name}.txt').read_text().split() for name in ('trainval', 'test'))
    cv2.imwrite(f'{folder}/JPEGImages/mirrored.jpg', cv2.imread(f'{folder}/JPEGImages/{train[0]}.jpg')[:, ::-1])
    shutil.copy(f'{folder}/Annotations/{train[0]}.xml', f'{folder}/Annotations/mirrored.xml')
    (lists / 'train.txt').write_text('\n'.join([*train, 'missing']))
    (lists / 'test.txt').write_text('\n'.join([*test, 'mirrored', train[3]]))
    return folder


def settings_of(folder, out_dir, splits=('train', 'test'), **changes):
    source = voc_folder.Source(f'{folder}/Annotations', f'{folder}/JPEGImages')
    paths = {name: f'{folder}/ImageSets/Main/{name}.txt' for name in splits}
    return Settings(source, paths, str(out_dir), image_size=(96, 96), anchors='voc', workers=1, **changes)


def ids_of(out_dir, split):
    """The ids of the images that were written."""
    (path,) = out_dir.glob(f'{split}.tfrecord-*')
    with open(path, 'rb') as file:
        return [records.deserialize(data).image_id for data in tfrecord.unframe(file, str(path))]


def test_dropped_images_are_those_of_the_first_split_and_each_is_said(folder, tmp_path):
    train = [line for line in (folder / 'ImageSets/Main/train.txt').read_text().split() if line != 'missing']
    description, summaries = convert.convert(settings_of(folder, tmp_path / 'out', leaks='drop'))
    kept = [train[i] for i in (1, 2, 4, 5)]
    assert ids_of(tmp_path / 'out', 'train') == kept
    assert len(ids_of(tmp_path / 'out', 'test')) == 4
    dropped = {problem.image_id: problem.reason for problem in summaries['train'].problems if problem.kind == LEAK}
    assert dropped == {
        train[0]: "it is nearly the same as an image of test: 'mirrored'",
        train[3]: 'it is in the list of test too',
    }
    assert description.splits['train'].images_left_out == 1  # the missing one: what was asked for is no error
    assert report_summary.format_leaks(summaries) == ''
    text = report_summary.format_summary(description, summaries)
    assert f'2 x {LEAK}' in text
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert sorted(each['image_id'] for each in report['problems'] if each['kind'] == LEAK) == [train[0], train[3]]
    assert convert.convert(settings_of(folder, tmp_path / 'out', leaks='drop'))[1] is None
    with pytest.raises(ValueError, match='leaks: "drop" there, "warn" now'):
        convert.convert(settings_of(folder, tmp_path / 'out'))


def test_of_two_other_splits_the_order_decides(folder, tmp_path):
    convert.convert(settings_of(folder, tmp_path / 'out', ('test', 'train'), leaks='drop'))
    assert len(ids_of(tmp_path / 'out', 'test')) == 2
    assert len(ids_of(tmp_path / 'out', 'train')) == 6


def test_fail_names_them_and_writes_nothing(folder, tmp_path):
    with pytest.raises(ValueError, match='--leaks=fail: 1 image is in the lists of both train and test') as error:
        convert.convert(settings_of(folder, tmp_path / 'out', leaks='fail'))
    assert "and 'mirrored' (mirrored)" in str(error.value)
    assert '--leaks=drop leaves them out' in str(error.value)
    assert not (tmp_path / 'out').exists()
    convert.convert(settings_of(folder, tmp_path / 'out', ('train',), leaks='fail'))


def test_a_split_of_which_nothing_is_left_is_an_error(folder, tmp_path):
    (folder / 'ImageSets/Main/all.txt').write_text((folder / 'ImageSets/Main/test.txt').read_text())
    with pytest.raises(ValueError, match='--leaks=drop leaves nothing of test'):
        convert.convert(settings_of(folder, tmp_path / 'out', ('test', 'all'), leaks='drop'))


def test_the_look_before_sees_what_the_conversion_sees(folder, tmp_path):
    settings = settings_of(folder, tmp_path / 'out', ('train',))
    ids = (folder / 'ImageSets/Main/train.txt').read_text().split()
    looks = first_look._look_at_part(settings, ids)
    _, summaries = convert.convert(settings)
    assert first_look.fingerprints(looks) == summaries['train'].fingerprints
    assert looks[-1] == first_look.Look('missing', None, ())
    assert all(look.classes for look in looks[:-1])


def test_images_are_left_out_for_the_sake_of_those_that_are_kept():
    """In a chain each is like the next one only; the second is left out, so the first need not be."""
    columns = np.array([0, 1]), np.array([1, 2]), np.ones(2), np.zeros(2, bool)
    leaks = Leaks(('a', 'b', 'c'), ('x', 'y', 'z'), np.arange(3), Pairs(*columns), {('a', 'b'): ('u', 'y')})
    assert drop._reasons(leaks) == {
        'a': {'u': 'it is in the list of b too'},
        'b': {'y': "it is nearly the same as an image of c: 'z'"},
        'c': {},
    }


def test_leaks_are_one_row_and_no_pictures():
    reasons = [f"it is nearly the same as an image of test: '{i}: {i}'" for i in range(9)]
    found = [Problem('train', f'image {i}', LEAK, reason) for i, reason in enumerate(reasons)]
    assert len(problems.members(found)) == 1
    assert problems.by_image(found) == {}


@pytest.mark.parametrize('leaks', ['fail', 'drop'])
def test_a_search_that_ends_early_is_no_leak(folder, tmp_path, monkeypatch, leaks):
    monkeypatch.setattr(near_duplicates, 'MOST_COMPARED', 0)
    lists = {'train': ['a', 'b']}
    text = fingerprint.of_image(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    settings = settings_of(folder, tmp_path / 'out', ('train',), leaks=leaks)
    assert drop.check(settings, lists, dict.fromkeys(lists['train'], text), None) == (lists, {'train': []})


@pytest.mark.slow
def test_status_of_the_command(folder, tmp_path):
    lists = folder / 'ImageSets/Main'
    (lists / 'good.txt').write_text((lists / 'train.txt').read_text().replace('missing', ''))
    expected = {'fail': (1, '--leaks=fail: 1 image '), 'drop': (0, 'left out as a leak'), 'warn': (0, 'WARNING: ')}
    for leaks, (status, said) in expected.items():
        done = subprocess.run(
            [
                sys.executable,
                '-m',
                'preprocess',
                f'--voc_dir={folder}',
                '--splits=good,test',
                f'--leaks={leaks}',
                f'--out_dir={tmp_path}/{leaks}',
                '--image_size=96',
                '--workers=2',
                '--anchors=voc',
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, said in done.stdout + done.stderr) == (status, True), done.stdout + done.stderr
