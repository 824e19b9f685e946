"""--make_splits from a folder of images to lists beside the records."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT, digests

from preprocess import convert, pool, verify
from preprocess.demo.shapes import write_shapes
from preprocess.leaks import leaks as leak_tools
from preprocess.report import summary as report_summary
from preprocess.settings import Settings
from preprocess.splitting import kept_lists, made_splits
from yolo import storage
from yolo.data import records, voc_folder

SHARES = ('train=0.5', 'val=0.25', 'test=0.25')


@pytest.mark.parametrize(
    ('texts', 'message'),
    [
        (('train=0.8', 'test=0.1'), 'the shares sum to 0.9, not to 1'),
        (('train=1',), 'two or more splits'),
        (('train=1.5', 'test=-0.5'), 'each with a share above 0 and below 1'),
        (('train=0.5', 'train=0.5'), 'a name is there twice'),
        (('train=half', 'test=0.5'), "'half' is not a number"),
        (('train=nan', 'test=0.5'), 'each with a share above 0'),
        (('train', 'test=0.5'), "'train' is not name=file"),
        (('a/b=0.5', 'test=0.5'), 'it has a /'),
    ],
)
def test_shares_that_make_no_sense(texts, message):
    with pytest.raises(ValueError, match=message):
        made_splits.parse(texts)
    assert made_splits.parse(SHARES) == {'train': 0.5, 'val': 0.25, 'test': 0.25}


def test_flags_that_do_not_go_together():
    made_splits.check(SHARES, 'x', {'images_dir': 'x'})
    made_splits.check(SHARES, None, {'tfds': 'voc', 'splits': ('train',)})
    for given in ({'splits': ('a',)}, {'split_files': ('a=b',)}):
        with pytest.raises(ValueError, match=f'--{next(iter(given))} names splits, --make_splits=train=0.5,.* makes'):
            made_splits.check(SHARES, None, given)
    with pytest.raises(ValueError, match='--group_by=x is for --make_splits'):
        made_splits.check(None, 'x', {})


def copy(folder: pathlib.Path, old: str, new: str) -> None:
    """A mirrored copy of an image, with its annotation."""
    image = cv2.imread(str(folder / f'JPEGImages/{old}.jpg'))
    cv2.imwrite(str(folder / f'JPEGImages/{new}.jpg'), image[:, ::-1])
    shutil.copy(folder / f'Annotations/{old}.xml', folder / f'Annotations/{new}.xml')


def ids_of(folder: pathlib.Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (folder / 'JPEGImages').iterdir()))


@pytest.fixture(scope='module')
def template(tmp_path_factory) -> pathlib.Path:
    """Sixteen images of which four are mirrored ones of others, and no lists."""
    folder = tmp_path_factory.mktemp('made') / 'VOC'
    write_shapes(str(folder), num_train=10, num_test=2, seed=0)
    shutil.rmtree(folder / 'ImageSets')
    for i, image_id in enumerate(ids_of(folder)[:4]):
        copy(folder, image_id, f'copy_{i}')
    return folder


@pytest.fixture
def folder(template, tmp_path) -> pathlib.Path:
    return shutil.copytree(template, tmp_path / 'VOC')


def run(folder, out_dir, overwrite=False, **changes):
    """The ids of each split after a conversion, and its summaries."""
    source = voc_folder.Source(f'{folder}/Annotations', f'{folder}/JPEGImages')
    given = {'make_splits': SHARES, 'image_size': (96, 96), 'anchors': 'voc', 'workers': 1, **changes}
    settings = Settings(source, {'all': ids_of(folder)}, str(out_dir), **given)
    description, summaries = convert.convert(settings, overwrite)
    assert list(description.splits) == ['train', 'val', 'test']
    lists = {name: (out_dir / f'splits/{name}.txt').read_text().split() for name in description.splits}
    assert {name: split.num_images for name, split in description.splits.items()} == {
        name: len(ids) for name, ids in lists.items()
    }
    return lists, summaries


def split_of(lists):
    return {image_id: name for name, ids in lists.items() for image_id in ids}


def test_every_image_is_given_out_and_copies_stay_together(folder, tmp_path):
    lists, summaries = run(folder, tmp_path / 'a')
    splits = split_of(lists)
    assert sorted(splits) == list(ids_of(folder))
    assert [len(ids) for ids in lists.values()] == [8, 4, 4]
    originals = ids_of(folder)[4:8]
    assert all(splits[f'copy_{i}'] == splits[image_id] for i, image_id in enumerate(originals))
    assert report_summary.format_leaks(summaries) == ''
    assert all(set(summary.objects) for summary in summaries.values())
    assert run(folder, tmp_path / 'b')[0] == lists


@pytest.mark.slow
def test_old_images_keep_their_side_and_new_ones_meet_the_shares(folder, tmp_path):
    lists, _ = run(folder, tmp_path / 'out')
    assert run(folder, tmp_path / 'out')[1] is None  # whole already
    before = split_of(lists)
    for i, image_id in enumerate(lists['test']):
        copy(folder, image_id, f'later_{i}')  # which go where the other one is
    with pytest.raises(ValueError, match=r'splits: .*16 images|--overwrite'):
        run(folder, tmp_path / 'out')
    again, summaries = run(folder, tmp_path / 'out', overwrite=True)
    assert {image_id: split_of(again)[image_id] for image_id in before} == before
    assert sorted(again['test']) == sorted([*lists['test'], *(f'later_{i}' for i in range(4))])
    texts = [problem.reason for problem in summaries['train'].problems]
    assert any(text.startswith('test has 40.0% of the images, --make_splits asks for 25.0%') for text in texts)
    write_shapes(str(tmp_path / 'more'), num_train=20, num_test=1, seed=5)
    for part in ('JPEGImages', 'Annotations'):
        for path in (tmp_path / 'more' / part).iterdir():
            shutil.copy(path, folder / part / f'more_{path.name}')
    more, _ = run(folder, tmp_path / 'out', overwrite=True)
    assert {image_id: split_of(more)[image_id] for image_id in split_of(again)} == split_of(again)
    assert [len(ids) for ids in more.values()] == [20, 10, 11]


def test_without_the_pictures_a_name_can_keep_images_together(folder, tmp_path):
    lists, summaries = run(folder, tmp_path / 'a', leaks='off', group_by='^(copy|trainval_0000)')
    splits = split_of(lists)
    assert len({splits[image_id] for image_id in splits if image_id.startswith('copy')}) == 1
    assert len({splits[image_id] for image_id in splits if image_id.startswith('trainval_0000')}) == 1
    assert not any(summary.fingerprints for summary in summaries.values())
    texts = [problem.reason for problem in summaries['train'].problems]
    said = [text for text in texts if 'images that belong together, such as ' in text]
    assert said[0].endswith('are more than the share of val: 4.0 images')


def test_lists_of_other_splits_are_named(folder, tmp_path):
    out = tmp_path / 'out'
    (out / 'splits').mkdir(parents=True)
    (out / 'splits/dev.txt').write_text('x\n')
    with pytest.raises(ValueError, match=r'has a list dev, which is no split of --make_splits with train, val, test'):
        run(folder, out)
    (out / 'splits/dev.txt').unlink()
    for name in ('train', 'val'):
        (out / f'splits/{name}.txt').write_text('x\n')
    with pytest.raises(ValueError, match="'x' is in the lists of train and val"):
        run(folder, out)


def test_all_ids_come_back_from_the_lists_as_they_are(tmp_path):
    """Also those that look like VOC's flags, end with a blank, have a strange line end, or are no UTF-8."""
    ids = ['p 0', 'p 1', 'q -1', ' blank ', 'a\u2028b', 'c\x85d', 'e\nf', os.fsdecode(b'caf\xe9')]
    kept = kept_lists.KeptLists({'train': ids[:5], 'test': ids[5:]}, {'test': ['gone 0']}, {'seed': '0'}, ['a note'])
    kept_lists.write(str(tmp_path), kept)
    assert kept_lists.read(str(tmp_path), ['train', 'test']) == kept
    folder = tmp_path / 'texts/splits'
    folder.mkdir(parents=True)
    (folder / 'test.txt').write_bytes('p 0\np 1\r\n\na\u2028b\n'.encode() + b'caf\xe9')
    read = kept_lists.read(str(tmp_path / 'texts'), ['train', 'test'])
    assert read.splits == {'test': ['p 0', 'p 1', 'a\u2028b', ids[-1]]}


def test_what_is_no_list_is_passed_over_and_a_damaged_one_is_not(tmp_path):
    folder = tmp_path / 'splits'
    folder.mkdir()
    for name in ('.DS_Store', 'val.txt.partial', '._train.txt', 'lists.json.partial', 'notes.md'):
        (folder / name).write_text('x')
    assert kept_lists.read(str(tmp_path), ['train', 'val']) is None
    (folder / 'lists.json').write_text('{"splits": {"train": ["a"]')
    with pytest.raises(ValueError, match=r'lists\.json: not lists that .* remove that folder to give out all'):
        kept_lists.read(str(tmp_path), ['train', 'val'])


class KillError(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize(
    'file', ['manifest.json', *(pytest.param(name, marks=pytest.mark.slow) for name in ('lists.json', 'val.txt'))]
)
def test_killed_around_the_lists_it_ends_with_the_same_bytes(folder, tmp_path, monkeypatch, file):
    """Also with the same notes, which need a look at all images."""
    whole, out = tmp_path / 'whole', tmp_path / 'out'
    given = {'leaks': 'off', 'group_by': '^(copy|trainval_0000)'}
    run(folder, whole, **given)
    write = storage.write

    def killed(path, data):
        if path.endswith(file):
            raise KillError
        write(path, data)

    monkeypatch.setattr(storage, 'write', killed)
    with pytest.raises(KillError):
        run(folder, out, **given)
    monkeypatch.undo()
    (out / 'splits').mkdir(exist_ok=True)
    (out / f'splits/{file}.partial').write_text('half')
    run(folder, out, **given)
    (out / f'splits/{file}.partial').unlink(missing_ok=True)
    assert digests(out) == digests(whole)
    assert 'are more than the share of val: 4.0 images' in (out / 'report.json').read_text()


def make(folder, out_dir, some, **changes):
    """The split of each of some images, and what is noted, without looking at the pictures or writing records."""
    source = voc_folder.Source(f'{folder}/Annotations', f'{folder}/JPEGImages')
    given = {'make_splits': SHARES, 'leaks': 'off', 'workers': 1, **changes}
    with pool.local(1) as workers:
        made = made_splits.make(Settings(source, {}, str(out_dir), **given), {'all': list(some)}, workers)
    kept_lists.write(str(out_dir), made.kept)
    return split_of(made.lists), [problem.reason for problem in made.problems]


def test_other_shares_where_all_have_a_side_are_noted(template, tmp_path):
    ids = ids_of(template)
    splits, noted = make(template, tmp_path, ids)
    again, texts = make(template, tmp_path, ids, make_splits=('train=0.2', 'val=0.4', 'test=0.4'), seed=1)
    assert again == splits
    assert any('train has 50.0% of the images, --make_splits asks for 20.0%' in text for text in texts)
    assert any('which was made with another --make_splits, --seed: without it all are' in text for text in texts)
    assert make(template, tmp_path, ids) == (splits, noted)


def test_images_that_were_gone_have_their_old_side_when_they_return(template, tmp_path):
    ids = ids_of(template)
    first, _ = make(template, tmp_path, ids[:10])
    make(template, tmp_path, ids[4:], seed=1)  # four are gone, and six are new
    again, _ = make(template, tmp_path, ids, seed=2)
    assert {image_id: again[image_id] for image_id in first} == first


def test_a_split_without_a_class_is_noted():
    counts = np.array([[8, 3, 2, 0, 0, 0, 1], [2, 1, 0, 5, 6, 7, 0], [0, 0, 0, 0, 0, 0, 0]])
    texts = made_splits._class_notes(['train', 'val', 'test'], list('abcdef'), counts)
    assert [text.partition(':')[0] for text in texts] == [
        "train has no image with 'c', 'd', 'e'",
        "val has no image with 'b', 'f'",
    ]
    assert made_splits._class_notes(['train'], list('abcdef'), np.array([[1, 0, 0, 0, 0, 0, 1]]))[0].startswith(
        "train has no image with 'a', 'b', 'c' and 2 more: too few images, or groups, have such objects"
    )


def test_too_many_pairs_are_an_error(folder, tmp_path, monkeypatch):
    monkeypatch.setattr('preprocess.leaks.near_duplicates.MOST_COMPARED', 2)
    with pytest.raises(ValueError, match=r'--make_splits: too many images are alike at --leak_distance=7'):
        run(folder, tmp_path / 'out')
    assert not (tmp_path / 'out/splits').exists()


def test_leaks_between_old_sides_are_still_found(folder, tmp_path):
    """A person may have put two copies on two sides; nothing moves them."""
    out = tmp_path / 'out'
    (out / 'splits').mkdir(parents=True)
    first = ids_of(folder)[4]
    (out / 'splits/train.txt').write_text(f'{first}\n')
    (out / 'splits/test.txt').write_text('copy_0\n')
    lists, summaries = run(folder, out)
    assert (split_of(lists)[first], split_of(lists)['copy_0']) == ('train', 'test')
    assert leak_tools.TITLE in report_summary.format_leaks(summaries)


def start(folder, out_dir, *flags):
    words = [f'--voc_dir={folder}', '--make_splits=train=0.5,val=0.25,test=0.25', '--image_size=96', '--num_shards=9']
    return subprocess.Popen(
        [sys.executable, '-m', 'preprocess', *words, f'--out_dir={out_dir}', *flags],
        cwd=ROOT,
        env={**os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_killed_and_resumed_with_other_workers_it_ends_with_the_same_bytes(tmp_path):
    folder = tmp_path / 'VOC'
    write_shapes(str(folder), num_train=150, num_test=10, seed=1)  # its lists do not matter
    for i, image_id in enumerate(ids_of(folder)[:20]):
        copy(folder, image_id, f'copy_{i}')
    whole, out = tmp_path / 'whole', tmp_path / 'out'
    process = start(folder, whole, '--workers=1')
    text = process.communicate()[0]
    assert process.returncode == 0, text
    assert leak_tools.TITLE not in text
    process = start(folder, out, '--workers=2')
    while not (out / 'progress').exists():
        assert process.poll() is None, process.communicate()[0]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / records.DESCRIPTION).exists()
    process = start(folder, out, '--workers=2')
    assert process.communicate()[0]
    assert process.returncode == 0
    assert digests(out) == digests(whole)
    assert verify.verify(str(out), 1)[1] == []
    process = start(folder, out, '--splits=trainval')
    assert '--splits names splits' in process.communicate()[0]
    assert process.returncode == 1
