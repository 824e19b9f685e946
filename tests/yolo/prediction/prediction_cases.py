"""What the tests of prediction share: a detector whose answers are known, photos and videos."""

import contextlib
import http.server
import itertools
import pathlib
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from conftest import make_image

from yolo.data import images
from yolo.detection.detector import Backend, Detector
from yolo.prediction import video

BOXES = np.array([[0.25, 0.5, 0.75, 1.0], [0.0, 0.25, 0.5, 0.5]], np.float32)  # relative to the network's input
FRAME_RATE = 12.5


def make_detector(act: Callable = lambda: None, calls: list | None = None, batch_size: int = 2) -> Detector:
    """A detector that finds the same two objects everywhere; it notes each call, then acts."""

    def predict(batch):
        if calls is not None:
            calls.append(len(batch))
        act()
        count = len(batch)
        boxes, scores = np.zeros((count, 5, 4), np.float32), np.zeros((count, 5), np.float32)
        boxes[:, :2], scores[:, :2] = BOXES, (0.9, 0.4)
        classes = np.tile(np.array([1, 0, 0, 0, 0], np.int32), (count, 1))
        return {'boxes': boxes, 'scores': scores, 'classes': classes, 'count': np.full(count, 2, np.int32)}

    return Detector(Backend(predict, 'fixed'), ['cat', 'dog'], [(1, 2)], (64, 64), 'stretch', batch_size)


def write_photos(folder: pathlib.Path, number: int) -> list[str]:
    """PNGs of 40, 60 and 80 pixels by turns; returns their paths."""
    folder.mkdir(exist_ok=True)
    for i in range(number):
        photo = make_image(np.random.default_rng(i), 40 + 20 * (i % 3), 1)[0]
        (folder / f'{i:03d}.png').write_bytes(images.encode_png(photo))
    return [f'{folder}/{i:03d}.png' for i in range(number)]


def write_video(path: pathlib.Path, number: int, codec: str = 'mp4v', size: tuple[int, int] = (96, 64)) -> pathlib.Path:
    """A video of `size` = width, height, whose top gets brighter from frame to frame, below which a square moves."""
    with video.quiet():
        file = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), FRAME_RATE, size)
    assert file.isOpened()
    for i in range(number):
        frame = np.full((size[1], size[0], 3), 60, np.uint8)
        frame[: size[1] // 4] = 20 + 220 * i // number
        frame[size[1] // 2 :, i % size[0] : i % size[0] + 12] = 230
        file.write(frame)
    file.release()
    return path


@contextlib.contextmanager
def serve_stream(number: int | None, seconds: float = 0.01) -> Iterator[str]:
    """The address of a server that sends so many JPEGs as a stream, None for ever, one after so many seconds."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args) -> None:
            """Prints nothing."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=frame')
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # who reads has enough
                for i in itertools.count() if number is None else range(number):
                    data = cv2.imencode('.jpg', np.full((64, 96, 3), i % 250, np.uint8))[1].tobytes()
                    head = f'--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n'
                    self.wfile.write(head.encode() + data + b'\r\n')
                    time.sleep(seconds)

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f'http://me:secret@127.0.0.1:{server.server_port}/camera'
        finally:
            server.shutdown()
