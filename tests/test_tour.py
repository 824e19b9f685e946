"""The notebook docs/tour.ipynb: it is stored without outputs, and every cell runs and shows a picture."""

import base64
import os
import sys

import nbformat
import pytest
from conftest import ROOT
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

TOUR = ROOT / 'docs' / 'tour.ipynb'
PNG = 'image/png'
HEADINGS = (
    'Annotations',
    'Resizing',
    'Best anchor',
    'Grid targets',
    'Batches',
    'The network',
    'The loss, step by step',
    'Training',
    'Output to boxes',
    'Suppression',
    'mAP',
)


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(TOUR, as_version=4)


class _ThisInterpreter(KernelSpecManager):
    """Starts every kernel by the interpreter of the tests, whatever kernels are installed."""

    def get_kernel_spec(self, kernel_name):
        command = [sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}']
        return KernelSpec(argv=command, name=kernel_name, display_name=kernel_name, language='python')


def test_it_is_stored_without_outputs_and_explains_every_cell(notebook):
    nbformat.validate(notebook)
    previous = None
    for cell in notebook.cells:
        if cell.cell_type == 'code':
            assert cell.outputs == []
            assert cell.execution_count is None
            assert previous == 'markdown'
        previous = cell.cell_type


def test_the_steps_are_those_of_the_keras_notebook(notebook):
    lines = [line for cell in notebook.cells if cell.cell_type == 'markdown' for line in cell.source.splitlines()]
    headings = [line for line in lines if line.startswith('## ')]
    assert headings == [f'## {number}. {name}' for number, name in enumerate(HEADINGS, 1)]


@pytest.mark.slow
def test_every_cell_runs_and_shows_a_picture(notebook, tmp_path):
    manager = AsyncKernelManager(kernel_name='python3', kernel_spec_manager=_ThisInterpreter())
    client = NotebookClient(notebook, timeout=600, km=manager, resources={'metadata': {'path': str(tmp_path)}})
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'TMPDIR': str(tmp_path)}
    client.execute(env=env)
    cells = [cell for cell in notebook.cells if cell.cell_type == 'code'][1:]  # the first has imports alone
    assert [cell.execution_count for cell in cells] == list(range(2, len(cells) + 2))
    printed = ''
    for cell in cells:
        pictures = [output.data[PNG] for output in cell.outputs if PNG in output.get('data', {})]
        assert len(pictures) == 1, cell.source
        assert len(base64.b64decode(pictures[0])) > 4000, cell.source
        printed += ''.join(output.text for output in cell.outputs if output.output_type == 'stream')
    assert '50,650,436 parameters, 50,629,764 of them trainable' in printed
    assert 'finished at step' in printed
    mean_line = next(line.split() for line in printed.splitlines() if line.startswith('mean '))
    assert float(mean_line[-1]) > 0.2  # it has learnt something: random boxes have 0.00
