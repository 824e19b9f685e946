"""TensorFlow Datasets reads what is written."""

import json

import numpy as np
import pytest

from preprocess import build, voc
from preprocess.shapes import write_shapes
from yolo import images, records

tfds = pytest.importorskip('tensorflow_datasets', reason='needs the extra tfds')


def settings(folder, **changes) -> build.Settings:
    source = voc.Source(str(folder / 'VOC/Annotations'), str(folder / 'VOC/JPEGImages'))
    splits = {name: str(folder / f'VOC/ImageSets/Main/{name}.txt') for name in ('trainval', 'test')}
    given = {'labels': None, 'image_size': (64, 96), 'resize': 'stretch', 'anchors': 'voc', 'image_format': 'jpeg',
             'jpeg_quality': 95, 'strict': False, 'num_shards': 3, 'workers': 1, **changes}  # fmt: skip
    return build.Settings(source, splits, str(folder / 'out'), **given)


@pytest.mark.parametrize('image_format', images.FORMATS)
def test_a_folder_of_records_is_a_tfds_dataset(tmp_path, image_format):
    write_shapes(str(tmp_path / 'VOC'), 7, 4, 0)
    description, _ = build.build(settings(tmp_path, image_format=image_format))
    builder = tfds.builder_from_directory(str(tmp_path / 'out'))
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {'trainval': 7, 'test': 4}
    assert builder.info.features['objects']['label'].names == list(description.classes)
    for split in ('trainval', 'test'):
        found = {example['image/id'].decode(): example for example in tfds.as_numpy(builder.as_dataset(split=split))}
        for i in range(3):
            path = records.shard_path(str(tmp_path / 'out'), split, i, 3)
            with open(path, 'rb') as file:
                for record in map(records.deserialize, records.unframe(file, path)):
                    example = found.pop(record.image_id)
                    objects = example['objects']
                    np.testing.assert_array_equal(objects['box'], record.boxes)
                    np.testing.assert_array_equal(objects['label'], record.labels)
                    np.testing.assert_array_equal(objects['difficult'], record.difficult)
                    np.testing.assert_array_equal(objects['place'], record.places)
                    np.testing.assert_array_equal(example['image/size'], record.size)
                    pixels = images.decode_stored(record.image, image_format, description.image_size)
                    difference = np.abs(example['image'].astype(int) - pixels).mean()
                    assert difference < (2 if image_format == 'jpeg' else 1e-9)  # TFDS decodes JPEG the fast way
        assert not found
    info = json.loads((tmp_path / 'out/dataset_info.json').read_text())
    assert info['splits'][0]['shardLengths'] == ['2', '2', '3']
