"""The runtimes that compute a network, which of them are installed, and which to take."""

import importlib
import importlib.util
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from yolo.export import extra
from yolo.settings import setting

RUNTIMES = TENSORFLOW, ONNXRUNTIME, OPENVINO, OPENCV, LITERT = (
    'tensorflow',
    'onnxruntime',
    'openvino',
    'opencv',
    'litert',
)
AUTO = 'auto'
PACKAGES = {
    TENSORFLOW: 'tensorflow',
    ONNXRUNTIME: 'onnxruntime',
    OPENVINO: 'openvino',
    OPENCV: 'cv2',
    LITERT: 'ai_edge_litert',
}
FASTEST_FIRST = ONNXRUNTIME, OPENCV, OPENVINO, TENSORFLOW, LITERT  # on CPUs, by benchmarks/forward.py
READ_ONNX = ONNXRUNTIME, OPENVINO, OPENCV  # the usual one first


def backend_setting(group: str = '') -> Any:
    """What computes the network."""
    help = f'What computes the network; {AUTO} takes the fastest that is installed and reads the model.'
    unset = 'tensorflow, or for exported files their own: onnxruntime, litert'
    return setting('', help, group=group, choices=('', AUTO, *RUNTIMES), unset=unset)


def is_installed(runtime: str) -> bool:
    """Whether the package of a runtime can be imported."""
    return importlib.util.find_spec(PACKAGES[runtime]) is not None


def choose(asked: str, able: Sequence[str], what: str, has_gpu: bool = False) -> str:
    """The runtime for a model: the one that is asked for, the first of those that are able, or for AUTO the fastest.

    has_gpu: whether TensorFlow has a GPU, which nothing on a CPU is faster than. ValueError, in one line with the way
    out, if it cannot read the model or is not installed. what: the model in words.
    """
    if asked == AUTO:
        fastest = (TENSORFLOW, *FASTEST_FIRST) if has_gpu else FASTEST_FIRST
        asked = next((name for name in fastest if name in able and is_installed(name)), able[0])
    name = asked or able[0]
    if name not in able:
        known = '' if name in RUNTIMES else f'; there are {", ".join(RUNTIMES)}'
        raise ValueError(f'backend {name!r} does not take {what}, which is for {", ".join(able)}{known}')
    extra.check_package(PACKAGES[name], f'backend {name}')
    return name


def module_of(runtime: str) -> ModuleType:
    """The module of yolo/backends for a runtime, imported when it is needed: each loads a large library."""
    return importlib.import_module(f'yolo.backends.{runtime}_backend')
