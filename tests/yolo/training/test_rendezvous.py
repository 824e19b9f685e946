"""The meeting of the processes of a run, here in threads: all come, one is late, missing, lost or not of the run."""

import concurrent.futures
import contextlib
import logging
import re
import socket
import subprocess
import sys
import threading
import time

import pytest
from test_workers import free_ports

from yolo.training import join_watch, rendezvous, socket_lines
from yolo.training.socket_lines import SocketLines


def addresses(count: int) -> list[str]:
    return [f'127.0.0.1:{port}' for port in free_ports(count)]


def meet(workers, *numbers: int, seconds: float = 20.0, after: float = 0.0) -> dict[int, BaseException | None]:
    """The errors with which these processes leave the meeting, the last of which comes `after` seconds."""

    def take_part(number: int) -> None:
        time.sleep(after if number == numbers[-1] else 0)
        rendezvous.meet(workers, number, seconds)

    with concurrent.futures.ThreadPoolExecutor(len(numbers)) as pool:
        futures = {number: pool.submit(take_part, number) for number in numbers}
        return {number: future.exception() for number, future in futures.items()}


@contextlib.contextmanager
def background(function, *arguments):
    """Runs a function in a thread; gives a future of what it returns."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield pool.submit(function, *arguments)


class Talker:
    """A process that says what a test lets it say."""

    def __init__(self, workers, number: int, cluster: str = ''):
        self.socket = connect(workers[0])
        self.say(f'{rendezvous.HELLO} {number} {cluster or rendezvous._cluster(workers)}')

    def say(self, line: str) -> None:
        self.socket.sendall(line.encode() + b'\n')

    def hear(self, word: str) -> str:
        """The first line with this word at its start."""
        return next(line for line in self.socket.makefile() if line.startswith(word))

    def close(self) -> None:
        self.socket.close()


def connect(address: str) -> socket.socket:
    """A connection to an address, as soon as something listens there."""
    host, port = address.split(':')
    until = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=10)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


@pytest.mark.parametrize('order', [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_all_go_on_when_the_last_one_has_come(order):
    """And not before; and their ports are free for TensorFlow."""
    workers, since = addresses(3), time.monotonic()
    assert meet(workers, *order, after=0.7) == {0: None, 1: None, 2: None}
    assert 0.7 < time.monotonic() - since < 10
    for worker in workers:
        socket.create_server(('', int(worker.split(':')[1]))).close()


def test_everybody_names_who_is_missing(monkeypatch):
    workers = addresses(4)
    errors = meet(workers, 0, 2, seconds=2.5)
    for error in errors.values():
        assert isinstance(error, ConnectionError)
        assert str(error).startswith(f'{workers[1]}, {workers[3]} did not come within 0.0417 minutes (--join_timeout')
    monkeypatch.setattr(rendezvous, 'GRACE', 0.0)
    (error,) = meet(workers, 2, seconds=1).values()
    assert isinstance(error, ConnectionError)
    assert re.match(rf'{workers[0]} \(.*refused; who else is missing, only this one knows\) did not come', str(error))


def test_who_is_missing_is_logged_again_and_again(monkeypatch, caplog):
    monkeypatch.setattr(rendezvous, 'LOG_EVERY', 0.5)
    workers = addresses(2)
    with caplog.at_level(logging.INFO, 'absl'):
        meet(workers, 0, seconds=1.8)
    assert caplog.messages == [f'still waiting for {workers[1]}; 0.0 minutes left'] * 3


def test_lines_come_every_30_seconds():
    assert rendezvous.LOG_EVERY == 30


def test_one_that_was_lost_before_the_others_came_is_waited_for():
    workers = addresses(3)
    with background(lambda: meet(workers, 0, 2, after=1.0)) as errors:
        lost = Talker(workers, 1)
        assert lost.hear(rendezvous.MISSING) == f'{rendezvous.MISSING} 2\n'
        lost.close()
        time.sleep(2.0)
        assert not errors.done()
        again = Talker(workers, 1)
        again.hear(rendezvous.GO)
        again.say(rendezvous.GOING)
        assert errors.result() == {0: None, 2: None}
        again.close()


def test_one_that_says_nothing_any_more_counts_as_missing(monkeypatch):
    monkeypatch.setattr(socket_lines, 'SILENT', 1.5)
    workers = addresses(3)
    with background(lambda: meet(workers, 0, seconds=3)) as errors:
        silent = Talker(workers, 1)  # as after a power cut
        assert silent.hear(rendezvous.MISSING) == f'{rendezvous.MISSING} 2\n'
        assert str(errors.result()[0]).startswith(f'{workers[1]}, {workers[2]} did not come')
        silent.close()


def test_one_that_is_lost_when_all_had_come_is_named():
    workers = addresses(3)
    with background(meet, workers, 0, 2) as errors:
        lost = Talker(workers, 1)
        lost.hear(rendezvous.GO)
        lost.close()
        result = errors.result()
    assert isinstance(result[0], ConnectionError)
    assert str(result[0]).startswith(f'{workers[1]} was there, and was lost when all had come')
    assert result[2] is None  # TensorFlow's join ends it


def test_a_port_that_another_program_has_is_named():
    workers = addresses(2)
    for number in (0, 1):
        with socket.create_server(('', int(workers[number].split(':')[1]))):
            (error,) = meet(workers, number).values()
        assert isinstance(error, OSError)
        assert f'port {workers[number].split(":")[1]} of this process' in str(error)
        assert 'is taken by another program, or by another process with the same index' in str(error)


def test_another_program_at_the_port_of_the_first_is_named(monkeypatch):
    monkeypatch.setattr(rendezvous, 'GRACE', 0.0)
    workers = addresses(2)
    with socket.create_server(('', int(workers[0].split(':')[1]))) as server:

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    connection.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
                    time.sleep(0.3)
                    connection.close()

        threading.Thread(target=answer, daemon=True).start()
        (error,) = meet(workers, 1, seconds=1.5).values()
    assert str(error).startswith(f'{workers[0]} (where another program answers) did not come')


def test_another_list_of_workers_is_refused_at_once():
    workers = addresses(3)
    with background(lambda: meet(workers, 0, 1, seconds=3)) as errors:
        stranger = Talker(workers, 2, cluster='7')
        assert stranger.hear('') == f'{rendezvous.OTHER}\n'
        assert str(errors.result()[0]).startswith(f'{workers[2]} did not come')
        stranger.close()
    with pytest.raises(ValueError, match='TF_CONFIG names other workers here'):
        _Answering(rendezvous.OTHER).look()


def test_who_has_an_index_that_is_taken_says_so():
    place = _Answering(rendezvous.TAKEN)
    assert place.look() == {0}
    assert place.note == 'where another process says that it has index 1'


class _Answering(rendezvous._Other):
    """The place of a process to which the first one says a line."""

    def __init__(self, line: str):
        super().__init__(['127.0.0.1:1', '127.0.0.1:2'], 1)
        here, there = socket.socketpair()
        there.sendall(line.encode() + b'\n')
        self._there, self._first = there, SocketLines(here)


def test_a_second_process_of_an_index_is_told():
    workers = addresses(3)
    with background(lambda: meet(workers, 0, seconds=3)) as errors:
        first, second = Talker(workers, 1), None
        first.hear(rendezvous.MISSING)
        second = Talker(workers, 1)
        assert second.hear('') == f'{rendezvous.TAKEN}\n'
        assert str(errors.result()[0]).startswith(f'{workers[2]} did not come')
        first.close()
        second.close()


@pytest.mark.parametrize(
    'noise', [b'GET / HTTP/1.1\r\n\r\n', b'\x00' * 300_000, b'yolo-join 9 x\n', b'yolo-join\n', b'']
)
def test_noise_does_not_disturb_the_meeting(noise):
    workers = addresses(2)
    with background(lambda: meet(workers, 0, 1, after=0.5)) as errors:
        with connect(workers[0]) as connection, contextlib.suppress(OSError):
            connection.sendall(noise)
        assert errors.result() == {0: None, 1: None}


def watch(*workers: str, seconds: float, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, join_watch.__file__, str(seconds), 'train.py', *workers],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_the_watch_names_who_does_not_answer():
    workers = addresses(2)
    with socket.create_server(('127.0.0.1', int(workers[0].split(':')[1]))):
        process = watch(*workers, seconds=0.2)
        process.wait()
        text = process.stderr.read()
    assert text.count('\n') == 1
    assert text.startswith(f'train.py: all workers had come, but {workers[1]} did not join within 0.2 seconds')


def test_the_watch_ends_silently_with_what_it_watches():
    assert watch('127.0.0.1:1', seconds=60).communicate() == (None, '')


@pytest.mark.parametrize('status', ['0', '1'])
def test_a_join_that_takes_too_long_ends_the_process(status):
    """Also where Python stands still, as in TensorFlow's join: here in C code that keeps the interpreter's lock."""
    seconds = '0.5' if status == '1' else '60'
    code = (
        'import ctypes, sys\nfrom yolo.training import join_watch\njoin_watch.PROBING = 1.0\n'
        f'with join_watch.limited(["127.0.0.1:1"], {seconds}):\n'
        f'    ctypes.PyDLL(None).sleep({60 if status == "1" else 0})\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False, timeout=50)
    assert str(done.returncode) == status
    assert done.stderr.count('\n') == int(status)
    assert ('127.0.0.1:1 did not join within 0.5 seconds' in done.stderr) == (status == '1')
