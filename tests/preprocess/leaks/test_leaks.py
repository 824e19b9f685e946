"""What a conversion says of images that are in two splits, or nearly."""

import json
import pathlib

import cv2
import jinja2
import numpy as np
import pytest

from preprocess import convert, resume
from preprocess.demo.shapes import write_shapes
from preprocess.leaks import fingerprint
from preprocess.leaks import leaks as leak_tools
from preprocess.leaks.near_duplicates import Pairs
from preprocess.report import summary as report_summary
from preprocess.settings import Settings
from yolo.data import voc_folder


def put(folder, image_id, image):
    """An image with the annotation of no object."""
    cv2.imwrite(str(folder / f'JPEGImages/{image_id}.jpg'), image)
    (folder / f'Annotations/{image_id}.xml').write_text('<annotation></annotation>')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> pathlib.Path:
    """Six images for training, three for a test of which one is a mirrored one of training, and two are in its list."""
    folder = tmp_path_factory.mktemp('leaks') / 'VOC'
    write_shapes(str(folder), num_train=5, num_test=1, seed=0)
    lists = folder / 'ImageSets/Main'
    train, test = ((lists / f'{name}.txt').read_text().split() for name in ('trainval', 'test'))
    image = cv2.imread(str(folder / f'JPEGImages/{train[0]}.jpg'))
    put(folder, 'mirrored', image[:, ::-1])
    put(folder, 'again', image)
    put(folder, 'grey', image * 0 + 90)
    (lists / 'train.txt').write_text('\n'.join([*train, 'again', 'grey']))
    (lists / 'test.txt').write_text('\n'.join([*test, 'mirrored', train[3], train[4]]))
    return folder


def run(folder, out_dir, **changes):
    """Summaries, report.json and report.html of a conversion."""
    source = voc_folder.Source(f'{folder}/Annotations', f'{folder}/JPEGImages')
    splits = {name: f'{folder}/ImageSets/Main/{name}.txt' for name in ('train', 'test')}
    settings = Settings(source, splits, str(out_dir), image_size=(96, 96), anchors='voc', workers=1, **changes)
    _, summaries = convert.convert(settings)
    report = json.loads((out_dir / 'report.json').read_text())
    return summaries, report, (out_dir / 'report.html').read_text()


@pytest.fixture(scope='module')
def ran(folder, tmp_path_factory):
    return run(folder, tmp_path_factory.mktemp('out') / 'records')


def test_ids_in_two_lists_and_images_that_are_alike_are_a_warning(ran):
    lines = report_summary.format_leaks(ran[0]).splitlines()
    assert lines[0] == f'WARNING: {leak_tools.TITLE}'
    assert lines[1].strip().startswith('2 images are in the lists of both train and test: ')
    assert lines[2].strip().startswith('2 images of train are nearly the same as 1 of test: ')
    assert lines[2].count('(mirrored)') == 2
    assert len(lines) == 4


def test_pairs_within_a_split_and_images_of_one_colour_are_noted(ran):
    texts = [(problem.split, problem.reason) for problem in ran[0]['train'].problems if not problem.image_id]
    assert [split for split, _ in texts] == ['train', 'train']
    assert texts[0][1].startswith('2 images are nearly the same as another of the split: ')
    assert texts[1][1].startswith('1 image of almost one colour, alike only')
    assert not [problem for problem in ran[0]['test'].problems if not problem.image_id]


def test_report_json_has_every_pair_those_between_splits_first(ran):
    leaks = ran[1]['leaks']
    (both,) = leaks['in_two_lists']
    assert both['splits'] == ['train', 'test']
    assert len(both['image_ids']) == 2
    pairs = leaks['pairs']
    assert [pair['splits'] for pair in pairs] == [['train', 'test']] * 2 + [['train', 'train']]
    assert {pair['image_ids'][1] for pair in pairs[:2]} == {'mirrored'}
    assert [pair['mirrored'] for pair in pairs] == [True, True, False]
    assert leaks['num_pairs'] == 3
    assert all(0.95 < pair['similarity'] <= 1 for pair in pairs)
    assert (leaks['has_all_pairs'], leaks['images_of_one_colour'], leaks['images_not_compared']) == (True, 1, 0)


def test_the_page_begins_with_the_warning_and_shows_the_pairs(ran):
    text = ran[2]
    assert text.index('class="alarm"') < text.index('<table')
    assert text.count(' = test mirrored</b>') == 2
    between, within = (text.index(f'Images of {name} that are alike') for name in ('two splits', 'one split'))
    assert text.index('class="alarm"') < between < within
    assert text[between : text.index('<h2>Warnings')].count('<img') == 4


@pytest.mark.parametrize(
    ('number', 'num_open', 'said'), [(8, 8, ''), (9, 8, '1 more of 9 pairs'), (70, 8, '52 more of 70 pairs')]
)
def test_all_but_the_first_pairs_wait_for_a_click(number, num_open, said):
    environment = jinja2.Environment(loader=jinja2.PackageLoader('yolo.pages'), autoescape=True)
    rows = iter([(['data:x', ''], f'a{i} = b{i}', ['line']) for i in range(min(number, 60))])
    text = str(environment.get_template('leaks.html.jinja').module.pairs(rows, number, 60, num_open))
    before, _, after = text.partition('<details><summary>')
    assert (before.count('<figure>'), after.count('<figure>')) == (num_open, min(number, 60) - num_open)
    assert after.startswith(said)
    assert text.count('<div') == text.count('</div>') == 1 + bool(said)
    assert text.count('</details>') == bool(said)
    assert ('And 10 more pairs, in report.json' in text) == (number > 60)


def test_without_leaks_nothing_is_said(folder, tmp_path):
    """Ids in two lists cost nothing to find: they are said with --leaks=off too."""
    (folder / 'ImageSets/Main/one.txt').write_text((folder / 'ImageSets/Main/trainval.txt').read_text())
    source = voc_folder.Source(f'{folder}/Annotations', f'{folder}/JPEGImages')
    splits = {'one': f'{folder}/ImageSets/Main/one.txt'}
    settings = Settings(source, splits, str(tmp_path / 'a'), image_size=(96, 96), anchors='voc', workers=1)
    _, summaries = convert.convert(settings)
    assert report_summary.format_leaks(summaries) == ''
    assert 'class="alarm"' not in (tmp_path / 'a/report.html').read_text()
    summaries, report, _ = run(folder, tmp_path / 'b', leaks='off')
    assert len(summaries['train'].leak_warnings) == 1
    assert report['leaks']['pairs'] == []
    assert report['leaks']['images_not_compared'] == 11
    assert not summaries['train'].fingerprints


def test_a_note_keeps_the_fingerprints_and_refuses_what_is_none(ran, tmp_path):
    summary = ran[0]['train']
    path = tmp_path / 'train.tfrecord-00000-of-00001'
    for changes, message in (
        ({}, ''),
        ({next(iter(summary.fingerprints)): 'AAAA'}, "summary.fingerprints has 'train"),
        ({str(i): '' for i in range(9)}, 'summary.fingerprints counts 7'),
    ):
        noted = resume.Summary(**{**vars(summary), 'fingerprints': summary.fingerprints | changes})
        num_bytes = sum(summary.lengths) + 16 * len(summary.lengths)
        resume.note(str(path), resume.records.ShardFile(summary.num_images, num_bytes, 0), noted)
        if message:
            with pytest.raises(ValueError, match=message):
                resume.read_note(str(path))
        else:
            assert resume.read_note(str(path)).summary == summary


def test_an_incomplete_search_is_said(ran, folder, tmp_path, monkeypatch):
    monkeypatch.setattr('preprocess.leaks.near_duplicates.MOST_PAIRS', 0)
    summaries, report, _ = run(folder, tmp_path / 'out')
    reasons = [problem.reason for problem in summaries['train'].problems]
    assert any(each.startswith('the search for images that are alike ended at ') for each in reasons)
    assert not any('ended at' in each for each in summaries['train'].leak_warnings)  # no alarm
    assert not report['leaks']['has_all_pairs']


def test_the_same_night_twice_is_a_pair_and_another_night_is_none():
    rng = np.random.default_rng(0)
    night, other = (fingerprint.of_image(rng.integers(0, 9, (64, 64, 3), np.uint8)) for _ in range(2))
    seen = {
        'train': {'a': night, 'b': night, 'c': night, 'd': other, 'e': ''},
        'test': {'f': night, 'g': night, 'h': ''},
    }
    leaks = leak_tools.find({split: list(texts) for split, texts in seen.items()}, seen, 7)
    (line,) = leak_tools.warnings(leaks)
    assert line.startswith("3 images of train are nearly the same as 2 of test: 'a' and 'f'")
    assert len(leaks.of_splits('train', 'train')) == 2
    assert leaks.num_flat == 8


def test_report_json_has_so_many_pairs_and_their_number(monkeypatch):
    monkeypatch.setattr(leak_tools, 'MOST_LISTED', 2)
    first, second = np.triu_indices(4, 1)
    pairs = Pairs(first, second, np.ones(6), np.zeros(6, bool))
    leaks = leak_tools.Leaks(('a', 'b'), ('p', 'q', 'r', 's'), np.array([0, 0, 0, 1]), pairs, {})
    report = leak_tools.as_json(leaks)
    assert [pair['image_ids'] for pair in report['pairs']] == [['p', 's'], ['q', 's']]
    assert (report['num_pairs'], report['has_all_pairs']) == (6, False)


def test_crops_that_were_not_tried_are_said():
    none = np.zeros(0, np.int64)
    leaks = leak_tools.Leaks(('a',), (), none, Pairs(none, none, none, none, has_all_crops=False), {})
    assert leak_tools.warnings(leaks) == []
    (text,) = leak_tools.notes(leaks)['a']
    assert text.startswith('not all images that may be cropped copies were compared')


def test_a_page_without_other_problems_does_not_say_that_there_are_none(folder, tmp_path):
    lists = folder / 'ImageSets/Main'
    image_ids = (lists / 'trainval.txt').read_text().split()
    source = voc_folder.Source(f'{folder}/Annotations', f'{folder}/JPEGImages')
    splits = {'train': tuple(image_ids[:3]), 'test': tuple(image_ids[2:])}
    settings = Settings(source, splits, str(tmp_path / 'out'), image_size=(96, 96), anchors='voc', workers=1)
    convert.convert(settings)
    assert 'None but for the warning above: every listed image' in (tmp_path / 'out/report.html').read_text()
