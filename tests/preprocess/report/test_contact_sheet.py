"""The contact sheet of records."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ANCHORS, CLASSES, ROOT

from preprocess.report import contact_sheet
from yolo.cli import flags
from yolo.data import images
from yolo.data.draw import class_colour


def test_the_cell_the_anchor_and_the_box_are_where_they_belong():
    image = np.zeros((96, 96, 3), np.uint8)
    drawn = contact_sheet.draw_record(
        image, np.array([[0.4, 0.5, 0.9, 0.8]]), np.array([1]), np.array([[1, 2, 1]]), ANCHORS, CLASSES
    )
    cell = drawn.shape[0] // 3
    assert drawn.shape == (3 * cell, 3 * cell, 3)
    colour = np.array(class_colour(1))
    filled = drawn[cell + 5 : cell + 12, 2 * cell + 5 : -12].reshape(-1, 3)  # row 1, column 2, above the true box
    assert np.abs(filled - 0.4 * colour).max() < 2
    assert not drawn[5 : cell - 5, 5 : cell - 5].any()  # another cell
    assert (np.abs(drawn[round(0.8 * 3 * cell) - 1, round(0.6 * 3 * cell)] - colour) < 2).all()  # the box's last row
    top = round((1.5 - ANCHORS[1][1] / 2) * cell)  # the anchor's upper side, dashed, in row 0 around column 2's middle
    line = (drawn[top, 2 * cell + 5 : -5] == colour).all(-1)
    assert 0.4 < line.mean() < 0.9


def test_objects_without_a_place_are_still_drawn():
    image = np.zeros((64, 64, 3), np.uint8)
    args = np.array([[0.2, 0.6, 0.6, 0.9]]), np.array([0]), np.array([[-1, -1, -1]])
    drawn = contact_sheet.draw_record(image, *args, ANCHORS, CLASSES)
    with_place = contact_sheet.draw_record(image, *args[:2], np.array([[1, 0, 0]]), ANCHORS, CLASSES)
    assert 0 < (drawn == class_colour(0)).all(-1).sum() < drawn.shape[0] ** 2 / 20
    assert with_place.sum() > drawn.sum()


def test_sheet_has_a_tile_for_each_record_and_a_legend(records_dir):
    sheet, num = contact_sheet.make_sheet(records_dir, 'test', 3)
    more, num_more = contact_sheet.make_sheet(records_dir, 'test', 100)
    assert (num, num_more) == (3, 8)  # no more than there are
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] > 3 * 400
    assert more.shape[0] > 2 * 400  # two rows
    assert all((sheet[-80:] == class_colour(k)).all(-1).any() for k in range(len(CLASSES)))


def test_seed_draws_other_records_once_each(records_dir):
    def ids(seed, num=4):
        return [each.image_id for each in contact_sheet.read_records(records_dir, 'train', num, seed)]

    assert ids(None)[:2] == ['train_0', 'train_2']  # the first of the first file
    assert ids(1) == ids(1)
    assert len({tuple(ids(seed)) for seed in range(5)}) > 1
    assert sorted(ids(1, 8)) == [f'train_{i}' for i in range(8)]


def test_records_come_without_padding(records_dir):
    for each in contact_sheet.read_records(records_dir, 'train', 8, None):
        num = int(each.image_id.split('_')[1]) % 5  # as conftest writes them
        assert each.boxes.shape == (num, 4)
        assert each.places.shape == (num, 3)
        assert images.decode(each.image).shape == (96, 96, 3)


@pytest.mark.parametrize(('split', 'message'), [('val', "no split 'val'.*test, train"), (None, 'dataset.json')])
def test_unknown_folder_and_split_are_named(records_dir, tmp_path, split, message):
    with pytest.raises(ValueError, match=message):
        contact_sheet.make_sheet(records_dir if split else str(tmp_path), split or 'test', 1)


def test_command_writes_and_says_what(records_dir, tmp_path, capsys):
    with pytest.raises(SystemExit) as status:
        flags.run(
            contact_sheet.COMMAND, ['show', f'--data_dir={records_dir}', f'--out={tmp_path}/sheet.png', '--num=2']
        )
    assert status.value.code == 0
    sheet = cv2.imread(str(tmp_path / 'sheet.png'))
    assert f'2 records of test, {sheet.shape[1]} x {sheet.shape[0]}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--split=none'], "no split 'none'"),
        (['--num=0'], 'num'),
        (['--out=/nowhere/sheet.png'], '/nowhere'),
        (['more'], 'more: not a flag'),
    ],
)
def test_bad_input_is_a_line(records_dir, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as status:
        flags.run(contact_sheet.COMMAND, ['show', f'--data_dir={records_dir}', *words])
    assert status.value.code == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_it_is_a_command_of_preprocess(records_dir, tmp_path):
    command = [sys.executable, '-m', 'preprocess', 'show', f'--data_dir={records_dir}', f'--out={tmp_path}/sheet.png']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '8 records of test' in done.stdout
