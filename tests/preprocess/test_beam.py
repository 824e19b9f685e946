"""Apache Beam's runner against the local one."""

import pathlib
import sys

import pytest
from conftest import REALDATA, digests

from preprocess import convert, pool
from preprocess.demo.shapes import write_shapes
from preprocess.settings import Settings
from yolo.data import voc_folder

OPTIONS = ['--runner=DirectRunner', '--direct_num_workers=2', '--direct_running_mode=multi_threading']


def settings(folder: pathlib.Path, out: str) -> Settings:
    source = voc_folder.Source(str(folder / 'VOC/Annotations'), str(folder / 'VOC/JPEGImages'))
    splits = {name: str(folder / f'VOC/ImageSets/Main/{name}.txt') for name in ('trainval', 'test')}
    return Settings(
        source,
        splits,
        str(folder / out),
        labels=None,
        image_size=(64, 96),
        resize='stretch',
        anchors='kmeans:3',
        image_format='jpeg',
        jpeg_quality=95,
        strict=False,
        num_shards=4,
        workers=1,
    )


def test_beam_writes_what_the_local_runner_writes(tmp_path):
    pytest.importorskip('apache_beam', reason='the extra beam is tested in an environment of its own')
    write_shapes(str(tmp_path / 'VOC'), 30, 10, 0)
    (tmp_path / 'VOC/JPEGImages/trainval_00003.jpg').write_bytes(b'\xff\xd8broken')
    local, _ = convert.convert(settings(tmp_path, 'local'))
    beam, summaries = convert.convert(settings(tmp_path, 'beam'), pool=pool.beam(OPTIONS, str(tmp_path / 'beam/work')))
    assert beam == local
    assert beam.split('trainval').images_left_out == 1
    assert [problem.image_id for problem in summaries['trainval'].problems] == ['trainval_00003']
    assert digests(tmp_path / 'beam') == digests(tmp_path / 'local')
    assert len(digests(tmp_path / 'beam')) == 4 + 4 + 2 + 7  # shards, an index of each split, and descriptions


@pytest.mark.realdata
def test_bccd_by_beam_is_bccd_by_the_local_runner(tmp_path):
    pytest.importorskip('apache_beam', reason='the extra beam is tested in an environment of its own')
    (tmp_path / 'VOC').symlink_to(REALDATA / 'bccd')
    convert.convert(settings(tmp_path, 'local'))
    convert.convert(settings(tmp_path, 'beam'), pool=pool.beam(OPTIONS, str(tmp_path / 'beam/work')))
    assert digests(tmp_path / 'beam') == digests(tmp_path / 'local')


def test_without_beam_the_way_out_is_said(monkeypatch, tmp_path):
    write_shapes(str(tmp_path / 'VOC'), 3, 2, 0)
    monkeypatch.setitem(sys.modules, 'apache_beam', None)
    with pytest.raises(ValueError, match=r'pip install yolov2-tensorflow\[beam\]'):
        convert.convert(settings(tmp_path, 'x'), pool=pool.beam([], str(tmp_path / 'x')))
