"""Lines of text over a socket, without ever waiting for it."""

import socket
import time

SILENT = 10.0  # seconds after which another side that says nothing is taken for lost
LONGEST = 100_000  # bytes of a line


class SocketLines:
    """Reads and writes lines of ASCII text, as far as that goes at once."""

    def __init__(self, connection: socket.socket):
        connection.setblocking(False)
        self._socket, self._unread = connection, b''
        self.is_open, self.heard = True, time.monotonic()

    def read(self) -> list[str]:
        """The lines that have come since the last time."""
        while self.is_open:
            try:
                data = self._socket.recv(4096)
            except BlockingIOError:
                break
            except OSError:  # as ConnectionResetError: the other side is gone
                data = b''
            self.is_open = bool(data) and len(self._unread) < LONGEST
            self._unread, self.heard = self._unread + data, time.monotonic()
        *lines, self._unread = self._unread.split(b'\n')
        return [line.decode('ascii', 'replace') for line in lines]

    def write(self, *words: str) -> None:
        """Sends a line; a connection that does not take it is closed."""
        try:
            self._socket.sendall(' '.join(words).encode() + b'\n')
        except OSError:
            self.is_open = False

    @property
    def is_lost(self) -> bool:
        """Whether the other side is gone, or silent for too long."""
        return not self.is_open or time.monotonic() - self.heard > SILENT

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()
