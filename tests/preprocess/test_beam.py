"""Apache Beam's runner against the local one."""

import pathlib
import sys

import pytest
from conftest import REALDATA, digests

from preprocess import build, voc, workers
from preprocess.shapes import write_shapes

OPTIONS = ['--runner=DirectRunner', '--direct_num_workers=2', '--direct_running_mode=multi_threading']


def settings(folder: pathlib.Path, out: str) -> build.Settings:
    source = voc.Source(str(folder / 'VOC/Annotations'), str(folder / 'VOC/JPEGImages'))
    splits = {name: str(folder / f'VOC/ImageSets/Main/{name}.txt') for name in ('trainval', 'test')}
    return build.Settings(source, splits, str(folder / out), labels=None, image_size=(64, 96), resize='stretch',
                          anchors='kmeans:3', image_format='jpeg', jpeg_quality=95, strict=False, num_shards=4,
                          workers=1)  # fmt: skip


def test_beam_writes_what_the_local_runner_writes(tmp_path):
    pytest.importorskip('apache_beam', reason='needs the extra beam, in an environment of its own')
    write_shapes(str(tmp_path / 'VOC'), 30, 10, 0)
    (tmp_path / 'VOC/JPEGImages/trainval_00003.jpg').write_bytes(b'\xff\xd8broken')
    local, _ = build.build(settings(tmp_path, 'local'))
    beam, summaries = build.build(settings(tmp_path, 'beam'),
                                  crew=workers.beam(OPTIONS, str(tmp_path / 'beam/work')))  # fmt: skip
    assert beam == local
    assert beam.split('trainval').images_left_out == 1
    assert [problem.image_id for problem in summaries['trainval'].problems] == ['trainval_00003']
    assert digests(tmp_path / 'beam') == digests(tmp_path / 'local')
    assert len(digests(tmp_path / 'beam')) == 4 + 4 + 7


@pytest.mark.realdata
def test_bccd_by_beam_is_bccd_by_the_local_runner(tmp_path):
    pytest.importorskip('apache_beam', reason='needs the extra beam, in an environment of its own')
    (tmp_path / 'VOC').symlink_to(REALDATA / 'bccd')
    build.build(settings(tmp_path, 'local'))
    build.build(settings(tmp_path, 'beam'), crew=workers.beam(OPTIONS, str(tmp_path / 'beam/work')))
    assert digests(tmp_path / 'beam') == digests(tmp_path / 'local')


def test_without_beam_the_way_out_is_said(monkeypatch, tmp_path):
    write_shapes(str(tmp_path / 'VOC'), 3, 2, 0)
    monkeypatch.setitem(sys.modules, 'apache_beam', None)
    with pytest.raises(ValueError, match=r'pip install yolov2-tensorflow\[beam\]'):
        build.build(settings(tmp_path, 'x'), crew=workers.beam([], str(tmp_path / 'x')))
