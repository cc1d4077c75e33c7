"""Reading the variables of a TensorFlow checkpoint ("tensor bundle"), without TensorFlow.

A checkpoint consists of ``NAME.index``, a sorted table in LevelDB's format that maps names of
variables to their entries, and ``NAME.data-…``, the concatenated bytes of all variables. Source:
``tensor_bundle.proto`` and ``table_format.txt`` of TensorFlow. Numbers are little-endian.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

MAGIC = 0xDB4775248B80FB57
FOOTER = 48  # bytes: two handles, padded with zeros, and the magic number
LARGEST_INDEX = 2**20  # bytes; that of 5 stems has 370 entries
LONGEST_KEY = 1000  # bytes
MOST_DIMENSIONS = 8
MOST_GROUPS = 10  # groups of 7 bits, enough for 64 bits
FLOAT = 1  # DT_FLOAT of types.proto
#: Field numbers of BundleEntryProto. A shape's dimensions are field 2, a dimension's size field 1.
DTYPE, SHAPE, OFFSET, SIZE = 1, 2, 4, 5


def read_floats(index: bytes, data: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the float32 variables, by name, in a bundle with a single file of ``data``.

    Variables of other types (step counters) are skipped. Raises ``ValueError`` for a bundle that is
    invalid, compressed, or refers to missing bytes.
    """
    try:
        return dict(_variables(index, data))
    except (IndexError, KeyError, struct.error) as exc:
        raise ValueError("the index is damaged") from exc


def _variables(index: bytes, data: bytes) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if len(index) > LARGEST_INDEX:
        raise ValueError("the index is too large")
    if len(index) < FOOTER or struct.unpack("<Q", index[-8:])[0] != MAGIC:
        raise ValueError("the index is not a TensorFlow table")
    _, position = _handle(index, len(index) - FOOTER)  # of the meta-index, which is not needed
    root, _ = _handle(index, position)
    for _, place in _entries(_block(index, root)):
        handle, _ = _handle(place, 0)
        for name, value in _entries(_block(index, handle)):
            entry = dict(_fields(value))
            if name and entry.get(DTYPE) == FLOAT:
                yield name.decode(), _array(name.decode(), entry, data)


def _array(name: str, entry: dict[int, int | bytes], data: bytes) -> NDArray[np.float32]:
    shape_text = entry.get(SHAPE, b"")
    assert isinstance(shape_text, bytes)
    dimensions = [dict(_fields(each)) for _, each in _fields(shape_text) if isinstance(each, bytes)]
    if len(dimensions) > MOST_DIMENSIONS:
        raise ValueError(f"{name} has {len(dimensions)} dimensions")
    shape = [int(dimension.get(1, 0)) for dimension in dimensions]
    start, size = int(entry.get(OFFSET, 0)), int(entry.get(SIZE, 0))
    if size != 4 * math.prod(shape) or start + size > len(data):
        raise ValueError(f"{name} does not match the size of the data")
    return np.frombuffer(data, "<f4", math.prod(shape), start).reshape(shape)


def _block(index: bytes, handle: tuple[int, int]) -> bytes:
    """Return the content of the block at ``handle`` (offset and size)."""
    offset, size = handle
    if index[offset + size] != 0:  # the compression type follows the block
        raise ValueError("the index is compressed")
    return index[offset : offset + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values; a stored key omits the prefix that it shares with the previous one."""
    restarts = struct.unpack("<I", block[-4:])[0]
    end = len(block) - 4 * (restarts + 1)
    position, key = 0, b""
    while position < end:
        shared, position = _varint(block, position)
        own, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + own]
        position += own
        if len(key) > LONGEST_KEY:
            raise ValueError("the index is damaged")
        yield key, block[position : position + length]
        position += length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protocol buffer: each field's number, and an integer or bytes."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, position = _varint(message, position)
        else:
            length = {1: 8, 5: 4}[kind]
        yield tag >> 3, message[position : position + length]
        position += length


def _handle(text: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Return an offset and a size, and the position after them."""
    offset, position = _varint(text, position)
    size, position = _varint(text, position)
    return (offset, size), position


def _varint(text: bytes, position: int) -> tuple[int, int]:
    """Return a number that is stored in groups of 7 bits, and the position after it."""
    value = 0
    for group in range(MOST_GROUPS):
        byte = text[position]
        value |= (byte & 0x7F) << 7 * group
        position += 1
        if byte < 0x80:
            return value, position
    raise ValueError("the index is damaged")
