"""SIGTERM and SIGINT in real processes: one line, the right status, no traceback, wherever the main thread is."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from yolo import signals
from yolo.cli import flags

# The main thread is in a function of C, as when TensorFlow compiles: Python runs no handler there.
IN_C = """
import contextlib, ctypes, sys
from yolo import signals
mutex = ctypes.create_string_buffer(64)
print('printed', end='')  # and not flushed
with signals.watch('example', 'ended, as asked', {status}), signals.at_end(lambda name: print('first', name)):
    {deferred}
    print('begun', file=sys.stderr, flush=True)
    lock = lambda: ctypes.CDLL(None).pthread_mutex_lock(mutex)
    lock(), lock()  # for ever, and no signal interrupts it
"""


def start(code: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, '-c', code], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr.readline() == 'begun\n'
    return process


@pytest.mark.parametrize(
    ('sent', 'status', 'expected'), [('SIGTERM', None, 143), ('SIGINT', None, 130), ('SIGINT', 75, 75)]
)
def test_a_process_ends_while_its_main_thread_is_in_c(sent, status, expected):
    process = start(IN_C.format(status=status, deferred=''))
    process.send_signal(signal.Signals[sent])
    out, err = process.communicate(timeout=50)
    assert process.returncode == expected
    assert err == f'example: {sent}: ended, as asked\n'
    assert out == f'printedfirst {sent}\n'


def test_a_deferred_signal_is_recorded_and_the_next_one_ends():
    deferred = "import os; signals.defer(lambda number: os.write(2, f'recorded {number.name}\\n'.encode()), 'at once')"
    process = start(IN_C.format(status=75, deferred=deferred))
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == 'recorded SIGINT\n'
    process.send_signal(signal.SIGTERM)
    lines = process.communicate(timeout=50)[1].splitlines()  # the main thread, if not in C yet, records too
    assert process.returncode == 143
    assert 'example: SIGTERM: at once' in lines
    assert set(lines) <= {'example: SIGTERM: at once', 'recorded SIGINT', 'recorded SIGTERM'}


def test_a_failing_action_is_said_and_one_that_hangs_does_not_hold_the_process():
    actions = (
        'stack = contextlib.ExitStack(); [stack.enter_context(signals.at_end(action)) for action in '
        '(lambda name: ctypes.CDLL(None).sleep(60), lambda name: 1 / 0)]'
    )
    process = start(IN_C.format(status=75, deferred=actions))
    process.terminate()
    err = process.communicate(timeout=50)[1]
    assert process.returncode == 75
    assert err == 'example: SIGTERM: ended, as asked\nexample: division by zero\n'


def test_what_was_before_is_there_again():
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    recorded = []
    with signals.watch('example'):
        signals.defer(recorded.append, '')
        assert signals.is_watched()
        os.kill(os.getpid(), signal.SIGTERM)
    assert set(recorded) == {signal.SIGTERM}
    assert not signals.is_watched()
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_an_error_is_not_printed_behind_the_line_of_a_signal():
    code = (
        'import os, signal, sys\nfrom yolo.cli import flags\n'
        'def fail(values):\n'
        '    os.kill(os.getpid(), signal.SIGINT)\n'
        '    raise {error}("what the signal led to")\n'
        'flags.run(flags.Command("example", "", (), fail, tensorflow=False), ["example"])\n'
    )
    for error in ('ValueError', 'KeyError'):
        done = subprocess.run(
            [sys.executable, '-c', code.format(error=error)], cwd=ROOT, text=True, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (130, 'example: SIGINT: ended\n')


def is_watched(process: subprocess.Popen) -> bool:
    """Whether a process catches SIGTERM, which Python alone does not."""
    status = pathlib.Path(f'/proc/{process.pid}/status').read_text()
    mask = next(line for line in status.splitlines() if line.startswith('SigCgt')).split()[1]
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


def has_loaded(process: subprocess.Popen, library: str) -> bool:
    return library in pathlib.Path(f'/proc/{process.pid}/maps').read_text()


def wait_until(condition, process: subprocess.Popen, *args) -> None:
    while not condition(process, *args):
        assert process.poll() is None
        time.sleep(0.01)


COMMANDS = {
    'preprocess': ('-m', 'preprocess'),
    'preprocess show': ('-m', 'preprocess', 'show'),
    'preprocess verify': ('-m', 'preprocess', 'verify'),
    'preprocess shapes': ('-m', 'preprocess', 'shapes'),
    'eval.py': ('eval.py',),
    'yolo predict': ('-m', 'yolo', 'predict'),
    'yolo convert': ('-m', 'yolo', 'convert'),
}
needs_proc = pytest.mark.skipif(not os.path.exists('/proc/self/maps'), reason='reads /proc, which only Linux has')


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize('name', COMMANDS)
def test_a_signal_is_one_line_in_every_command(tmp_path, name):
    os.mkfifo(tmp_path / 'flags')  # nobody writes: each command waits for its flags
    for sent in (signal.SIGINT, signal.SIGTERM):
        words = [sys.executable, *COMMANDS[name], f'--flagfile={tmp_path}/flags']
        process = subprocess.Popen(words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until(is_watched, process)
        process.send_signal(sent)
        text = process.communicate(timeout=50)[0]
        assert process.returncode == 128 + sent
        assert text.startswith(f'{name}: {sent.name}: ended')
        assert text.count('\n') == 1


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize('library', ['_pywrap_tensorflow', 'h5py'])
def test_ctrl_c_while_tensorflow_is_loaded_is_one_line(tmp_path, library):
    words = [sys.executable, '-m', 'yolo', 'convert', f'--model_dir={tmp_path}']
    process = subprocess.Popen(words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until(has_loaded, process, library)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=50)[0] == 'yolo convert: SIGINT: ended\n'
    assert process.returncode == 130


def test_the_status_of_train_is_its_own():
    import train

    assert train.COMMAND.ended_status == 75
    assert flags.Command('example', '', (), print).ended_status is None
