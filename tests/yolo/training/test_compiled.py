"""Programs that XLA compiled, kept for the next start; as processes, because TensorFlow reads its flags once."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT
from training_runs import TWO_CONVOLUTIONS

from yolo.training import compiled


def test_every_processor_and_version_has_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv(compiled.FLAGS, '--tf_xla_max_cluster_size=5')
    here = compiled.keep_compiled(str(tmp_path))
    assert os.environ[compiled.FLAGS].startswith('--tf_xla_max_cluster_size=5 --tf_xla_persistent_cache_directory="')
    assert compiled.keep_compiled(str(tmp_path)) == here
    monkeypatch.setattr(compiled, '_processor', lambda: 'another')
    assert compiled.keep_compiled(str(tmp_path)) != here
    assert compiled.is_of_programs("Can't parse /programs/xla_compile_cache__1.pb as binary proto")
    assert not compiled.is_of_programs('the disk is full')


@pytest.mark.slow
def test_the_second_start_reads_what_the_first_one_compiled(records_dir, tmp_path):
    def train(number):
        flags = ('--train_split=train', '--batch_size=4', '--num_steps=2', '--nomulti_scale', '--log_every=1')
        places = {'data': records_dir, 'model': tmp_path / str(number), 'compiled': tmp_path / 'my programs'}
        folders = [f'--{name}_dir={path}' for name, path in places.items()]
        command = [sys.executable, 'train.py', f'--model={TWO_CONVOLUTIONS}', *flags, *folders]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        losses = [line.split('  ')[1] for line in done.stderr.splitlines() if 'step ' in line]
        return done.returncode, losses, done.stderr

    status, losses, text = train(1)
    assert status == 0, text
    [program] = tmp_path.glob('my programs/*/*')
    written = program.stat().st_mtime_ns
    assert train(2)[:2] == (0, losses)
    assert [*tmp_path.glob('my programs/*/*')] == [program]
    assert program.stat().st_mtime_ns == written
    for damaged in (program.read_bytes()[:1000], b'no program'):
        program.write_bytes(damaged)
        status, _, text = train(3)
        assert status == 1
        assert text.splitlines()[-1].endswith(
            'a compiled program in --compiled_dir cannot be read: remove what is in that folder, or use another'
        )
