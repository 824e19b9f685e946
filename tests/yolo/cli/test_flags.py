"""Flags made from settings: read back, refused, described."""

import dataclasses

import pytest

from yolo.cli import errors, flags
from yolo.settings import recorded, setting


@dataclasses.dataclass(frozen=True)
class Example:
    data_dir: str = setting(None, 'Folder of records.', group='Data', required=True)
    count: int = setting(3, 'How many.', group='Work', low=1)
    fast: bool = setting(False, 'Whether to hurry.', group='Work')
    jit: bool = setting(None, 'Whether to compile.', group='Work', unset='by device')
    kind: str = setting('a', 'Which.', group='Work', choices=('a', 'b'))
    span: tuple[float, float] = setting((1.0, 2.5), 'From, to.', group='Work', count=2, ascending=True)
    names: tuple[str, ...] = setting((), 'Which names.', group='Data', unset='all')
    classes: tuple[str, ...] = recorded(())


def command(main) -> flags.Command:
    return flags.Command('example', 'Does an example.', (Example,), main, tensorflow=False)


def run(*words: str):
    """What the command's function is given, as the dataclass."""
    seen = []
    with pytest.raises(SystemExit) as ended:
        flags.run(command(lambda values: seen.append(flags.read(values, Example))), ['example', *words])
    return ended.value.code, seen[0] if seen else None


def test_an_error_is_one_line_that_can_be_read():
    assert errors.one_line(ValueError('a\n  b\tc')) == 'a b c'
    line = errors.one_line(ValueError('begin ' + 'x' * 70_000 + ' end'))
    assert len(line) <= 1000
    assert line.startswith('begin x')
    assert line.endswith('x end')
    assert ' ... ' in line


def test_what_is_given_is_read_and_the_rest_are_defaults():
    words = ('--data_dir=x', '--count=5', '--fast', '--nojit', '--kind=b', '--span=0.5, 7', '--names=a,b c')
    status, made = run(*words)
    assert status == 0
    assert made == Example('x', 5, True, False, 'b', (0.5, 7.0), ('a', 'b c'))
    assert run('--data_dir=x') == (0, Example('x'))


def test_defaults_of_a_recipe_are_below_the_flags():
    values = flags.define((Example,))
    values(['example', '--count=5'])
    assert flags.given(values, Example) == {'count': 5}
    assert flags.read(values, Example, count=7, kind='b') == Example(count=5, kind='b')


@dataclasses.dataclass(frozen=True)
class Words:
    lowest: float = setting(0.5, 'Lowest score.', low=0, high=1, words=('best',))


def test_a_flag_takes_a_number_or_a_word():
    for text, value in (('best', 'best'), ('0.25', 0.25)):
        values = flags.define((Words,))
        values(['example', f'--lowest={text}'])
        assert flags.read(values, Words) == Words(value)
    for text, message in (('worst', "'worst' is not a number or best"), ('2', 'must be 1 or less')):
        with pytest.raises(flags.flags.Error, match=message):
            flags.define((Words,))(['example', f'--lowest={text}'])
    assert '--lowest=X|best' in flags.help_text(flags.Command('example', '', (Words,), lambda values: 0))


def test_the_exit_status_is_the_commands():
    for given, status in ((None, 0), (0, 0), (75, 75)):
        with pytest.raises(SystemExit) as ended:
            flags.run(command(lambda values, given=given: given), ['example', '--data_dir=x'])
        assert ended.value.code == status


@pytest.mark.parametrize(
    ('words', 'line'),
    [
        ((), 'example: --data_dir is missing: Folder of records. (--help lists all flags)'),
        (('--data_dir=x', '--count=0'), 'example: flag --count=0: must be 1 or more'),
        (('--data_dir=x', '--span=a,b'), "example: flag --span=a,b: 'a' is not a number"),
        (('--data_dir=x', '--kind=c'), 'example: flag --kind=c: not one of a, b'),
        (('--data_dir=x', 'more'), 'example: more: not a flag; flags are --name=value, see --help'),
    ],
)
def test_errors_are_one_line(capfd, words, line):
    assert run(*words) == (1, None)
    assert capfd.readouterr().err == line + '\n'


def test_an_error_of_several_lines_becomes_one(capfd):
    def fail(values):
        raise ValueError('first line\n  second line')

    with pytest.raises(SystemExit, match='1'):
        flags.run(command(fail), ['example', '--data_dir=x'])
    assert capfd.readouterr().err == 'example: first line second line\n'


def test_a_mistake_of_the_program_is_not_hidden():
    def fail(values):
        raise KeyError('oops')

    with pytest.raises(KeyError, match='oops'):
        flags.run(command(fail), ['example', '--data_dir=x'])


def test_help_groups_flags_and_says_type_default_and_choices(capfd):
    with pytest.raises(SystemExit) as ended:
        flags.run(command(None), ['example', '--help'])
    assert ended.value.code == 0
    text = capfd.readouterr().out
    data, work = text.split('Data:\n')[1].split('Work:\n')
    assert '--data_dir=TEXT\n      Folder of records. (required)' in data
    assert '--names=NAME,NAME,...\n      Which names. (default: all)' in data
    assert '--count=N\n      How many. (default: 3)' in work
    assert '--[no]jit\n      Whether to compile. (default: by device)' in work
    assert '--kind=a|b\n      Which. (default: a)' in work
    assert '--span=X,X\n      From, to. (default: 1.0,2.5)' in work
    assert 'classes' not in text


def test_log_lines_are_plain(capfd):
    from absl import logging

    flags.log_plainly()
    logging.info('step %d', 3)
    logging.warning('careful')
    assert capfd.readouterr().err == 'step 3\nwarning: careful\n'
