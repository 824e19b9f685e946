"""README.md, CONTRIBUTING.md and docs/*.md: their commands are run or at least parsed, and what they name is there.

A block of commands is a fenced block with a line that begins with `python`, `make`, `pip`, `source`, `yolo` or
`yolo-...`. An HTML comment before it says what the tests do with it:

    <!-- run -->                         its commands are run as they stand
    <!-- run with: --num_steps=2 -->     the same, with flags appended to its training commands, so that they end soon
    <!-- not run: needs VOC's images --> it is only parsed: each flag must exist and take its value

Python blocks need no mark and are run, each in a process of its own.

Blocks are run page by page, in a temporary folder. `myphotos` there has VOC's layout and the splits trainval and test;
README's blocks are run first and leave the records `data/mine` and the run `runs/mine` to the other pages.
"""

import dataclasses
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT
from test_commands import command_of

from yolo import settings
from yolo.cli import flags

README = ROOT / 'README.md'
PAGES = (README, ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md')))
FENCE = '```'
STARTS_COMMAND = re.compile(r"([A-Z_]+=('[^']*'|\S*) )*(python|make|pip|source|yolo|yolo-\w+|\.ci/run)(\s|$)")
MARK = re.compile(r'<!-- (run|run with: (?P<flags>--\S+( --\S+)*)|not run: (?P<reason>\S.*)) -->')
OTHER_FLAGS = {'help', 'flagfile', 'logdir', 'setup_file'}  # of every command; of TensorBoard and Beam
BEAM_OPTIONS = re.compile(r'`--runner=\w+Runner[^`]*`')


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page. line: the number of its first line; mark: the line before its fence."""

    page: pathlib.Path
    line: int
    language: str
    lines: tuple[str, ...]
    mark: str

    @property
    def place(self) -> str:
        """As in `README.md:51`."""
        return f'{self.page.relative_to(ROOT)}:{self.line}'

    @property
    def commands(self) -> list[str]:
        """Its command lines, continued lines joined, without comments."""
        text = '\n'.join(self.lines).replace('\\\n', ' ')
        return [re.sub(r'(^|\s+)# .*', '', line) for line in text.splitlines() if STARTS_COMMAND.match(line)]

    @property
    def is_run(self) -> bool:
        """Whether its mark says so."""
        return not self.mark.startswith('<!-- not run')

    @property
    def more_flags(self) -> str:
        """What its training commands are given more."""
        found = MARK.fullmatch(self.mark)
        return (found and found['flags']) or ''


def read_blocks(page: pathlib.Path) -> list[Block]:
    """The fenced blocks of a page."""
    blocks, lines = [], page.read_text().splitlines()
    fences = [i for i, line in enumerate(lines) if line.startswith(FENCE)]
    assert len(fences) % 2 == 0, f'{page}: a block is not closed'
    for start, end in zip(fences[::2], fences[1::2], strict=True):
        before = [line for line in lines[:start] if line.strip()][-1]
        language = lines[start].removeprefix(FENCE).strip()
        blocks.append(Block(page, start + 2, language, tuple(lines[start + 1 : end]), before))
    return blocks


BLOCKS = [block for page in PAGES for block in read_blocks(page)]
COMMAND_BLOCKS = [block for block in BLOCKS if block.language != 'python' and block.commands]
COMMANDS = [(block.place, command) for block in COMMAND_BLOCKS for command in block.commands]


def test_readme_is_short():
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 1200


def test_every_block_of_commands_says_whether_it_is_run():
    assert len(COMMAND_BLOCKS) >= 8
    unmarked = [block.place for block in COMMAND_BLOCKS if not MARK.fullmatch(block.mark)]
    assert not unmarked, f'no <!-- run -->, <!-- run with: ... --> or <!-- not run: ... --> before {unmarked}'


@pytest.mark.parametrize(('place', 'command'), COMMANDS, ids=[f'{place} {command}' for place, command in COMMANDS])
def test_commands_are_understood(place, command):
    words = shlex.split(command)
    while '=' in words[0]:  # variables of the environment
        words.pop(0)
    check_words(words)


def check_words(words: list[str]) -> None:
    """Fails unless a command exists and its parser accepts all flags and their values."""
    match words:
        case ['python', '-m', ('preprocess' | 'yolo' | 'yolo.predict' | 'yolo.convert') as module, *rest]:
            parent, _, child = module.partition('.')
            check_flags(parent, [child, *rest] if child else rest)
        case ['python', ('train.py' | 'eval.py') as script, *rest]:
            check_flags(script.removesuffix('.py'), rest)
        case [('yolo-preprocess' | 'yolo-train' | 'yolo-eval' | 'yolo') as script, *rest]:
            check_flags(script.removeprefix('yolo-'), rest)
        case ['python', script, *rest] if script.startswith('benchmarks/'):
            source = source_of_benchmark(script)
            own, of_training = (rest[: rest.index('--')], rest[rest.index('--') + 1 :]) if '--' in rest else (rest, [])
            check_flags('train', ['--data_dir=x', '--model_dir=x', *of_training])  # which the script adds
            for flag in own:
                assert f"'{flag.removeprefix('--').partition('=')[0]}'" in source, f'{script} has no {flag}'
        case ['python', script, *rest] if script.startswith('examples/'):
            source = (ROOT / script).read_text()
            for flag in [word for word in rest if word.startswith('--')]:
                assert f"'{flag.partition('=')[0]}'" in source, f'{script} has no {flag}'
        case ['make', *targets]:
            for target in [word for word in targets if '=' not in word]:
                assert re.search(rf'^{re.escape(target)}:', (ROOT / 'Makefile').read_text(), re.MULTILINE), target
        case ['.ci/run']:
            assert (ROOT / '.ci/run').exists()
        case ['pip', 'install', *_] | ['python', '-m', 'pip' | 'venv', *_] | ['source', '.venv/bin/activate']:
            pass
        case _:
            pytest.fail(f'no such command: {shlex.join(words)}')


def check_flags(name: str, words: list[str]) -> None:
    """Fails unless a command of this project accepts the words behind it, and none that it needs is missing."""
    if name in ('preprocess', 'yolo') and words and not words[0].startswith('-'):
        name, *words = words
    command = command_of(name)
    values = flags.define(command.settings)
    assert values([name, *words])[1:] == [], 'not flags'  # absl's error names an unknown flag or a wrong value
    if command.prints_only and values[command.prints_only].value:
        return
    for cls in command.settings:
        for field in dataclasses.fields(cls):
            if settings.of(field).required:
                assert values[field.name].value, f'--{field.name} is missing'


@pytest.mark.parametrize(
    ('command', 'message'),
    [
        ('python -m preprocess --voc_dir=x --out_dir=y --image_sizes=3', 'image_sizes'),
        ('python -m preprocess --voc_dir=x --out_dir=y --resize=crop', 'crop'),
        ('python train.py --data_dir=x', 'model_dir is missing'),
        ('python -m yolo find --model_dir=x', 'find'),
        ('yolo predict --model_dir=x --images=y --out_dir=z more', 'not flags'),
        ('make dinner', 'dinner'),
        ('python examples/detect_onnx.py model.onnx photo.jpg --draw=a.png', 'draw'),
        ('python test.py', 'no such command'),
    ],
)
def test_wrong_commands_are_noticed(command, message):
    with pytest.raises((Exception, pytest.fail.Exception), match=message):
        check_words(shlex.split(command))


@pytest.mark.parametrize(
    'block', [block for block in BLOCKS if block.language == 'diff'], ids=lambda block: block.place
)
def test_differences_can_be_applied(block):
    """What a diff keeps or removes is in the file that it names, once."""
    path = ROOT
    for line in block.lines:
        if line.startswith('--- '):
            path = ROOT / line.removeprefix('--- ')
        elif not line.startswith('+'):
            assert path.read_text().splitlines().count(line[1:]) == 1, line


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page):
    """Flags, links to files, and paths of this project."""
    text = page.read_text()
    names = ('preprocess', 'show', 'verify', 'shapes', 'train', 'eval', 'predict', 'convert', 'export')
    known = {flag for name in names for flag in flags.define(command_of(name).settings)} | OTHER_FLAGS
    known.update(re.findall(r'^\+ +(\w+): .* = setting\(', text, re.MULTILINE))  # that a diff adds
    for flag in re.findall(r'(?<![\w-])--([a-z]\w*)', BEAM_OPTIONS.sub('', text)):
        assert flag in known or flag.removeprefix('no') in known or is_of_benchmark(flag, text), f'--{flag}'
    for link in re.findall(r'\]\(([^)#:\s]+)(?:#[^)]*)?\)', text):
        assert (page.parent / link).exists(), link
    for path in re.findall(r'`((?:tests|benchmarks|examples|yolo|preprocess)/[\w/.]*)', text):
        assert (ROOT / path).exists(), path


def is_of_benchmark(flag: str, text: str) -> bool:
    """Whether a benchmark that a text names has a flag."""
    paths = re.findall(r'benchmarks/\w+\.py', text)
    return any(f"'{flag}'" in source_of_benchmark(path) for path in paths if (ROOT / path).exists())


def source_of_benchmark(path: str) -> str:
    """Its text, and that of the file in which flags of several benchmarks are defined, if it has them."""
    source = (ROOT / path).read_text()
    return source + (ROOT / 'benchmarks/runs.py').read_text() if 'runs.define_flags()' in source else source


def run(words: list[str], folder: pathlib.Path) -> None:
    """Runs a command in a folder where the project's commands work; fails with what it printed."""
    env = {
        **os.environ,
        'PATH': f'{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}',
        'PYTHONPATH': str(ROOT),
    }
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f'{words[-1]}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}'


def run_page(page: pathlib.Path, folder: pathlib.Path) -> None:
    """Runs the blocks of a page in their order."""
    for block in read_blocks(page):
        if block.language == 'python':
            run([sys.executable, '-c', '\n'.join(block.lines)], folder)
        elif block.is_run:
            for command in block.commands:
                trains = 'train.py' in command or 'yolo-train' in command
                run(['bash', '-c', f'{command} {block.more_flags if trains else ""}'], folder)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> pathlib.Path:
    """Where the pages' commands are run, after README's."""
    folder = tmp_path_factory.mktemp('docs')
    for script in ('train.py', 'eval.py'):
        (folder / script).symlink_to(ROOT / script)
    run([sys.executable, '-m', 'preprocess', 'shapes', '--out_dir=myphotos', '--num_train=12', '--num_test=4'], folder)
    run_page(README, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('page', PAGES[1:], ids=lambda page: page.name)
def test_the_commands_of_a_page_run(folder, page):
    assert (folder / 'runs/mine/config.json').exists()
    assert (folder / 'data/mine/dataset.json').exists()
    run_page(page, folder)
