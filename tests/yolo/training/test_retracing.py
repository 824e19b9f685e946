"""TensorFlow's warning that a graph function is traced again and again: it comes through, and a run gives no cause."""

import logging

import pytest
import tensorflow as tf
from training_runs import make_small_config, one_device, two_devices

from yolo.cli import flags
from yolo.training import loop, schedule

SIZES = tuple((side, side) for side in range(64, 256, 32))
WARNING = 'triggered tf.function retracing'


@pytest.fixture
def lines():
    """What TensorFlow's logger gets, before anything of ours can drop it."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = tf.get_logger()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.mark.slow
@pytest.mark.parametrize(('make_strategy', 'steps_per_loop'), [(one_device, 1), (two_devices, 3)])
def test_a_run_at_many_sizes_gives_no_cause_for_a_warning(
    records_dir, tmp_path, monkeypatch, lines, make_strategy, steps_per_loop
):
    """More sizes than TensorFlow has patience for, one after the other, and evaluations in between."""
    monkeypatch.setattr(schedule, 'SIZE_STEPS', 1)
    config = make_small_config(
        records_dir,
        tmp_path,
        sizes=SIZES,
        num_steps=24,
        eval_split='test',
        eval_every=6,
        steps_per_loop=steps_per_loop,
        freeze=1,
        unfreeze_at=18,
    )
    assert len({schedule.size_at(SIZES, config.seed, step) for step in range(config.num_steps)}) == len(SIZES) > 5
    loop.train(config, make_strategy())
    assert not [line for line in lines if WARNING in line]


def retrace(values) -> None:
    """Calls a graph function with one Python number after the other, each of which makes a graph of its own."""

    @tf.function
    def add_one(number):
        return tf.constant(1) + number

    for number in range(10):
        add_one(number)


def test_a_command_shows_the_warning_of_a_function_that_is_really_traced_again(capfd):
    with pytest.raises(SystemExit):
        flags.run(flags.Command('example', 'Does an example.', (), retrace), ['example'])
    errors = capfd.readouterr().err
    assert errors.count(WARNING) >= 1
    assert 'add_one' in errors
