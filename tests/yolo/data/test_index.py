import pathlib

import numpy as np
import pytest
from conftest import write_records

from yolo.data import index, pipeline, records, tfrecord


@pytest.fixture
def folder(tmp_path) -> str:
    return write_records(tmp_path / 'data', num_images=7)


def read(folder: str, split: str = 'train') -> index.RecordIndex:
    return index.read_index(folder, split, records.read_description(folder))


def lengths_of(folder: str, split: str = 'train') -> list[int]:
    """The lengths of the records by reading all of them."""
    lengths = []
    for path in records.shard_paths(folder, split, records.read_description(folder)):
        with open(path, 'rb') as file:
            lengths += [len(serialized) for serialized in tfrecord.unframe(file, path)]
    return lengths


def test_it_says_where_each_record_is(folder):
    index.write_indices(folder, {'train': lengths_of(folder)})
    found, number = read(folder), 0
    assert [pathlib.Path(path).name[-14:] for path in found.paths] == ['00000-of-00002', '00001-of-00002']
    for file, path in enumerate(found.paths):
        data = pathlib.Path(path).read_bytes()
        with open(path, 'rb') as opened:
            for serialized in tfrecord.unframe(opened, path):
                begin, end = found.offsets[number], found.offsets[number] + found.num_bytes[number]
                assert data[begin:end] == tfrecord.frame(serialized)
                assert found.files[number] == file
                number += 1
    assert number == len(found.offsets) == len(found.files) == len(found.num_bytes) == 7


def test_without_a_file_it_is_made_from_the_records(folder):
    made = read(folder)
    index.write_indices(folder, {'train': lengths_of(folder)})
    for name, value in vars(read(folder)).items():
        np.testing.assert_array_equal(value, vars(made)[name])


def test_a_damaged_one_is_named(folder):
    index.write_indices(folder, {'train': lengths_of(folder)})
    path = pathlib.Path(index.index_path(folder, 'train'))
    whole = path.read_bytes()
    for data in (whole[:-1], whole[:-4], b'', b'\1' + whole[1:]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf'^{path} is damaged; remove it, and it is made anew'):
            pipeline.training_batches(folder, 'train', 4, 0)


def test_one_of_other_records_is_named(folder):
    lengths, path = lengths_of(folder), index.index_path(folder, 'train')
    index.write_indices(folder, {'train': lengths[:-1]})
    with pytest.raises(ValueError, match=rf'^{path} is not the index of the records beside it \(it has 6 records\)'):
        read(folder)
    index.write_indices(folder, {'train': [*lengths[:5], lengths[5] + 1, lengths[6]]})
    with pytest.raises(
        ValueError, match=r'its records of train\.tfrecord-00001-of-00002 have another length\); remove'
    ):
        read(folder)
    index.write_indices(folder, {'train': lengths_of(folder, 'test')})
    with pytest.raises(ValueError, match='is not the index of the records beside it'):
        read(folder)


def test_a_damaged_length_of_a_record_is_named_with_it(folder):
    """Without an index lengths are read at the start already."""
    path = pathlib.Path(records.shard_path(folder, 'train', 1, 2))
    data = bytearray(path.read_bytes())
    second = 16 + int.from_bytes(data[:8], 'little')
    data[second + 1] ^= 1
    path.write_bytes(data)
    message = rf'^{path}, record 1: is damaged at byte {second:,}; `python -m preprocess verify --data_dir={folder}`'
    with pytest.raises(ValueError, match=message):
        pipeline.training_batches(folder, 'train', 4, 0)


def test_a_split_without_images_has_an_empty_one(tmp_path):
    index.write_indices(str(tmp_path), {'none': []})
    assert len(index.read_lengths(str(tmp_path), 'none')) == 0
