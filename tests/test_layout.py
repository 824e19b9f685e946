"""The house: which room imports which, what loads no TensorFlow, and how long files and functions are."""

import ast
import collections
import graphlib
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
ROOMS = (
    'yolo.version',
    'yolo.names',
    'yolo.storage',
    'yolo.signals',
    'yolo.lease',
    'yolo.lock',
    'yolo.settings',
    'yolo.descriptions',
    'yolo.memory',
    'yolo.cores',
    'yolo.overlap',
    'yolo.progress',
    'yolo.geometry',
    'yolo.recipes',
    'yolo.data',
    'yolo.pages',
    'yolo.models',
    'yolo.detection',
    'yolo.export',
    'yolo.backends',
    'yolo.evaluation',
    'yolo.prediction',
    'yolo.training',
    'yolo.cli',
)
OFFLINE_ROOMS = ROOMS[: ROOMS.index('yolo.pages') + 1]  # what `preprocess` imports
PREPROCESS_COMMANDS = (
    'preprocess.__main__',
    'preprocess.verify',
    'preprocess.report.contact_sheet',
    'preprocess.demo.shapes',
)
FILES = {
    '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): path
    for top in ('yolo', 'preprocess', 'train.py', 'eval.py')
    for path in ([ROOT / top] if top.endswith('.py') else sorted((ROOT / top).rglob('*.py')))
}


def imports(name: str) -> set[str]:
    """The modules of this project that a module imports, anywhere in it: in functions and under TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{name}: a relative import'
            names = {f'{node.module}.{alias.name}' for alias in node.names}
            found |= names & FILES.keys() | ({node.module} if names - FILES.keys() else set())
    return found & FILES.keys()


def room(name: str) -> str:
    """The room of a module of yolo; its own name for a file that is in none."""
    return next((room for room in ROOMS if f'{name}.'.startswith(f'{room}.')), name)


def test_a_room_imports_only_rooms_above_it():
    for name in FILES:
        if room(name) in ROOMS:
            allowed = ROOMS[: ROOMS.index(room(name)) + 1]
            wrong = {other for other in imports(name) if room(other) not in allowed}
            assert not wrong, f'{name} imports {wrong}'
    assert {room(other) for other in imports('yolo.cli.flags')} == {'yolo.settings', 'yolo.signals', 'yolo.cli'}


def test_preprocess_imports_only_the_rooms_above_the_models():
    for name in FILES:
        if name.startswith('preprocess'):
            flags = {'yolo.cli.flags'} if name in PREPROCESS_COMMANDS else set()
            others = {other for other in imports(name) if not other.startswith('preprocess')}
            wrong = {other for other in others if room(other) not in OFFLINE_ROOMS and other not in flags}
            assert not wrong, f'{name} imports {wrong}'


def test_nothing_but_preprocess_imports_preprocess():
    for name in FILES:
        if not name.startswith('preprocess'):
            assert not {other for other in imports(name) if other.startswith('preprocess')}, name


def table_of_packages() -> dict[str, set[str]]:
    """What each room and preprocess import according to docs/how-it-is-made.md, by their short names: 'data'."""
    text = (ROOT / 'docs/how-it-is-made.md').read_text()
    table: dict[str, set[str]] = {}
    for path, cell in re.findall(r'^\| `(yolo/.+|preprocess/)` \|[^|]*\| ([^|]*)\|$', text, re.MULTILINE):
        _, _, but = cell.partition('all above but ')
        names = {name.strip() for name in (but or cell).split(',')} - {''}
        table[pathlib.PurePath(path).stem] = table.keys() - names if but else names
    return table


def test_the_table_of_packages_says_what_each_imports():
    packages = (*ROOMS, 'preprocess')
    real: dict[str, set[str]] = {}
    for name in FILES:
        package = 'preprocess' if name.startswith('preprocess') else room(name)
        if package in packages:
            others = {other for other in imports(name) if room(other) in ROOMS and room(other) != package}
            short = {'flags' if other == 'yolo.cli.flags' else room(other).removeprefix('yolo.') for other in others}
            real.setdefault(package.removeprefix('yolo.'), set()).update(short)
    assert table_of_packages() == real


def test_no_two_files_import_each_other():
    assert 'yolo.training.loop' in imports('train')  # which is in a function there
    graph = {name: imports(name) for name in FILES}
    graphlib.TopologicalSorter(graph).prepare()  # CycleError, with the circle


def loaded(modules) -> str:
    """What of TensorFlow and Keras a process has loaded after importing some modules."""
    code = (
        f'import importlib, sys\nfor name in {sorted(modules)!r}: importlib.import_module(name)\n'
        'print(*[name for name in ("tensorflow", "keras") if name in sys.modules])'
    )
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_preprocess_and_the_start_of_every_command_load_no_tensorflow():
    """Records are written by processes without it, and --help answers at once."""
    offline = {name for name in FILES if name.startswith('preprocess')}
    commands = {
        'train',
        'eval',
        'yolo.__main__',
        'yolo.cli.flags',
        'yolo.cli.predict',
        'yolo.cli.convert',
        'yolo.cli.export',
        'yolo.cli.suspects',
    }
    settings = {'yolo', 'yolo.settings', 'yolo.training.config', 'yolo.training.recipes', 'yolo.geometry.letterbox'}
    assert not loaded(offline | commands | settings | {'yolo.detection.detector'})
    assert loaded(['yolo.models']) == 'tensorflow keras'  # which registers the model with Keras


# Functions of more than 40 lines and files of more than 250, each with the reason.
LONG: dict[str, str] = {}


def lengths() -> dict[str, tuple[int, int]]:
    """How many lines every file and function has, and how many it may have."""
    numbers = {name: (path.read_text().count('\n'), 250) for name, path in FILES.items()}
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                key, length = f'{name}.{node.name}', node.end_lineno - node.lineno + 1
                numbers[key] = max(numbers.get(key, (0, 40)), (length, 40))  # methods may have one name
    return numbers


def test_files_of_tests_have_names_of_their_own():
    names = collections.Counter(path.name for path in (ROOT / 'tests').rglob('test_*.py'))
    assert not [name for name, number in names.items() if number > 1]  # pytest imports them by these


def test_files_and_functions_are_short():
    too_long = {name: number for name, (number, most) in lengths().items() if number > most}
    assert too_long.keys() == LONG.keys(), too_long
