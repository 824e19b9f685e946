"""Killed at any moment, out of disk, damaged afterwards: nothing is taken for whole that is not."""

import dataclasses
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, digests, write_manifest, write_records

from preprocess import convert, resume, verify
from preprocess.demo.shapes import write_shapes
from preprocess.settings import Settings
from yolo import storage
from yolo.data import records, tfrecord, voc_folder

FLAGS = ('--splits=trainval,test', '--image_size=64', '--num_shards=12', '--workers=2')


@pytest.fixture(scope='module')
def voc_dir(tmp_path_factory) -> pathlib.Path:
    """Some six hundred images, most of them links to thirty."""
    folder = tmp_path_factory.mktemp('survival') / 'VOC'
    write_shapes(str(folder), 30, 10, 0)
    ids = (folder / 'ImageSets/Main/trainval.txt').read_text().split()
    for part, suffix in (('Annotations', 'xml'), ('JPEGImages', 'jpg')):
        for image_id in ids:
            for copy in range(19):
                os.link(folder / part / f'{image_id}.{suffix}', folder / part / f'{image_id}_{copy}.{suffix}')
    (folder / 'ImageSets/Main/trainval.txt').write_text(
        '\n'.join(ids + [f'{image_id}_{copy}' for image_id in ids for copy in range(19)])
    )
    return folder


def start(voc_dir, out_dir, *flags, limit: int | None = None) -> subprocess.Popen:
    def prepare():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, '-m', 'preprocess', f'--voc_dir={voc_dir}', f'--out_dir={out_dir}', *FLAGS, *flags],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.STDOUT,
        preexec_fn=prepare,
    )


def wait_for_the_end_of(group: int) -> None:
    """Waits until no process of a group is left: workers must not outlive their parent."""
    for _ in range(300):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError('workers outlive their parent')


@pytest.fixture(scope='module')
def undisturbed(voc_dir, tmp_path_factory) -> tuple[pathlib.Path, float]:
    """The records of a run that nobody disturbed, and the seconds that it took."""
    out = tmp_path_factory.mktemp('undisturbed') / 'data'
    begin = time.monotonic()
    process = start(voc_dir, out)
    text = process.communicate()[0]
    assert process.returncode == 0, text
    assert verify.verify(str(out), 1)[1] == []
    return out, time.monotonic() - begin


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_with_the_same_bytes(voc_dir, undisturbed, tmp_path):
    whole, seconds = undisturbed
    rng = np.random.default_rng()  # a failure prints the moments
    moments = np.sort(rng.uniform(0, 1.1 * seconds, 10)).round(3).tolist()
    out, unfinished = tmp_path / 'data', 0
    for number, moment in enumerate(moments):
        process = start(voc_dir, out)
        time.sleep(moment)
        everyone = number % 2 == 0  # else the parent alone: its workers must not go on
        (os.killpg if everyone else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        wait_for_the_end_of(process.pid)
        if not (out / records.DESCRIPTION).exists():
            unfinished += 1
            with pytest.raises(ValueError, match='did not finish'):
                records.read_description(str(out))
    process = start(voc_dir, out, '--workers=1')
    text = process.communicate()[0]
    assert process.returncode == 0, (moments, text)
    assert digests(out) == digests(whole), moments
    assert unfinished > 0, moments


@pytest.mark.slow
def test_finished_shards_are_not_written_again(voc_dir, undisturbed, tmp_path):
    out = tmp_path / 'data'
    process = start(voc_dir, out)
    while not (out / resume.FOLDER).exists() or len(list((out / resume.FOLDER).glob('*.json'))) < 5:
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for_the_end_of(process.pid)
    finished = [path for path in out.glob('*.tfrecord-*-of-?????') if resume.finished(str(path))]
    before = {path: path.stat().st_mtime_ns for path in finished}
    assert len(before) >= 5
    damaged, *others = sorted(before)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b'x')
    assert start(voc_dir, out).wait() == 0
    assert digests(out) == digests(undisturbed[0])
    assert {path: path.stat().st_mtime_ns for path in others} == {path: before[path] for path in others}


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_next_run_goes_on(voc_dir, undisturbed, tmp_path):
    largest = max(path.stat().st_size for path in undisturbed[0].glob('*.tfrecord*'))
    out = tmp_path / 'data'
    process = start(voc_dir, out, limit=largest - 1)  # files cannot become longer, as on a disk that is full
    text = process.communicate()[0]
    assert process.returncode == 1
    assert 'File too large' in text
    assert '.tfrecord-' in text
    assert 'Traceback' not in text
    assert not (out / records.DESCRIPTION).exists()
    assert start(voc_dir, out).wait() == 0
    assert digests(out) == digests(undisturbed[0])


@pytest.mark.slow
def test_a_whole_folder_is_left_alone_and_other_settings_are_refused(voc_dir, undisturbed):
    before = digests(undisturbed[0])
    process = start(voc_dir, undisturbed[0])
    assert 'holds these records already, whole' in process.communicate()[0]
    assert process.returncode == 0
    process = start(voc_dir, undisturbed[0], '--image_size=96', '--jpeg_quality=80')
    text = process.communicate()[0]
    assert process.returncode == 1
    assert 'image_size: [64, 64] there, [96, 96] now' in text
    assert 'jpeg_quality: 95 there, 80 now' in text
    assert '--overwrite' in text
    assert digests(undisturbed[0]) == before


def test_records_without_a_manifest_are_not_taken_for_whole(tmp_path):
    folder = write_records(tmp_path / 'data')
    os.remove(f'{folder}/{records.MANIFEST}')
    with pytest.raises(ValueError, match=r'without a manifest\.json; --overwrite'):
        resume.begin(folder, {}, {})
    assert not os.path.exists(f'{folder}/{records.MANIFEST}')


@pytest.mark.slow
def test_notes_of_other_settings_are_never_taken_for_these(voc_dir, tmp_path, undisturbed):
    """Killed, then killed again while `--overwrite` with other settings was clearing: its manifest had gone first."""
    out = tmp_path / 'data'
    process = start(voc_dir, out, '--jpeg_quality=10')
    while not list((out / resume.FOLDER).glob('*.json')):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for_the_end_of(process.pid)
    (out / records.MANIFEST).unlink()
    assert start(voc_dir, out).wait() == 0
    assert digests(out) == digests(undisturbed[0])


def edit_records(path: pathlib.Path, edit) -> None:
    """Writes a file of records again, its first record changed."""
    with open(path, 'rb') as file:
        first, *others = [records.deserialize(data) for data in tfrecord.unframe(file, str(path))]
    path.write_bytes(b''.join(tfrecord.frame(records.serialize(record)) for record in [edit(first), *others]))


def replaced(**fields):
    return lambda record: dataclasses.replace(record, **{name: value(record) for name, value in fields.items()})


@pytest.mark.parametrize(
    ('edit', 'problem'),
    [
        (replaced(image=lambda r: r.image[: len(r.image) // 2]), 'the image is damaged'),
        (replaced(places=lambda r: r.places + 1), 'a responsible place is not that of its box'),
        (replaced(labels=lambda r: r.labels + 9), 'a label is not one of the 5 classes'),
        (replaced(boxes=lambda r: r.boxes + 1), 'a box is not within the image'),
        (replaced(labels=lambda r: (r.labels + 1) % 5), 'other numbers of objects per class'),
        (replaced(difficult=lambda r: ~r.difficult), 'num_difficult'),
        (replaced(difficult=lambda r: r.difficult[:0]), 'its objects are'),
    ],
)
def test_verify_looks_into_every_record(undisturbed, tmp_path, edit, problem):
    folder = tmp_path / 'data'
    shutil.copytree(undisturbed[0], folder)
    edit_records(folder / 'test.tfrecord-00000-of-00010', edit)
    write_manifest(folder)  # so that only what is inside is wrong
    problems = verify.verify(str(folder), 1)[1]
    assert any(problem in each for each in problems), problems


@pytest.mark.slow
def test_verify_as_a_command_finds_a_flipped_bit(undisturbed, tmp_path):
    folder = tmp_path / 'data'
    shutil.copytree(undisturbed[0], folder)
    run = [sys.executable, '-m', 'preprocess', 'verify', f'--data_dir={folder}']
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'is whole: 600 images in trainval, 10 images in test' in done.stdout
    path = folder / 'trainval.tfrecord-00003-of-00012'
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f'{path} is not what was written' in done.stdout
    assert f'{path} is damaged after byte' in done.stdout


def test_the_reader_refuses_a_folder_that_is_not_as_its_manifest_says(tmp_path):
    folder = pathlib.Path(write_records(tmp_path / 'data'))
    description = records.read_description(str(folder))
    path = folder / 'train.tfrecord-00001-of-00002'
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    with pytest.raises(ValueError, match=r'train\.tfrecord-00001-of-00002 has [\d,]+ bytes, the manifest.json says'):
        records.shard_paths(str(folder), 'train', description)
    path.unlink()
    with pytest.raises(ValueError, match=r'train\.tfrecord-00001-of-00002 is missing'):
        records.shard_paths(str(folder), 'train', description)
    (folder / records.MANIFEST).unlink()
    with pytest.raises(ValueError, match=r'train\.tfrecord-00000-of-00002 is not in the manifest'):
        records.shard_paths(str(folder), 'train', description)


def test_paths_of_other_file_systems(tmp_path):
    """ram:// is one that only tf.io.gfile opens: from there and to there, the same bytes as on the disk."""
    write_shapes(str(tmp_path / 'VOC'), 6, 2, 0)
    (tmp_path / 'VOC/JPEGImages/trainval_00002.jpg').unlink()
    remote = f'ram://{tmp_path}'
    for path in (tmp_path / 'VOC').rglob('*.*'):
        storage.make_folder(f'{remote}/VOC/{path.parent.relative_to(tmp_path / "VOC")}')
        storage.write(f'{remote}/VOC/{path.relative_to(tmp_path / "VOC")}', path.read_bytes())
    for root in (str(tmp_path), remote):
        source = voc_folder.Source(f'{root}/VOC/Annotations', f'{root}/VOC/JPEGImages')
        splits = {name: f'{root}/VOC/ImageSets/Main/{name}.txt' for name in ('trainval', 'test')}
        convert.convert(
            Settings(
                source,
                splits,
                f'{root}/out',
                labels=None,
                image_size=(64, 64),
                resize='stretch',
                anchors='kmeans:2',
                image_format='jpeg',
                jpeg_quality=95,
                strict=False,
                num_shards=2,
                workers=1,
            )
        )
    names = storage.names(f'{tmp_path}/out')
    assert storage.names(f'{remote}/out') == names
    for name in names:
        if name not in ('manifest.json', 'report.json', 'report.html'):  # these tell paths
            assert storage.read(f'{remote}/out/{name}') == storage.read(f'{tmp_path}/out/{name}')
    assert verify.verify(f'{remote}/out', 1)[1] == []
    records.shard_paths(f'{remote}/out', 'trainval', records.read_description(f'{remote}/out'))
