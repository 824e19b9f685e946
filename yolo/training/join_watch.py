"""A limit on the time that TensorFlow takes to join the processes of a run.

If a process has died since all had met (`rendezvous`), TensorFlow waits an hour for it, and Python stands still: no
signal is handled and no thread runs. So the limit is held from outside of Python: by faulthandler, which ends the
process, and by this file as a process of its own, which says why: `python join_watch.py SECONDS PROGRAM ADDRESS...`.
"""

import contextlib
import faulthandler
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

SECONDS = 120.0  # a join takes a few when all are there
PROBING = 8.0  # seconds in which the watch asks who answers


@contextlib.contextmanager
def limited(workers: Sequence[str], seconds: float = SECONDS) -> Iterator[None]:
    """Ends this process with one line and status 1 if what is inside takes longer; workers: host:port of the others."""
    program = os.path.basename(sys.argv[0])
    command = [sys.executable, '-I', '-S', os.path.abspath(__file__), str(seconds), program, *workers]
    with open(os.devnull, 'w') as nowhere:  # for the stack of every thread
        # A session of its own, so that a Ctrl-C goes to this process alone.
        watch = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        faulthandler.dump_traceback_later(seconds + PROBING + 2, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            watch.communicate()  # closes its stdin, on which it ends


def main() -> None:
    """Waits until stdin is closed, or says who does not answer."""
    seconds, program, *workers = sys.argv[1:]
    if select.select([sys.stdin], [], [], float(seconds))[0]:
        return
    until = time.monotonic() + PROBING
    silent = [worker for worker in workers if not answers(worker, until - time.monotonic())]
    names = f'{", ".join(silent)} did not' if silent else 'not all did'
    print(
        f'{program}: all workers had come, but {names} join within {float(seconds):g} seconds; start all of them again '
        'with the same commands',
        file=sys.stderr,
    )


def answers(address: str, seconds: float) -> bool:
    """Whether something listens at an address host:port."""
    host, _, port = address.rpartition(':')
    try:
        socket.create_connection((host.strip('[]'), int(port)), timeout=max(0.1, min(2.0, seconds))).close()
    except OSError:
        return False
    return True


if __name__ == '__main__':
    main()
