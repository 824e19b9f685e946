"""The files that make a folder of records one that TensorFlow Datasets reads: `tfds.builder_from_directory(data_dir)`.

Written as text, so that the offline stage needs neither TensorFlow nor TFDS; the tests read them with TFDS.
"""

import json
import posixpath

from yolo import storage
from yolo.data import records

NAMES = ('dataset_info.json', 'features.json', 'objects-label.labels.txt')
UNKNOWN = -1
_FEATURES = 'tensorflow_datasets.core.features'


def write(data_dir: str, description: records.Description, manifest: records.Manifest) -> None:
    """Writes the three files for these records: splits, features, names of the classes."""
    height, width = description.image_size
    by = f'yolov2-tensorflow {description.tool_version}'
    _write_json(data_dir, 'features.json', _features(description))
    storage.write(posixpath.join(data_dir, 'objects-label.labels.txt'), '\n'.join(description.classes) + '\n')
    _write_json(
        data_dir,
        'dataset_info.json',
        {
            'name': 'records',
            'version': '1.0.0',
            'fileFormat': 'tfrecord',
            'description': f'Images of {width} x {height} with objects{description.say_larger()}, by {by}.',
            'splits': [_split(name, split, manifest) for name, split in description.splits.items()],
        },
    )


def _features(description: records.Description) -> dict:
    """The features of a record as TFDS describes them."""
    sizes = {description.stored_size(split) for split in description.splits}
    size = sizes.pop() if len(sizes) == 1 else (UNKNOWN, UNKNOWN)  # that of all splits, if they have one
    shape = (*size, description.channels)
    if description.image_format == 'raw':
        image = _tensor('string') if UNKNOWN in shape else _tensor('uint8', *shape, encoding='bytes')
    else:
        image = {
            'pythonClassName': f'{_FEATURES}.image_feature.Image',
            'image': {'dtype': 'uint8', 'encodingFormat': description.image_format, 'shape': _shape(*shape)},
        }
    objects = {
        'box': _tensor('float32', 4),
        'label': {
            'pythonClassName': f'{_FEATURES}.class_label_feature.ClassLabel',
            'classLabel': {'numClasses': str(len(description.classes))},
        },
        'difficult': {
            'pythonClassName': f'{_FEATURES}.scalar.Scalar',
            'tensor': {'dtype': 'bool', 'encoding': 'none', 'shape': {}},
        },
        'place': _tensor('int64', 3),
    }
    regions = {'box': _tensor('float32', 4), 'label': _tensor('int64')}  # -1: of any class
    return _dict(
        {
            records.IMAGE: image,
            records.IMAGE_ID: {'pythonClassName': f'{_FEATURES}.text_feature.Text', 'text': {}},
            records.SIZE: _tensor('int64', 2),
            'objects': _sequence(objects),
            **({'regions': _sequence(regions)} if description.max_regions else {}),
        }
    )


def _sequence(features: dict) -> dict:
    return {
        'pythonClassName': f'{_FEATURES}.sequence_feature.Sequence',
        'sequence': {'feature': _dict(features), 'length': '-1'},
    }


def _split(name: str, split: records.Split, manifest: records.Manifest) -> dict:
    shards = [
        manifest.shards[posixpath.basename(records.shard_path('', name, i, split.num_shards))]
        for i in range(split.num_shards)
    ]
    return {
        'name': name,
        'shardLengths': [str(shard.num_images) for shard in shards],
        'numBytes': str(sum(shard.num_bytes for shard in shards)),
        'filepathTemplate': '{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}',
    }


def _write_json(data_dir: str, name: str, value: dict) -> None:
    storage.write(posixpath.join(data_dir, name), json.dumps(value, indent=1) + '\n')


def _dict(features: dict) -> dict:
    return {'pythonClassName': f'{_FEATURES}.features_dict.FeaturesDict', 'featuresDict': {'features': features}}


def _tensor(dtype: str, *shape: int, encoding: str = 'none') -> dict:
    return {
        'pythonClassName': f'{_FEATURES}.tensor_feature.Tensor',
        'tensor': {'dtype': dtype, 'encoding': encoding, 'shape': _shape(*shape)},
    }


def _shape(*dimensions: int) -> dict:
    return {'dimensions': [str(dimension) for dimension in dimensions]}
