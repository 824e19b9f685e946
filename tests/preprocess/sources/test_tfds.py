"""TensorFlow Datasets reads what is written."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from conftest import REALDATA

from preprocess import convert
from preprocess.demo.shapes import write_shapes
from preprocess.settings import Settings
from preprocess.sources import tfds as tfds_source
from yolo.data import images, records, tfrecord, voc_folder

tfds = pytest.importorskip('tensorflow_datasets', reason='tensorflow-datasets is not installed on Python 3.10')


def settings(folder, **changes) -> Settings:
    source = voc_folder.Source(str(folder / 'VOC/Annotations'), str(folder / 'VOC/JPEGImages'))
    splits = {name: str(folder / f'VOC/ImageSets/Main/{name}.txt') for name in ('trainval', 'test')}
    given = {
        'labels': None,
        'image_size': (64, 96),
        'resize': 'stretch',
        'anchors': 'voc',
        'image_format': 'jpeg',
        'jpeg_quality': 95,
        'strict': False,
        'num_shards': 3,
        'workers': 1,
        **changes,
    }
    return Settings(source, splits, str(folder / 'out'), **given)


def compare(folder, split: str) -> None:
    """TFDS gives what is in the records of a split, all of it."""
    description = records.read_description(str(folder))
    examples = tfds.as_numpy(tfds.builder_from_directory(str(folder)).as_dataset(split=split))
    found = {example['image/id'].decode(): example for example in examples}
    for path in records.shard_paths(str(folder), split, description):
        with open(path, 'rb') as file:
            for record in map(records.deserialize, tfrecord.unframe(file, path)):
                example = found.pop(record.image_id)
                objects = example['objects']
                np.testing.assert_array_equal(objects['box'], record.boxes)
                np.testing.assert_array_equal(objects['label'], record.labels)
                np.testing.assert_array_equal(objects['difficult'], record.difficult)
                np.testing.assert_array_equal(objects['place'], record.places)
                np.testing.assert_array_equal(example['image/size'], record.size)
                stored = description.image_format, description.image_size, description.channels
                pixels = images.decode_stored(record.image, *stored)
                difference = np.abs(example['image'].astype(int) - pixels).mean()
                # TFDS decodes JPEG the fast way
                assert difference < (2 if description.image_format == 'jpeg' else 1e-9)
    assert not found


@pytest.mark.realdata
def test_bccd_is_a_tfds_dataset(tmp_path):
    (tmp_path / 'VOC').symlink_to(REALDATA / 'bccd')
    convert.convert(settings(tmp_path))
    builder = tfds.builder_from_directory(str(tmp_path / 'out'))
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {'trainval': 292, 'test': 72}
    assert builder.info.features['objects']['label'].names == ['Platelets', 'RBC', 'WBC']
    for split in ('trainval', 'test'):
        compare(tmp_path / 'out', split)


@pytest.mark.parametrize(
    ('image_format', 'channels'), [*((each, 3) for each in images.FORMATS), ('jpeg', 1), ('raw', 1)]
)
def test_a_folder_of_records_is_a_tfds_dataset(tmp_path, image_format, channels):
    write_shapes(str(tmp_path / 'VOC'), 7, 4, 0)
    description, _ = convert.convert(settings(tmp_path, image_format=image_format, channels=channels))
    builder = tfds.builder_from_directory(str(tmp_path / 'out'))
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {'trainval': 7, 'test': 4}
    assert builder.info.features['objects']['label'].names == list(description.classes)
    for split in ('trainval', 'test'):
        compare(tmp_path / 'out', split)
    info = json.loads((tmp_path / 'out/dataset_info.json').read_text())
    assert info['splits'][0]['shardLengths'] == ['2', '2', '3']


def make_tiny_boxes(data_dir: str, name: str = 'tiny_boxes', **filenames: list[str]) -> None:
    """Three and two images with 0, 1, 2 boxes, as TFDS keeps them; filenames: of train and test, if they have any."""
    features = tfds.features.FeaturesDict(
        {
            'image': tfds.features.Image(encoding_format='png'),
            'objects': tfds.features.Sequence(
                {
                    'bbox': tfds.features.BBoxFeature(),
                    'label': tfds.features.ClassLabel(names=['cat', 'dog']),
                    'is_difficult': np.bool_,
                }
            ),
            **({'image/filename': tfds.features.Text()} if filenames else {}),
        }
    )

    def examples(split: str, number: int) -> tf.data.Dataset:
        def generate():
            for i in range(number):
                labels = np.arange(i) % 2
                yield {
                    **({'image/filename': filenames[split][i]} if filenames else {}),
                    'image': np.full((80, 100, 3), 40 * i, np.uint8),
                    'objects': {
                        'bbox': np.array([[0.25, 0.1, 0.75, 0.5]] * i, np.float32).reshape(-1, 4),
                        'label': labels,
                        'is_difficult': labels == 1,
                    },
                }

        signature = {
            **({'image/filename': tf.TensorSpec((), tf.string)} if filenames else {}),
            'image': tf.TensorSpec((80, 100, 3), tf.uint8),
            'objects': {
                'bbox': tf.TensorSpec((None, 4)),
                'label': tf.TensorSpec((None,), tf.int64),
                'is_difficult': tf.TensorSpec((None,), tf.bool),
            },
        }
        return tf.data.Dataset.from_generator(generate, output_signature=signature)

    tfds.dataset_builders.store_as_tfds_dataset(
        name, '1.0.0', features, {'train': examples('train', 3), 'test': examples('test', 2)}, data_dir=data_dir
    )


def test_images_that_have_one_name_in_two_splits_are_both_kept(tmp_path):
    make_tiny_boxes(str(tmp_path / 'tfds'), 'tiny_files', train=['b.png', 'a.jpg', 'c.png'], test=['c.png', 'a.png'])
    tfds_source.export('tiny_files', ['train', 'test'], str(tmp_path / 'VOC'), str(tmp_path / 'tfds'))
    lists = [(tmp_path / f'VOC/ImageSets/Main/{split}.txt').read_text().split() for split in ('train', 'test')]
    assert lists[0] == ['a', 'b', 'c']
    assert re.fullmatch('a test_0000000[01]', ' '.join(lists[1]))  # a is the same image in both splits, c another one
    assert (
        len(list((tmp_path / 'VOC/JPEGImages').iterdir())) == len(list((tmp_path / 'VOC/Annotations').iterdir())) == 4
    )


def test_a_tfds_dataset_is_a_source(tmp_path):
    make_tiny_boxes(str(tmp_path / 'tfds'))
    tfds_source.export('tiny_boxes', ['train', 'test'], str(tmp_path / 'VOC'), str(tmp_path / 'tfds'))
    (tmp_path / 'VOC/ImageSets/Main/trainval.txt').write_text((tmp_path / 'VOC/ImageSets/Main/train.txt').read_text())
    description, summaries = convert.convert(settings(tmp_path, image_format='png'))
    assert description.classes == ('cat', 'dog')
    assert not [problem for problem in summaries['trainval'].problems if problem.image_id]
    assert description.split('trainval').num_images == 3
    assert description.split('test').objects_per_class == {'cat': 1, 'dog': 0}
    sizes = []
    for i in range(3):
        path = records.shard_path(str(tmp_path / 'out'), 'trainval', i, 3)
        with open(path, 'rb') as file:
            [record] = map(records.deserialize, tfrecord.unframe(file, path))
        sizes.append(len(record.labels))
        expected = np.array([[0.1, 0.25, 0.5, 0.75]] * len(record.labels)).reshape(-1, 4)
        np.testing.assert_allclose(record.boxes, expected, atol=1e-5)
        assert record.difficult.tolist() == [k == 1 for k in range(len(record.labels))]
        assert images.decode(record.image)[0, 0, 0] == 40 * len(record.labels)
    assert sorted(sizes) == [0, 1, 2]
    with pytest.raises(ValueError, match='--splits=val'):
        tfds_source.export('tiny_boxes', ['val'], str(tmp_path / 'VOC'), str(tmp_path / 'tfds'))
    with pytest.raises(ValueError, match='holds tiny_boxes; give another --voc_dir'):
        tfds_source.export('no_such_thing', ['train'], str(tmp_path / 'VOC'), str(tmp_path / 'tfds'))
    with pytest.raises(ValueError, match='--tfds=no_such_thing'):
        tfds_source.export('no_such_thing', ['val'], str(tmp_path / 'other'), str(tmp_path / 'tfds'))
