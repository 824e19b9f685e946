"""TFDS' own builder of VOC gives the records of the VOC folder itself."""

import re

import pytest

from benchmarks import tfds_voc
from preprocess.demo.shapes import write_shapes
from preprocess.sources import tfds as tfds_source
from yolo.data import records, voc_folder

pytest.importorskip('tensorflow_datasets', reason='tensorflow-datasets is not installed on Python 3.10')

NAMES = {'circle': 'bicycle', 'ring': 'bus', 'square': 'tvmonitor', 'star': 'aeroplane', 'triangle': 'boat'}
PART = (
    '<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part></object>'
)


def make_voc(folder) -> dict[str, list[str]]:
    """Shapes with names of VOC, each with a part as in its layout task, and some difficult; the ids of VOC's lists."""
    write_shapes(str(folder), 12, 4, 0)
    for path in (folder / 'Annotations').iterdir():
        text = re.sub('(?<=<name>)[a-z]+', lambda match: NAMES[match[0]], path.read_text())
        text = text.replace('<difficult>0', '<difficult>1', 1)
        path.write_text(text.replace('</object>', PART))
    trainval, test = (
        voc_folder.read_split(str(folder / f'ImageSets/Main/{name}.txt')) for name in ('trainval', 'test')
    )
    return {'train': trainval[:8], 'val': trainval[8:], 'test': test}


@pytest.mark.slow
def test_vocs_own_builder_gives_the_records_of_the_folder(tmp_path):
    voc, tars = tmp_path / 'VOC', tmp_path / 'tars'
    tfds_voc.write_tars(voc, make_voc(voc), tars)
    by_tfds, by_folder, by_another = (tmp_path / name for name in ('by_tfds', 'by_folder', 'by_another'))
    tfds_voc.convert_by_tfds(tars, by_tfds, '--image_size=64')
    tfds_voc.convert_folder(voc, tars, by_folder, '--image_size=64')
    assert tfds_voc.compare(by_tfds, by_folder) == []
    splits = records.read_description(str(by_tfds)).splits
    assert {name: split.num_images for name, split in splits.items()} == {'train': 8, 'validation': 4, 'test': 4}
    assert sum(split.num_difficult for split in splits.values()) > 0
    assert sum(split.num_truncated for split in splits.values()) > 0
    assert set(records.read_description(str(by_tfds)).classes) == set(NAMES.values())

    changed = voc / 'Annotations/test_00002.xml'  # what was compared would have been seen
    changed.write_text(re.sub('<xmin>[0-9]+', '<xmin>1', changed.read_text()))
    tfds_voc.convert_folder(voc, tars, by_another, '--image_size=64')
    assert 'test, test_00002: another boxes' in '\n'.join(tfds_voc.compare(by_tfds, by_another))


def test_files_that_are_not_those_that_tfds_knows_are_named(tmp_path):
    manual = tmp_path / 'downloads/manual'
    manual.mkdir(parents=True)
    for name in tfds_voc.TARS:
        (manual / name).write_text('something else')
    with pytest.raises(ValueError, match=f'--tfds=voc/2007: .*wrong checksum(.|\n)* are taken from {manual}'):
        tfds_source.export('voc/2007', ['train'], str(tmp_path / 'VOC'), str(tmp_path))
