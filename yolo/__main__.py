"""`python -m yolo COMMAND`: predict, convert."""

import importlib
import sys

from absl import app

COMMANDS = {'predict': 'yolo.cli.predict', 'convert': 'yolo.cli.convert'}


def main(argv: list[str]) -> None:
    """Runs the command that the first word names."""
    if len(argv) < 2 or argv[1] not in COMMANDS:
        sys.exit(f'python -m yolo COMMAND --help: COMMAND is one of {", ".join(COMMANDS)}')
    command = importlib.import_module(COMMANDS[argv[1]])
    command.define_flags()
    app.run(command.main, argv=[f'{argv[0]} {argv[1]}', *argv[2:]])


if __name__ == '__main__':
    main(sys.argv)
