"""The lock on a folder: real processes with flock, and leases with a clock that the test turns."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, SMALL, write_records

from benchmarks import kills
from preprocess.demo.shapes import write_shapes
from yolo import lease, lock, storage

HOLD = """
import sys, time
from yolo import lock
with lock.hold(sys.argv[1], 'example', '--folder'):
    print('held', flush=True)
    time.sleep(600)
"""


def start(folder) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, '-c', HOLD, str(folder)], cwd=ROOT, text=True, stdout=subprocess.PIPE)
    assert process.stdout.readline() == 'held\n'
    return process


def test_a_folder_is_held_by_one_process_and_a_kill_frees_it(tmp_path):
    folder = tmp_path / 'a/run'
    process = start(folder)
    expected = (
        rf'^{folder} is in use by example \(pid {process.pid} on {lock.socket.gethostname()}, since 20\d\d-.*Z\): '
        'wait for it, end it, or give another --folder$'
    )
    for _ in range(2):
        with pytest.raises(lock.InUseError, match=expected), lock.hold(str(folder), 'other', '--folder'):
            pass
    process.kill()
    process.wait()
    with lock.hold(str(folder), 'other', '--folder') as check:
        check()
        assert json.loads((folder / lock.NAME).read_bytes())['what'] == 'other'
        with pytest.raises(lock.InUseError, match='other'), lock.hold(str(folder), 'again', '--folder'):
            pass
    assert not os.listdir(folder)


def test_a_file_that_has_lost_its_name_is_no_lock(tmp_path):
    """The holder removes the file while another process has it open: that one must not take it for the lock."""
    with lock.hold(str(tmp_path), 'first', '--folder'):
        late = os.open(tmp_path / lock.NAME, os.O_RDWR)
    fcntl.flock(late, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.hold(str(tmp_path), 'second', '--folder'):
        assert not lock._has_name(late, str(tmp_path / lock.NAME))
    os.close(late)


def test_a_folder_that_stays_empty_is_removed_again(tmp_path):
    with pytest.raises(KeyError), lock.hold(str(tmp_path / 'a/b'), 'example', '--folder'):
        raise KeyError
    assert not os.listdir(tmp_path)
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match=r'--folder=.*/file is a file'), lock.hold(f'{tmp_path}/file', '', '--folder'):
        pass


class Clock:
    """Time that passes when it is slept; `meanwhile` happens then."""

    def __init__(self):
        self.time, self.meanwhile = 1e9, lambda: None

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.meanwhile()


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lease, 'now', lambda: clock.time)
    monkeypatch.setattr(lease, 'sleep', clock.sleep)
    return clock


@pytest.fixture(params=['ram', 'without flock'])
def folder(request, tmp_path, monkeypatch) -> str:
    """A folder on a path that is not local, and on a file system without flock."""
    if request.param == 'ram':
        return f'ram://{tmp_path}'

    def refuse(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', refuse)
    return str(tmp_path)


def write_lease(folder: str, **fields) -> str:
    path = f'{folder}/{lock.NAME}'
    storage.make_folder(folder)
    there = {'what': 'far', 'host': 'elsewhere', 'pid': 1, 'machine': 'x', 'since': 'noon', 'token': 'theirs'}
    storage.write(path, json.dumps({**there, **fields}))
    return path


def test_a_lease_is_held_and_given_back(folder, clock):
    with lock.hold(folder, 'first', '--folder'):
        with pytest.raises(lock.InUseError, match='in use by first'), lock.hold(folder, 'second', '--folder'):
            pass
        clock.time += lease.STALE - 2 * lease.SETTLE
        with pytest.raises(lock.InUseError, match='in use by first'), lock.hold(folder, 'second', '--folder'):
            pass
    assert not storage.exists(f'{folder}/{lock.NAME}')


def test_an_old_lease_is_taken_over_and_that_is_said(folder, clock, caplog):
    write_lease(folder, renewed=clock.time - lease.STALE)
    with lock.hold(folder, 'second', '--folder'):
        assert 'is taken over' in caplog.text
    write_lease(folder, renewed=clock.time)
    with pytest.raises(lock.InUseError, match=r'far \(pid 1 on elsewhere, since noon\)'), lock.hold(folder, '', '--f'):
        pass


def test_a_lease_of_a_wrong_clock_that_is_renewed_is_left_alone(folder, clock):
    write_lease(folder, renewed=clock.time - 1e6)
    clock.meanwhile = lambda: write_lease(folder, renewed=clock.time - 1e6)
    with pytest.raises(lock.InUseError, match='far'), lock.hold(folder, 'second', '--folder'):
        pass


def test_a_lease_of_a_process_of_this_machine_that_is_gone(folder, clock, caplog):
    ended = subprocess.Popen([sys.executable, '-c', ''])
    ended.wait()
    here = {'host': lock.socket.gethostname(), 'machine': lock._machine(), 'renewed': clock.time}
    write_lease(folder, **here, pid=ended.pid)
    with lock.hold(folder, 'second', '--folder'):
        assert 'which is gone' in caplog.text
    write_lease(folder, **here, pid=os.getpid())
    with pytest.raises(lock.InUseError), lock.hold(folder, 'second', '--folder'):
        pass


def test_of_two_that_write_at_once_one_holds(folder, clock):
    clock.meanwhile = lambda: write_lease(folder, renewed=clock.time)
    with pytest.raises(lock.InUseError, match='in use by far'), lock.hold(folder, 'second', '--folder'):
        pass


def test_a_lease_is_renewed_and_its_loss_is_noticed(folder, clock):
    own = lease.Lease(f'{folder}/{lock.NAME}', lock._this_process('first'), '')
    storage.make_folder(folder)
    with own:
        clock.time += 1000
        own.renew()
        assert json.loads(storage.read(own.path))['renewed'] == clock.time
        own.check()
        path = write_lease(folder, renewed=clock.time)
        own.renew()
        with pytest.raises(lock.InUseError, match=r'another command took .* over .far'):
            own.check()
        own.taken_by = ''
    assert json.loads(storage.read(path))['token'] == 'theirs'


def refused(words, expected: str) -> None:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    assert expected in done.stderr.splitlines()[-1]
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('renewed', [None, [], 'noon', float('inf'), float('nan'), True, 10**400])
def test_a_lease_with_odd_fields_is_an_old_one(folder, clock, renewed):
    write_lease(folder, renewed=renewed, pid=renewed, **{'host': lock.socket.gethostname(), 'machine': lock._machine()})
    with lock.hold(folder, 'second', '--folder'):
        pass
    assert not storage.exists(f'{folder}/{lock.NAME}')


@pytest.mark.parametrize('kind', ['file', 'link', 'pipe'])
def test_what_only_has_the_name_of_a_lock_is_left_alone(tmp_path, kind):
    own, path = tmp_path / 'own.txt', tmp_path / 'run' / lock.NAME
    path.parent.mkdir()
    own.write_text('mine')
    if kind == 'file':
        path.write_text('mine')
    elif kind == 'link':
        path.symlink_to(own)
    else:
        os.mkfifo(path)
    with pytest.raises(ValueError, match='name of'), lock.hold(str(path.parent), 'example', '--model_dir'):
        pass
    assert os.path.lexists(path)
    assert own.read_text() == 'mine'
    assert kind == 'pipe' or path.read_text() == 'mine'


@pytest.mark.slow
def test_two_commands_on_one_folder_of_a_run(tmp_path):
    """The second ends with one line and changes nothing; a kill of the first frees the folder."""
    command = [f'--data_dir={write_records(tmp_path / "data")}', '--train_split=train', f'--model={SMALL}']
    command += ['--batch_size=4', '--num_steps=100000', f'--model_dir={tmp_path}/run', '--nojit_compile']
    first = kills.start(command)
    kills.lines_until(first, 1)
    config = (tmp_path / 'run/config.json').read_bytes()
    expected = f'train.py: {tmp_path}/run is in use by train.py (pid {first.pid} on '
    refused(['train.py', *command, '--learning_rate=0.5'], expected)
    assert (tmp_path / 'run/config.json').read_bytes() == config
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = kills.start(command)
    kills.lines_until(second, 1)
    second.terminate()
    assert second.communicate()[0]
    assert second.returncode == 75
    assert not (tmp_path / 'run' / lock.NAME).exists()


@pytest.mark.slow
def test_the_other_commands_are_refused_too(tmp_path):
    from yolo.models import architectures, conversion, model_folder
    from yolo.models.build import DarknetModel

    write_shapes(str(tmp_path / 'VOC'), 4, 2, 0)
    built = architectures.build_spec('yolov2-tiny', 2, [(1.0, 1.0)], 0.125, (64, 64))
    conversion.write_folder(DarknetModel(built), model_folder.ModelInfo((), 'stretch'), str(tmp_path / 'model'))
    holder = start(tmp_path / 'held')
    preprocess = ['-m', 'preprocess', f'--voc_dir={tmp_path}/VOC', '--splits=test', f'--out_dir={tmp_path}/held']
    refused(preprocess, f'preprocess: {tmp_path}/held is in use by example (pid {holder.pid} on ')
    convert = ['-m', 'yolo', 'convert', f'--model_dir={tmp_path}/model', f'--model_dir_out={tmp_path}/held']
    refused(convert, f'yolo convert: {tmp_path}/held is in use by example (pid {holder.pid} on ')
    assert os.listdir(tmp_path / 'held') == [lock.NAME]
    holder.kill()
    holder.wait()
    subprocess.run([sys.executable, *preprocess, '--image_size=64', '--anchors=voc'], cwd=ROOT, check=True)
