"""What an error in the middle of a run says, and what it leaves open: nothing."""

import io

import pytest
import tensorflow as tf
import tqdm
from training_runs import make_small_config, one_device

from yolo.training import errors, loop, progress
from yolo.training.tensorboard import Profiler


class Terminal(io.StringIO):
    """A stream on which a bar is drawn."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def opened(monkeypatch):
    """The writers, bars and profilers of the runs of a test."""
    made: dict[str, list] = {'writer': [], 'bar': [], 'profiler': []}

    def record(kind, make):
        def call(*args, **options):
            made[kind].append(make(*args, **options))
            return made[kind][-1]

        return call

    def bar(**options):
        return tqdm.tqdm(**{**options, 'file': Terminal()})

    monkeypatch.setattr(tf.summary, 'create_file_writer', record('writer', tf.summary.create_file_writer))
    monkeypatch.setattr(progress, 'tqdm', record('bar', bar))
    monkeypatch.setattr(loop.tensorboard, 'Profiler', record('profiler', Profiler))
    return made


def assert_closed(opened, tmp_path) -> None:
    (writer,), (bar,), (profiler,) = opened['writer'], opened['bar'], opened['profiler']
    with pytest.raises(RuntimeError, match='closed'):
        writer.set_as_default()
    assert bar.disable  # which tqdm sets when it removes the bar
    assert not profiler.running
    tf.profiler.experimental.start(str(tmp_path / 'another'))  # AlreadyExistsError if one is still running
    tf.profiler.experimental.stop(save=False)


@pytest.mark.parametrize('kind', [ValueError, KeyboardInterrupt])
def test_an_error_leaves_nothing_open(records_dir, tmp_path, monkeypatch, opened, kind):
    config = make_small_config(records_dir, tmp_path / 'run', profile_steps=(1, 3))
    add = progress.Progress.add

    def fail(self, step, metrics, seconds_waited):
        add(self, step, metrics, seconds_waited)
        if step == 2:
            assert opened['profiler'][0].running
            assert not self.bar.disable
            raise kind('in the middle')

    monkeypatch.setattr(progress.Progress, 'add', fail)
    with pytest.raises(kind, match='in the middle'):
        loop.train(config, one_device())
    assert_closed(opened, tmp_path)
    assert list((tmp_path / 'run/tensorboard').rglob('*.xplane.pb'))  # the profile so far


def test_a_run_that_ends_leaves_nothing_open(records_dir, tmp_path, opened):
    loop.train(make_small_config(records_dir, tmp_path / 'run', profile_steps=(1, 3)), one_device())
    assert_closed(opened, tmp_path)


def test_the_first_error_is_raised_and_everything_is_closed():
    closed = []

    def close(name, fails):
        closed.append(name)
        if fails:
            raise tf.errors.UnknownError(None, None, f'{name} cannot be closed')

    def closers(fails):
        return [lambda name=name: close(name, fails) for name in ('profile', 'bar', 'file')]

    with pytest.raises(ValueError, match='the first'), errors.closing(*closers(fails=True)):
        raise ValueError('the first')
    with pytest.raises(tf.errors.UnknownError, match='cannot be closed'), errors.closing(*closers(fails=True)):
        pass
    with errors.closing(*closers(fails=False)):
        pass
    assert closed == ['profile', 'bar', 'file'] * 3


@pytest.mark.parametrize(
    ('kind', 'message', 'is_lost'),
    [
        (tf.errors.InternalError, 'Failed to launch gpu_kernel: CUDA_ERROR_ILLEGAL_ADDRESS', False),
        (tf.errors.UnavailableError, 'Collective ops is aborted by: Error reported from /job:worker/task:1', True),
    ],
)
def test_a_failing_device_is_not_told_as_a_lost_worker(records_dir, tmp_path, monkeypatch, kind, message, is_lost):
    monkeypatch.setattr(errors, 'num_workers', lambda strategy: 2)
    config = make_small_config(records_dir, tmp_path)
    with pytest.raises((ConnectionError, kind)) as caught, errors.clear_errors(config, one_device()):
        raise kind(None, None, message)
    assert ('this process lost the others' in str(caught.value)) == is_lost
    assert message.rpartition('aborted by: ')[2] in str(caught.value)
