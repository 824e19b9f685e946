"""Runs cases in one process: `run_cases.py make FOLDER`, or `run_cases.py cases FOLDER SCRATCH KIND:SEED:NUMBER ...`.

One line of JSON to stdout before each case and one behind it, so that whoever reads them knows in which case this
process died or hangs. What the program prints goes to a file.
"""

import faulthandler
import importlib
import json
import os
import pathlib
import resource
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ['TF_NUM_INTRAOP_THREADS'] = os.environ['TF_NUM_INTEROP_THREADS'] = os.environ['OMP_NUM_THREADS'] = '1'

MOST_ADDRESSES = 64 << 30  # bytes of address space, so that a case cannot take the memory of the machine

# Those without TensorFlow first. The modules are loaded when they are needed.
KINDS = {
    'xml': ('data_kinds', 'xml'),
    'source': ('annotation_kinds', 'sources_of_annotations'),
    'image': ('data_kinds', 'images'),
    'npz': ('data_kinds', 'npz'),
    'list': ('data_kinds', 'lists'),
    'shard': ('data_kinds', 'shard'),
    'json': ('data_kinds', 'json_files'),
    'video': ('prediction_kinds', 'videos'),
    'flag': ('flag_kinds', 'flag_values'),
    'cfg': ('model_kinds', 'cfg_file'),
    'weights': ('model_kinds', 'weights_file'),
    'checkpoint': ('model_kinds', 'checkpoint'),
    'keras': ('model_kinds', 'keras_file'),
    'broken': ('broken_kind', 'broken'),
}


def main(command: str, source: str, scratch: str = '', *parts: str) -> None:
    """The command line."""
    import fixture

    if command == 'make':
        fixture.make(pathlib.Path(source))
        return
    import case

    messages = _separate_output()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for part in parts:
        kind, first, number = part.split(':')
        module, name = KINDS[kind]
        function = getattr(importlib.import_module(module), name)
        for seed in range(int(first), int(first) + int(number)):
            print(json.dumps({'kind': kind, 'seed': seed}), file=messages, flush=True)
            folder = pathlib.Path(scratch) / f'{kind}-{seed}'
            result = case.run(kind, function, pathlib.Path(source), folder, seed)
            print(json.dumps({'kind': kind, 'seed': seed, **result}), file=messages, flush=True)


def _separate_output():
    """Sends everything that is printed to a file; returns what stdout was."""
    messages = os.fdopen(os.dup(1), 'w')
    faulthandler.enable(os.fdopen(os.dup(2), 'w'))
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return messages


if __name__ == '__main__':
    main(*sys.argv[1:])
