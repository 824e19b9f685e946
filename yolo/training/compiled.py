"""Programs that XLA has compiled, kept on disk for the next start."""

import hashlib
import os
import pathlib
import platform
import posixpath
from importlib import metadata

from yolo import storage

FLAGS = 'TF_XLA_FLAGS'
# What TensorFlow's errors about such files say: their name, or that they end too early.
_MESSAGES = ('xla_compile_cache', 'Read less bytes than requested')


def keep_compiled(folder: str) -> str:
    """Has TensorFlow keep what XLA compiles in a folder, and take it from there; returns the folder of this machine.

    Call it before TensorFlow is imported. A program is of one kind of processor and one version of TensorFlow, so each
    has a folder of its own in there. (TensorFlow compiler/jit/flags.cc, tf_xla_persistent_cache_directory.)
    """
    text = f'{_processor()} {metadata.version("tensorflow")}'
    path = posixpath.join(folder, hashlib.sha256(text.encode()).hexdigest()[:16])
    storage.make_folder(path)
    quoted = path.replace('\\', r'\\').replace('"', r'\"')  # as TensorFlow reads it (xla/parse_flags_from_env.cc)
    options = f'--tf_xla_persistent_cache_directory="{quoted}" --tf_xla_persistent_cache_device_types=CPU,GPU'
    os.environ[FLAGS] = f'{os.environ.get(FLAGS, "")} {options}'.strip()
    return path


def is_of_programs(message: str) -> bool:
    """Whether an error of TensorFlow is about a file of compiled programs."""
    return 'tf_xla_persistent_cache' in os.environ.get(FLAGS, '') and any(text in message for text in _MESSAGES)


def _processor() -> str:
    """What the processor can do, as far as the system says it: Linux lists its instructions."""
    cpuinfo = pathlib.Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    flags = next((line for line in lines if line.startswith(('flags', 'Features'))), '')
    return f'{platform.machine()} {platform.processor()} {flags}'
