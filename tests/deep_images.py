"""Image files of more than 8 bits, written byte by byte: Pillow writes few of the kinds that it reads."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RAMP: NDArray[np.uint16] = np.tile(np.linspace(0, 4080, 16).astype(np.uint16), (16, 1))
"""Twelve bits: 0, 272, ... 4080 from left to right."""


def write_png(path: Path, values: NDArray[Any], transparent: int | None = None) -> Path:
    """Write a 16-bit PNG: grey ``(H, W)``, or with 2 (grey and alpha), 3 or 4 channels ``(H, W, C)``.

    Args:
        path: where.
        values: 0 to 65535.
        transparent: the value, of all channels, that is transparent.
    """
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    rows = b"".join(b"\0" + values[y].astype(">u2").tobytes() for y in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    key = b"" if transparent is None else chunk(b"tRNS", struct.pack(">H", transparent) * channels)
    content = chunk(b"IHDR", header) + key + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def write_tiff(path: Path, values: NDArray[Any], *, white_is_zero: bool = False) -> Path:
    """Write an uncompressed TIFF of the array's own type and byte order: grey ``(H, W)`` or RGB ``(H, W, 3)``."""
    height, width = values.shape[:2]
    samples = 1 if values.ndim == 2 else values.shape[2]
    order, data = (">" if values.dtype.byteorder == ">" else "<"), values.tobytes()
    photometric = 2 if samples == 3 else int(not white_is_zero)
    bits, kind = 8 * values.dtype.itemsize, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 0)]
    tags += [(277, 3, samples), (278, 4, height), (279, 4, len(data)), (339, 3, kind)]
    start = 8 + 2 + 12 * len(tags) + 4
    directory, extra = b"", b""
    for tag, type_, value in tags:
        count = samples if tag in (258, 339) else 1
        if tag == 273:
            value = start + 12
        if count == 3:
            packed = struct.pack(order + "I", start + len(extra))
            extra += struct.pack(order + "3H", value, value, value)
        else:
            packed = struct.pack(order + "HH", value, 0) if type_ == 3 else struct.pack(order + "I", value)
        directory += struct.pack(order + "HHI", tag, type_, count) + packed
    magic = {"<": b"II*\0", ">": b"MM\0*"}[order]
    head = magic + struct.pack(order + "IH", 8, len(tags)) + directory + struct.pack(order + "I", 0)
    path.write_bytes(head + extra.ljust(12, b"\0") + data)
    return path


def write_pgm(path: Path, values: NDArray[Any], white: int = 65535) -> Path:
    """Write a binary PGM of 16-bit values whose header calls ``white`` white."""
    height, width = values.shape
    path.write_bytes(f"P5\n{width} {height}\n{white}\n".encode() + values.astype(">u2").tobytes())
    return path
