"""detections.npz: damaged at random, made to cost memory, and with arrays that do not fit each other."""

import io
import random
import shutil
import zipfile

import numpy as np
import pytest
from conftest import DATA

from benchmarks import peak_memory
from yolo import storage
from yolo.evaluation import npz, result

OLD = DATA / 'version_0_1' / 'report'


@pytest.fixture
def report(tmp_path):
    """A copy of an evaluation of version 0.1."""
    shutil.copytree(OLD, tmp_path / 'report')
    return tmp_path / 'report'


def refusal(report) -> str:
    """The message with which the file in a folder is refused, '' if it is read."""
    try:
        result.read(str(report))
    except ValueError as error:
        text = str(error)
        assert text.startswith(f'{report}/detections.npz: not a file of detections that this version reads (')
        assert text.endswith('; evaluate that detector again')
        assert '\n' not in text
        assert len(text) < 500
        return text
    return ''


def change(report, **changes) -> None:
    """Writes the file again with other arrays; None leaves one out."""
    with np.load(OLD / 'detections.npz') as stored:
        arrays = {**stored, **changes}
    np.savez_compressed(report / 'detections.npz', **{k: v for k, v in arrays.items() if v is not None})


def array(name: str) -> np.ndarray:
    with np.load(OLD / 'detections.npz') as stored:
        return stored[name].copy()


def test_damage_at_random(report):
    path, rng, refused = report / 'detections.npz', random.Random(0), 0
    whole = path.read_bytes()
    for _ in range(150):
        path.write_bytes(whole[: rng.randrange(len(whole))])
        assert refusal(report)
        path.write_bytes(rng.randbytes(rng.randrange(1, 400)))
        assert refusal(report)
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        refused += refusal(report) != ''
    assert refused > 100


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'truth_boxes': None}, 'it has no truth_boxes'),
        ({'more': np.zeros(3)}, 'it has other arrays too'),
        ({'truth_images': np.zeros(8)}, r'truth_images is of type float64 and shape (8,)'),
        ({'truth_boxes': np.zeros(32)}, r'truth_boxes is of type float64 and shape (32,)'),
        ({'classes': np.array(['a', None], object)}, 'classes is not an array that this version reads'),
        ({'truth_boxes': np.zeros((8, 5))}, 'the shapes of truth do not fit each other'),
        ({'truth_classes': np.zeros(7, int)}, 'the shapes of truth do not fit each other'),
        ({'detections_scores': np.zeros(161)}, 'the shapes of detections do not fit each other'),
        ({'detections_scores': np.full(160, np.nan)}, 'detections_scores has numbers that are not finite'),
        ({'truth_boxes': np.full((8, 4), np.inf)}, 'truth_boxes has numbers that are not finite'),
        ({'truth_images': np.full(8, -1)}, 'truth_images numbers -1 to -1 of 4'),
        ({'detections_images': np.full(160, 4)}, 'detections_images numbers 4 to 4 of 4'),
        ({'detections_classes': np.full(160, 5)}, 'detections_classes numbers 5 to 5 of 5'),
        ({'classes': np.array(['a', 'b', 'c', 'd', 'a'])}, "classes has 'a' twice"),
        ({'image_ids': np.array(['a', 'b', 'c', 'a'])}, 'image_ids has an image twice'),
        ({'truth_difficult': np.full(8, 3, np.uint8).view(bool)}, 'truth_difficult has other values than true and'),
    ],
)
def test_arrays_that_do_not_fit_each_other(report, changes, reason):
    change(report, **changes)
    assert f'({reason}' in refusal(report)


def test_whatever_numpy_writes_of_such_arrays_is_read(report):
    change(report)
    expected = result.read(str(OLD))
    boxes = np.asfortranarray(array('truth_boxes'))
    change(report, truth_boxes=boxes, detections_images=array('detections_images').astype(np.uint16))
    got = result.read(str(report))
    for kind in ('truth', 'detections'):
        for name, value in vars(getattr(expected, kind)).items():
            np.testing.assert_array_equal(getattr(getattr(got, kind), name), value)
    empty = {name: array(name)[:0] for name in result.ARRAYS if name.startswith('detections_')}
    np.savez(report / 'detections.npz', **{**{name: array(name) for name in result.ARRAYS}, **empty})  # not compressed
    assert result.read(str(report)).detections.boxes.shape == (0, 4)


def test_files_of_other_file_systems_are_read(report):
    remote = f'ram://{report}'
    storage.make_folder(remote)
    for name in ('detections.npz', 'metrics.json'):
        storage.write(f'{remote}/{name}', (report / name).read_bytes())
    assert result.read(remote).image_ids == result.read(str(report)).image_ids


def member(archive: zipfile.ZipFile, name: str, header: str, zeros: int) -> None:
    """Writes an array with a header of one's own and so many bytes of zeros."""
    text = (header.ljust(117) + '\n').encode()
    with archive.open(f'{name}.npy', 'w', force_zip64=True) as file:
        file.write(b'\x93NUMPY\x01\x00' + len(text).to_bytes(2, 'little') + text)
        for _ in range(zeros >> 20):
            file.write(bytes(1 << 20))


def test_a_small_file_cannot_take_much_memory(report):
    """200 MB of zeros in 200 kB, and an array that only says that it has 8 TB."""
    before = peak_memory.reset()
    for header, zeros, reason in (
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (26214400,), }", 200 << 20, 'and would need 2'),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }", 0, 'detections_scores is cut off'),
    ):
        with zipfile.ZipFile(report / 'detections.npz', 'w', zipfile.ZIP_DEFLATED) as archive:
            for name in result.ARRAYS:
                if name == 'detections_scores':
                    member(archive, name, header, zeros)
                else:
                    buffer = io.BytesIO()
                    np.save(buffer, array(name))
                    archive.writestr(f'{name}.npy', buffer.getvalue())
        assert reason in refusal(report)
    assert peak_memory.peak() - before < 100 << 20


def test_a_file_that_unpacks_to_more_than_it_says_is_damaged(report):
    """The sizes in the zip file's directory are what memory is taken for; zipfile reads no byte more than they say."""
    path = report / 'detections.npz'
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo('detections_boxes.npy')
    raw = path.read_bytes()
    size = entry.file_size.to_bytes(4, 'little')
    assert raw.count(size)
    path.write_bytes(raw.replace(size, (entry.file_size - 64).to_bytes(4, 'little')))
    assert refusal(report)


@pytest.mark.parametrize('method', [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_compression_are_refused(report, method):
    with zipfile.ZipFile(report / 'detections.npz', 'w', method) as archive:
        for name in result.ARRAYS:
            buffer = io.BytesIO()
            np.save(buffer, array(name))
            archive.writestr(f'{name}.npy', buffer.getvalue())
    assert 'compressed by another method' in refusal(report)


def test_an_array_of_objects_runs_no_code(report):
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ('code of the file was run',))

    change(report, classes=np.array([Evil()], object))
    assert 'classes is not an array' in refusal(report)
    with pytest.raises(ValueError, match='it has no x'):
        npz.read_arrays(str(OLD / 'detections.npz'), {'x': ('U', 1)})
