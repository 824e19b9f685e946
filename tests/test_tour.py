"""The notebook runs from its first cell to its last, and is kept without outputs."""

import os
import sys

import nbformat
import pytest
from conftest import ROOT

TOUR = ROOT / 'docs' / 'tour.ipynb'
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


def read():
    return nbformat.read(TOUR, as_version=4)


def test_the_steps_are_those_of_the_keras_notebook_and_no_outputs_are_kept():
    cells = read().cells
    lines = [cell.source.splitlines()[0] for cell in cells if cell.cell_type == 'markdown']
    headings = [line for line in lines if line.startswith('## ')]
    assert headings == [f'## {number}. {name}' for number, name in enumerate(HEADINGS, 1)]
    assert not any(cell.outputs for cell in cells if cell.cell_type == 'code')
    assert TOUR.stat().st_size < 300_000


@pytest.mark.slow
def test_every_cell_runs_and_shows_something(tmp_path, monkeypatch):
    import nbclient

    monkeypatch.setenv('PATH', os.path.dirname(sys.executable), prepend=os.pathsep)
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('TMPDIR', str(tmp_path))  # the notebook's folder
    notebook = read()
    for cell in notebook.cells:
        cell.source = cell.source.replace('NUM_STEPS = 500', 'NUM_STEPS = 20')
    assert 'NUM_STEPS = 20' in notebook.cells[1].source
    nbclient.NotebookClient(notebook, timeout=600, kernel_name='python3').execute(cwd=str(ROOT))

    shown = [cell for cell in notebook.cells if cell.cell_type == 'code'][1:]  # the first one only imports
    assert all(cell.outputs for cell in shown), [cell.source for cell in shown if not cell.outputs]
    pictures = [output for cell in shown for output in cell.outputs if 'image/png' in output.get('data', {})]
    assert len(pictures) == 7
    text = ''.join(output.get('text', '') for cell in shown for output in cell.outputs)
    assert '50650436 parameters' in text
    assert 'mAP: ' in text
