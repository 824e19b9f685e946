"""Detection in videos, cameras and streams: a line for each frame, and a video with what was detected drawn."""

import contextlib
import dataclasses
import itertools
import posixpath
import time
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging

from yolo import overlap
from yolo.cores import num_cores
from yolo.data.draw import draw_detections
from yolo.detection.detector import Detector, PhotoDetections, Prepared
from yolo.prediction import frames, names, sources, video, writers
from yolo.prediction.detecting import detect
from yolo.prediction.stop import Stop
from yolo.progress import counter, say

LINES = 'detections.jsonl'


@dataclasses.dataclass
class Counts:
    """What was done with one stream: frames and objects in them, seconds that it took, what is wrong with it, or ''.

    drawn: the path of its video with what was detected, or ''; frame_rate: its own frames a second, 0 if unknown;
    at_limit: frames with as many objects as one may have.
    """

    name: str
    drawn: str = ''
    frame_rate: float = 0.0
    frames: int = 0
    objects: int = 0
    at_limit: int = 0
    seconds: float = 0.0
    problem: str = ''

    def __str__(self) -> str:
        own = f', its own rate is {self.frame_rate:g}' if self.frame_rate else ''
        rate = f'{self.frames / max(self.seconds, 1e-9):.1f} frames/s{own}'
        return f'{self.objects} objects in {self.frames} frames of {self.name} ({rate})'


def predict_streams(
    detector: Detector,
    streams: Sequence[str],
    out_dir: str,
    stop: Stop,
    formats: Sequence[str] = writers.USUAL,
    max_frames: int | None = None,
) -> list[Counts]:
    """Detects in videos, cameras and streams, one after the other, and writes into `out_dir`, up to a signal.

    formats: of writers.USUAL: `json` is detections.jsonl, a line {video, frame, seconds, width, height, detections}
    for each frame, frame: its number among those that were read, from 0, seconds: its time in the video, or since the
    first one of a camera, detections as those of photos; `drawn` is each video with its boxes, as MPEG-4. max_frames:
    of each stream. What cannot be read is said, and what was read before is kept. Memory does not grow with the frames.
    """
    shown = [_file_name(stream) for stream in streams]
    drawn = names.drawn_paths(out_dir, shown, video.SUFFIX) if writers.DRAWN in formats else {}
    done = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(video.quiet())
        path = posixpath.join(out_dir, LINES)
        add = stack.enter_context(writers.json_lines(path)) if writers.JSON in formats else None
        for stream, name in stop.until(zip(streams, shown, strict=True)):
            counts = Counts(sources.shown(stream), drawn.get(name, ''))
            done.append(counts)
            try:
                reader = video.Reader(stream)
            except (ValueError, OSError) as error:
                counts.problem = str(error)
            else:
                with contextlib.closing(reader):
                    _predict_stream(detector, reader, counts, add, stop, max_frames)
            if counts.problem:
                say(logging.ERROR, '%s', counts.problem)
    return done


def _file_name(stream: str) -> str:
    """What the files of a stream are named after; the path of a video is also what may not be overwritten."""
    return sources.shown(stream).replace('://', '/').replace(' ', '') if sources.is_live(stream) else stream


def _predict_stream(
    detector: Detector,
    reader: video.Reader,
    counts: Counts,
    add: Callable[[dict], None] | None,
    stop: Stop,
    max_frames: int | None,
) -> None:
    with contextlib.ExitStack() as stack:
        counts.frame_rate = reader.frame_rate
        write = stack.enter_context(video.writer(counts.drawn, reader.frame_rate)) if counts.drawn else None
        total = min(filter(None, (reader.announced, max_frames)), default=None)
        advance = stack.enter_context(counter(total, 'frames', counts.name))
        start = time.monotonic()

        def prepare(item: frames.Item) -> tuple[frames.Item, Prepared]:
            return item, detector.prepare(item[1])

        def finish(found: tuple[frames.Item, PhotoDetections]) -> tuple[dict, np.ndarray]:
            return _finish(*found[0], found[1], counts.name, detector.classes, write is not None)

        ahead = stack.enter_context(contextlib.closing(frames.read_ahead(reader, detector.batch_size)))
        prepared = overlap.in_order(prepare, itertools.islice(ahead, max_frames), threads=1, bound=2)
        threads = num_cores()
        finished = overlap.in_order(finish, detect(detector, prepared, stop), threads, threads + detector.batch_size)
        for entry, picture in stack.enter_context(contextlib.closing(finished)):
            if add is not None:
                add(entry)
            if write is not None:
                write(picture)
            counts.frames += 1
            counts.objects += len(entry['detections'])
            counts.at_limit += len(entry['detections']) == detector.limits.max_detections
            counts.seconds = time.monotonic() - start
            advance(1)
    _say_end(reader, counts, stop)


def _finish(
    frame: video.Frame, pixels: np.ndarray, result: PhotoDetections, name: str, classes: Sequence[str], draw: bool
) -> tuple[dict, np.ndarray]:
    """The line of a frame, and its picture, with what was detected if that is to be drawn."""
    size = pixels.shape[0], pixels.shape[1]
    entry = {'video': name, 'frame': frame.number, 'seconds': frame.seconds, **writers.describe(size, result)}
    if draw:
        pixels = draw_detections(pixels, result.relative_boxes, result.classes, result.scores, classes)
    return entry, pixels


def _say_end(reader: video.Reader, counts: Counts, stop: Stop) -> None:
    """Says why a stream is at its end, and what is missing of it, where that is not plain."""
    if reader.num_left_out:
        text = '%s: %d of %d frames left out, which came while the detector was busy'
        say(logging.WARNING, text, counts.name, reader.num_left_out, reader.num_read)
    if reader.has_ended and reader.is_live and stop.received is None:
        say(logging.WARNING, '%s ended after %d frames', counts.name, reader.num_read)
    elif reader.has_ended:
        counts.problem = reader.find_loss()
