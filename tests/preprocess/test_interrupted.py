"""Ctrl-C while records are written: the terminal sends it to the command and to all of its workers."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest
from conftest import ROOT, digests

from preprocess import resume
from preprocess.demo.shapes import write_shapes


@pytest.mark.slow
@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_one_line_and_the_same_command_goes_on(tmp_path, sent):
    write_shapes(str(tmp_path / 'VOC'), 60, 4, 0)
    (tmp_path / 'tmp').mkdir()

    def start(out_dir: str, **options) -> subprocess.Popen:
        words = [f'--voc_dir={tmp_path}/VOC', '--splits=trainval,test', '--num_shards=30', '--image_size=416']
        return subprocess.Popen(
            [sys.executable, '-m', 'preprocess', *words, f'--out_dir={tmp_path}/{out_dir}', '--workers=2'],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, 'TMPDIR': f'{tmp_path}/tmp'},
            **options,
        )

    process = start('out')
    notes = tmp_path / 'out' / resume.FOLDER
    while not (notes.exists() and any(notes.iterdir())):
        assert process.poll() is None, process.communicate()[0]
    os.killpg(process.pid, sent)
    os.killpg(process.pid, sent)  # impatient
    text = process.communicate(timeout=100)[0]  # and no worker holds the pipe open any more
    assert process.returncode == 128 + sent, text
    assert text == f'preprocess: {sent.name}: ended; the same command goes on\n'
    assert not os.listdir(tmp_path / 'tmp'), tempfile.tempdir
    for out_dir in ('out', 'undisturbed'):
        process = start(out_dir)
        assert process.wait() == 0, process.communicate()[0]
    assert digests(tmp_path / 'out') == digests(tmp_path / 'undisturbed')


@pytest.mark.slow
def test_workers_that_are_starting_print_no_traceback(tmp_path):
    """They are told nothing of Ctrl-C, from their first instruction on."""
    code = (
        'import os, signal, sys, threading, time\n'
        'from preprocess import pool\n'
        'if __name__ == "__main__":\n'
        '    with pool.local(2) as workers:\n'
        '        results = workers.run(abs, range(-4, 0))\n'
        '        signal.signal(signal.SIGINT, lambda *_: None)\n'
        '        for _ in range(40):\n'
        '            os.killpg(0, signal.SIGINT)\n'
        '            time.sleep(0.05)\n'
        '        print(*results)\n'
    )
    (tmp_path / 'main.py').write_text(code)
    done = subprocess.run(
        [sys.executable, tmp_path / 'main.py'],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        text=True,
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '4 3 2 1\n', '')
