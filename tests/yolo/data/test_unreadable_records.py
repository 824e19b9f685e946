"""A damaged record is named with its file, whatever reads it; nothing looks for it before."""

import dataclasses
import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from conftest import encode_jpeg, write_manifest, write_records

from yolo.data import damage, pipeline, records, tfrecord
from yolo.evaluation import inference


def flip(path: pathlib.Path) -> None:
    """Flips a bit in the middle of a file, which its length does not show."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edit_third(path: pathlib.Path, **changes) -> None:
    """Writes the file again with changes to its third record; checksums are right."""
    with open(path, 'rb') as file:
        found = [records.deserialize(data) for data in tfrecord.unframe(file, str(path))]
    found[2] = dataclasses.replace(found[2], **changes)
    path.write_bytes(b''.join(tfrecord.frame(records.serialize(record)) for record in found))
    write_manifest(path.parent)


OTHER_SIZE = encode_jpeg(np.zeros((64, 96, 3), np.uint8), 90)
DAMAGES = [
    (flip, r'record 1: is damaged after byte [\d,]+'),
    (lambda path: edit_third(path, image=b'no image'), r"record 2 \('train_5'\): .*image"),
    (lambda path: edit_third(path, image=OTHER_SIZE), r"record 2 \('train_5'\): the image is 96 x 64, not 96 x 96"),
    (lambda path: edit_third(path, labels=np.zeros(9)), r"record 2 \('train_5'\): its objects are \[0, 9\] in number"),
    (
        lambda path: edit_third(
            path, boxes=np.zeros((9, 4)), labels=np.zeros(9), difficult=np.zeros(9), places=np.zeros((9, 3))
        ),
        r"record 2 \('train_5'\): it has 9 objects, the dataset\.json says at most 4",
    ),
]


def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
    """A model that detects nothing."""
    size = images.shape[0]
    return {
        'boxes': tf.zeros((size, 1, 4)),
        'scores': tf.zeros((size, 1)),
        'classes': tf.zeros((size, 1), tf.int32),
        'count': tf.zeros(size, tf.int32),
    }


@pytest.mark.parametrize(('harm', 'reason'), DAMAGES)
def test_evaluation_and_training_name_the_record(tmp_path, harm, reason):
    folder = write_records(tmp_path / 'data')
    assert damage.find(folder, 'train') == ''
    harm(tmp_path / 'data/train.tfrecord-00001-of-00002')
    advice = rf'; `python -m preprocess verify --data_dir={folder}` checks all records, `python -m preprocess` with'
    message = rf'^{folder}/train\.tfrecord-00001-of-00002, {reason}.*{advice}'
    with pytest.raises(ValueError, match=message):
        inference.run_inference(predict, folder, 'train', 4, inference.Thresholds())
    with pytest.raises(ValueError, match=message), pipeline.naming_damage(folder, 'train'):
        for _ in pipeline.training_batches(folder, 'train', 4, seed=0).take(4):
            pass
    assert damage.find(folder, 'test') == ''


def test_whole_records_are_never_looked_for(tmp_path, monkeypatch):
    folder = write_records(tmp_path / 'data')
    monkeypatch.setattr(damage, 'find', lambda *_: pytest.fail('read all records'))
    result, _, _ = inference.run_inference(predict, folder, 'train', 4, inference.Thresholds())
    assert len(result.image_ids) == 8
    with pytest.raises(tf.errors.InvalidArgumentError), pipeline.naming_damage(folder, 'train'):
        tf.debugging.assert_equal(tf.constant(1), tf.constant(2))  # an error that has nothing to do with records


def test_an_error_of_which_no_record_is_the_cause_stays_what_it_is(tmp_path):
    folder = write_records(tmp_path / 'data')
    wrong = tf.data.Dataset.range(1).map(lambda x: tf.ensure_shape(tf.fill([x + 1], 0), (3,)))
    with pytest.raises(tf.errors.InvalidArgumentError), pipeline.naming_damage(folder, 'train'):
        next(iter(wrong))


def test_a_missing_file_and_a_record_of_endless_length_are_named(tmp_path):
    folder = write_records(tmp_path / 'data')
    path = tmp_path / 'data/train.tfrecord-00001-of-00002'
    length = (2**62).to_bytes(8, 'little')
    path.write_bytes(length + tfrecord.frame(length)[20:24])  # the checksum is right
    with pytest.raises(ValueError, match='is damaged at byte 0: a record of 4,611,686,018,427,387,904 bytes'):
        list(tfrecord.unframe(io.BytesIO(path.read_bytes()), 'it'))
    assert damage.find(folder, 'train').startswith(f'{path}, record 0: is damaged at byte 0')
    path.unlink()
    assert damage.find(folder, 'train').startswith(f'{path}, record 0: ')
