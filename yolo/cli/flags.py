"""Flags of the commands: defined from the fields of settings (`yolo.settings`), read back into them.

A command is `run(COMMAND, argv)`: it prints help at once, reads flags, and turns an error into one line and a status.
"""

import dataclasses
import io
import logging as python_logging
import os
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from absl import flags, logging

from yolo import settings, signals
from yolo.cli import errors

T = TypeVar('T')
HELP = {'--help', '-help', '-h', '--helpshort', '--helpfull'}
NOISY_SOURCES = ('functional_saver.py',)  # source files of TensorFlow's log lines to drop: one for every checkpoint
# absl's flags for logging that stay flags of every command.
LOGGING_FLAGS = ('verbosity', 'stderrthreshold', 'logtostderr', 'alsologtostderr', 'log_dir')


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line.

    name: as it is typed; doc: its help text; settings: the dataclasses whose fields are its flags; main: takes their
    values and returns the exit status, None for 0; tensorflow: whether to load TensorFlow before it; before_tensorflow:
    takes the values before that; prints_only: a flag with which no other flag is required; ended: what is said when
    SIGTERM or SIGINT ends it; ended_status: its exit status then, 128 + the signal's number by default.
    """

    name: str
    doc: str
    settings: tuple[type, ...]
    main: Callable[[flags.FlagValues], int | None]
    tensorflow: bool = True
    before_tensorflow: Callable[[flags.FlagValues], object] = lambda values: None
    prints_only: str = ''
    ended: str = 'ended'
    ended_status: int | None = None


def run(command: Command, argv: Sequence[str]) -> None:
    """Runs a command with sys.argv and exits: 0 if all is well, 1 after an error: one line, as after a signal."""
    if HELP & set(argv[1:]):
        print(help_text(command))
        sys.exit(0)
    log_plainly()
    with signals.watch(command.name, command.ended, command.ended_status):
        try:
            status = _run(command, argv) or 0
        except errors.expected() as error:
            signals.settle()
            print(f'{command.name}: {errors.one_line(error)}', file=sys.stderr)
            status = 1
        except BaseException:  # a mistake of the program keeps its traceback, unless a signal led to it
            signals.settle()
            raise
    sys.exit(status)


def _run(command: Command, argv: Sequence[str]) -> int | None:
    values = define(command.settings)
    rest = values(list(argv))[1:]
    if rest:
        raise ValueError(f'{" ".join(rest)}: not a flag; flags are --name=value, see --help')
    if not (command.prints_only and values[command.prints_only].value):
        _check_required(command, values)
    _apply_logging_flags(values)
    command.before_tensorflow(values)
    if command.tensorflow:
        load_tensorflow()
    return command.main(values)


def define(classes: Sequence[type]) -> flags.FlagValues:
    """One flag for each setting of some dataclasses."""
    values = flags.FlagValues()
    for cls in classes:
        for field in settings.with_flags(cls):
            _define(values, cls, field)
    for name in LOGGING_FLAGS:
        values[name] = flags.FLAGS[name]
    return values


def _define(values: flags.FlagValues, cls: type, field: dataclasses.Field) -> None:
    about, kind = settings.of(field), settings.flag_type(cls, field)
    if kind is bool:
        flags.DEFINE_bool(field.name, cast(Any, field.default), about.help, values)
    else:
        flags.DEFINE(_Parser(about, kind, field.default), field.name, field.default, about.help, values, _Serializer())


class _Parser(flags.ArgumentParser):
    """Text of a flag -> value of a setting; ValueError if it is not one."""

    syntactic_help = ''

    def __init__(self, about: settings.Setting, kind: Any, default: Any):
        self.about, self.kind, self.default = about, kind, default

    def parse(self, argument: Any) -> Any:
        value = self._convert(argument) if isinstance(argument, str) else argument
        item = self.kind[1] if isinstance(self.kind, tuple) else self.kind
        problem = settings.find_problem(self.about, value, self.default, item)
        if problem:
            raise ValueError(problem)
        return value

    def _convert(self, text: str) -> Any:
        if isinstance(self.kind, tuple):
            parts = [part.strip() for part in text.split(',') if part.strip()]
            return tuple(settings.parse(part, self.kind[1]) for part in parts)
        if text in self.about.words:
            return text
        try:
            return settings.parse(text, self.kind)
        except ValueError as error:
            raise ValueError(' or '.join([str(error), *self.about.words])) from None

    def flag_type(self) -> str:
        return 'list' if isinstance(self.kind, tuple) else self.kind.__name__


class _Serializer(flags.ArgumentSerializer):
    def serialize(self, value: Any) -> str:
        return settings.format_value(value)


def given(values: flags.FlagValues, cls: type[T]) -> dict[str, Any]:
    """The settings of a dataclass that the command line gives itself, by name."""
    names = [field.name for field in settings.with_flags(cls)]
    return {name: values[name].value for name in names if values[name].present}


def read(values: flags.FlagValues, cls: type[T], **defaults: Any) -> T:
    """The dataclass with what its flags say; for flags that are not given `defaults`, or else its own default."""
    return cls(**{**defaults, **given(values, cls)})


def _check_required(command: Command, values: flags.FlagValues) -> None:
    for cls in command.settings:
        for field in settings.with_flags(cls):
            if settings.of(field).required and values[field.name].value in (None, ''):
                raise ValueError(f'--{field.name} is missing: {settings.of(field).help} (--help lists all flags)')


def help_text(command: Command) -> str:
    """What --help prints: the command's description, then its flags under the headings of their groups."""
    groups: dict[str, list[str]] = {}
    for cls in command.settings:
        for field in settings.with_flags(cls):
            groups.setdefault(settings.of(field).group or 'Flags', []).append(_help_of(cls, field))
    parts = [command.doc.strip(), *(f'{name}:\n' + '\n'.join(lines) for name, lines in groups.items())]
    parts.append('More:\n  --flagfile=FILE\n      Read flags from a file, one a line.')
    return '\n\n'.join(parts)


def _help_of(cls: type, field: dataclasses.Field) -> str:
    about, kind = settings.of(field), settings.flag_type(cls, field)
    shown = f'--[no]{field.name}' if kind is bool else f'--{field.name}={_placeholder(about, kind)}'
    if about.required:
        default = 'required'
    elif field.default in (None, '', ()):
        default = f'default: {about.unset}' if about.unset else ''
    else:
        default = f'default: {about.shown or settings.format_value(field.default)}'
    text = ' '.join(filter(None, (about.help, f'({default})' if default else '')))
    return f'  {shown}\n' + textwrap.fill(text, 100, initial_indent=' ' * 6, subsequent_indent=' ' * 6)


def _placeholder(about: settings.Setting, kind: Any) -> str:
    if about.choices:
        return '|'.join(about.choices) + (',...' if isinstance(kind, tuple) else '')
    if isinstance(kind, tuple):
        item = {int: 'N', float: 'X', str: 'NAME'}[kind[1]]
        return ','.join([item] * (about.count or 2)) + ('' if about.count else ',...')
    return '|'.join([{int: 'N', float: 'X', str: 'TEXT'}[kind], *about.words])


class _PlainFormatter(python_logging.Formatter):
    """The message alone, behind its level if that is a warning or worse."""

    def format(self, record: python_logging.LogRecord) -> str:
        level = '' if record.levelno < python_logging.WARNING else f'{record.levelname.lower()}: '
        return level + record.getMessage()


class _Stderr:  # whatever sys.stderr is when something is written
    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def close(self) -> None:
        """Does nothing: stderr stays open."""


def _is_not_noise(record: python_logging.LogRecord) -> bool:
    of_tfds = 'tensorflow_datasets' in record.pathname and record.levelno < python_logging.WARNING  # it has bars too
    return not of_tfds and record.filename not in NOISY_SOURCES


def log_plainly() -> None:
    """Log lines on stderr without absl's prefix; all output escapes what is no text, as a file's name may have it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    flags.FLAGS.mark_as_parsed()
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    handler = logging.get_absl_handler().python_handler
    handler.setFormatter(_PlainFormatter())
    handler.stream = _Stderr()
    logging.get_absl_logger().addFilter(_is_not_noise)


def _apply_logging_flags(values: flags.FlagValues) -> None:
    if values['verbosity'].present:
        logging.set_verbosity(values.verbosity)


def load_tensorflow() -> None:
    """Imports TensorFlow without the lines that its libraries print at their start; they are shown if that fails."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as lines:
        os.dup2(lines.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # prints messages of its own
            tf.get_logger().setLevel('WARNING')  # not how strategies reduce
        except BaseException:
            lines.seek(0)
            os.write(stderr, lines.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
