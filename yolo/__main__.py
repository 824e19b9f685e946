"""Commands for trained models.

python -m yolo predict --help    detects objects in image files
python -m yolo convert --help    converts models from Darknet and back
python -m yolo export --help     exports a trained model: SavedModel, ONNX, TFLite
python -m yolo suspects --help   finds annotations that are most likely wrong
"""

import sys
from collections.abc import Sequence

from yolo.cli import convert, export, flags, predict, suspects

COMMANDS = {
    'predict': predict.COMMAND,
    'convert': convert.COMMAND,
    'export': export.COMMAND,
    'suspects': suspects.COMMAND,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the first word names; argv as sys.argv, which is the default."""
    name, *words = sys.argv if argv is None else argv
    if words and words[0] in COMMANDS:
        flags.run(COMMANDS[words[0]], [name, *words[1:]])
    if words and words[0] in flags.HELP:
        print(__doc__)
        sys.exit(0)
    given = f'no command {words[0]!r}' if words else 'a command is missing'
    sys.exit(f'yolo: {given}; there are {", ".join(COMMANDS)} (--help)')


if __name__ == '__main__':
    main()
