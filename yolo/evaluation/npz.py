"""The arrays of an .npz file that NumPy's `savez_compressed` wrote, checked before memory is taken for them.

NumPy's own reader takes whatever memory an array says that it needs: a file of 1 MB can ask for 1 GB.
"""

import ast
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from yolo import storage

MOST_BYTES = 8 << 30  # of all arrays: 140 million detections
MOST_FACTOR, ALWAYS_BYTES = 100, 64 << 20  # scores and boxes do not shrink to a hundredth; a small file may
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|][biufU]\d{1,9})', 'fortran_order': (True|False), "
    rb"'shape': (\((?:\d{1,18},|\d{1,18}(?:, \d{1,18})+)?\)), \} *\n",
    re.DOTALL,
)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile and zlib raise for damaged files; RuntimeError: encrypted.
ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, struct.error, IndexError, RuntimeError)


def read_arrays(
    path: str, kinds: Mapping[str, tuple[str, int]], others: Mapping[str, tuple[str, int]] = MappingProxyType({})
) -> dict[str, np.ndarray]:
    """The arrays of a file by name, not writable.

    kinds: of each array the letters of NumPy's kinds that it may be of, as 'iu', and its number of dimensions; others:
    the same of arrays that a file has all or none of.
    ValueError, with the reason, for any other file, and for one that needs far more memory than it is long.
    """
    try:
        with storage.reader(path) as file, zipfile.ZipFile(file) as archive:
            has_others = any(f'{name}.npy' in archive.namelist() for name in others)
            return _read_members(archive, {**kinds, **(others if has_others else {})}, storage.size(path))
    except MemoryError:
        raise ValueError('its arrays do not fit into memory') from None
    except ERRORS as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _read_members(archive: zipfile.ZipFile, kinds: Mapping[str, tuple[str, int]], length: int) -> dict[str, np.ndarray]:
    members = {member.filename: member for member in archive.infolist()}
    missing = [name for name in kinds if f'{name}.npy' not in members]
    if missing or len(archive.infolist()) > len(kinds):
        raise ValueError(f'it has no {missing[0]}' if missing else 'it has other arrays too')
    num_bytes = sum(member.file_size for member in members.values())
    if num_bytes > min(MOST_BYTES, max(ALWAYS_BYTES, MOST_FACTOR * length)):
        raise ValueError(f'it is {length:,} bytes long and would need {num_bytes:,} in memory')
    if any(member.compress_type not in METHODS for member in members.values()):
        raise ValueError('it is compressed by another method than NumPy uses')
    return {name: _read_array(name, archive.read(f'{name}.npy'), *kind) for name, kind in kinds.items()}


def _read_array(name: str, data: bytes, kinds: str, dimensions: int) -> np.ndarray:
    header = HEADER.match(data[: 1 << 10])
    if not header:
        raise ValueError(f'{name} is not an array that this version reads')
    dtype, shape = np.dtype(header.group(1).decode()), ast.literal_eval(header.group(3).decode())
    if dtype.kind not in kinds or len(shape) != dimensions:
        raise ValueError(f'{name} is of type {dtype} and shape {shape}')
    if math.prod(shape) * dtype.itemsize != len(data) - header.end():
        raise ValueError(f'{name} is cut off')
    if dtype.kind == 'b' and data[header.end() :].strip(b'\0\1'):
        raise ValueError(f'{name} has other values than true and false')
    array = np.frombuffer(data, dtype, offset=header.end())
    if dtype.kind == 'f' and not np.isfinite(array).all():
        raise ValueError(f'{name} has numbers that are not finite')
    return array.reshape(shape, order='F' if header.group(2) == b'True' else 'C')
