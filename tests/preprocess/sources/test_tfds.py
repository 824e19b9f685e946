"""TensorFlow Datasets reads what is written."""

import functools
import json
import logging
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
                    **dict.fromkeys(('is_difficult', 'is_truncated', 'is_crowd'), np.bool_),
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
                        'is_truncated': labels == 0,
                        'is_crowd': labels == 1,
                    },
                }

        signature = {
            **({'image/filename': tf.TensorSpec((), tf.string)} if filenames else {}),
            'image': tf.TensorSpec((80, 100, 3), tf.uint8),
            'objects': {
                'bbox': tf.TensorSpec((None, 4)),
                'label': tf.TensorSpec((None,), tf.int64),
                **dict.fromkeys(('is_difficult', 'is_truncated', 'is_crowd'), tf.TensorSpec((None,), tf.bool)),
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


def test_an_image_of_two_splits_is_there_once_also_if_an_earlier_version_wrote_the_folder(tmp_path):
    """Without <truncated> in its XML; one whose objects were edited is another one, and stays as it is."""
    make_tiny_boxes(str(tmp_path / 'tfds'), 'tiny_again', train=['a.png', 'b.png', 'c.png'], test=['d.png', 'e.png'])
    export = functools.partial(
        tfds_source.export, 'tiny_again', voc_dir=str(tmp_path / 'VOC'), data_dir=str(tmp_path / 'tfds')
    )
    export(['train'])
    annotations = sorted((tmp_path / 'VOC/Annotations').iterdir())
    written = [path.read_bytes() for path in annotations]
    for path in annotations:
        path.write_text(re.sub(r'\s*<truncated>.</truncated>', '', path.read_text()))
    export(['train[:100%]'])
    assert [path.read_bytes() for path in annotations] == written
    assert len(list((tmp_path / 'VOC/JPEGImages').iterdir())) == 3

    edited = annotations[2].read_text().replace('<name>dog', '<name>cat')
    annotations[2].write_text(edited)
    export(['train[0:]'])
    assert annotations[2].read_text() == edited
    assert len((tmp_path / 'VOC/ImageSets/Main/train[0:].txt').read_text().split()) == 3
    assert len(list((tmp_path / 'VOC/JPEGImages').iterdir())) == 4


def test_names_that_lead_out_of_the_folder_are_not_taken(tmp_path):
    make_tiny_boxes(
        str(tmp_path / 'tfds'), 'tiny_paths', train=['../a.png', '/b.png', 'x/./c.png'], test=['x/d.png', '..e.png']
    )
    tfds_source.export('tiny_paths', ['train', 'test'], str(tmp_path / 'VOC'), str(tmp_path / 'tfds'))
    images = tmp_path / 'VOC/JPEGImages'
    names = sorted(str(path.relative_to(images)) for path in images.rglob('*.png'))
    assert names == ['..e.png', *(f'train_0000000{i}.png' for i in range(3)), 'x/d.png']


def test_a_split_without_any_object_is_refused_before_it_is_written(tmp_path):
    """As the test images of VOC 2012; of the three parts of train one is such."""
    make_tiny_boxes(str(tmp_path / 'tfds'))
    parts, refused = ['train[:1]', 'train[1:2]', 'train[2:]'], []
    for split in parts:
        try:
            tfds_source.export('tiny_boxes', [split], str(tmp_path / 'VOC'), str(tmp_path / 'tfds'))
        except ValueError as error:
            refused.append(str(error))
    [text] = refused
    assert re.match(r'--splits=train\[.*: no image of it has an object: tiny_boxes has no annotations', text)
    assert len(list((tmp_path / 'VOC/JPEGImages').iterdir())) == 2
    assert len(list((tmp_path / 'VOC/ImageSets/Main').iterdir())) == 2


class NeedsFiles(tfds.core.GeneratorBasedBuilder):
    """A dataset of files that TFDS cannot fetch."""

    VERSION = tfds.core.Version('1.0.0')
    MANUAL_DOWNLOAD_INSTRUCTIONS = 'Ask for it\nby letter.'

    def _info(self):
        boxes = {'bbox': tfds.features.BBoxFeature(), 'label': tfds.features.ClassLabel(names=['cat'])}
        features = {'image': tfds.features.Image(), 'objects': tfds.features.Sequence(boxes)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {'train': self._generate_examples(dl_manager.manual_dir)}

    def _generate_examples(self, folder):
        yield from folder.iterdir()


def test_files_that_one_has_to_fetch_are_asked_for_in_one_line(tmp_path):
    manual = tmp_path / 'downloads/manual'
    with pytest.raises(
        ValueError, match=f'^--tfds=needs_files: Manual directory {manual} does not .*by letter'
    ) as found:
        tfds_source.export('needs_files', ['train'], str(tmp_path / 'VOC'), str(tmp_path))
    assert '\n' not in str(found.value)


def test_a_tfds_dataset_is_a_source(tmp_path, caplog):
    make_tiny_boxes(str(tmp_path / 'tfds'))
    with caplog.at_level(logging.WARNING, 'absl'):
        tfds_source.export('tiny_boxes', ['train', 'test'], str(tmp_path / 'VOC'), str(tmp_path / 'tfds'))
    assert 'VOC has no crowds: 1 of train are ordinary objects now' in caplog.text
    assert 'of test' not in caplog.text
    (tmp_path / 'VOC/ImageSets/Main/trainval.txt').write_text((tmp_path / 'VOC/ImageSets/Main/train.txt').read_text())
    description, summaries = convert.convert(settings(tmp_path, image_format='png'))
    assert description.classes == ('cat', 'dog')
    assert not [problem for problem in summaries['trainval'].problems if problem.image_id]
    assert description.split('trainval').num_images == 3
    assert [description.split(split).num_truncated for split in ('trainval', 'test')] == [2, 1]
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
