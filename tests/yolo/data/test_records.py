import numpy as np
import tensorflow as tf

from yolo.data import records, tfrecord


def test_records_are_what_tensorflow_writes(tmp_path):
    image = bytes(range(256)) * 700
    boxes, places = np.random.default_rng(0).random((11, 4)).astype(np.float32), np.arange(33).reshape(11, 3)
    full = records.Record('é 1', image, (480, 640), boxes, np.arange(11), np.arange(11) % 2 == 0, places)
    empty = records.Record('', b'', (1, 2), boxes[:0], np.arange(0), np.zeros(0, bool), places[:0])
    path, theirs = tmp_path / 'ours', tmp_path / 'theirs'
    path.write_bytes(b''.join(tfrecord.frame(records.serialize(record)) for record in (full, empty)))
    read = [tf.train.Example.FromString(data) for data in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for example in read:
            writer.write(example.SerializeToString(deterministic=True))
    assert path.read_bytes() == theirs.read_bytes()
    features = read[0].features.feature
    assert features[records.IMAGE].bytes_list.value[:] == [image]
    assert features[records.IMAGE_ID].bytes_list.value[:] == ['é 1'.encode()]
    assert features[records.SIZE].int64_list.value[:] == [480, 640]
    np.testing.assert_array_equal(features[records.BOX].float_list.value, boxes.reshape(-1))
    assert features[records.LABEL].int64_list.value[:] == list(range(11))
    assert features[records.DIFFICULT].int64_list.value[:] == [1, 0] * 5 + [1]
    assert features[records.PLACE].int64_list.value[:] == list(range(33))
    assert len(read) == 2
