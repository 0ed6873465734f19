"""The identity of an image against hashes computed by hand."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from dacn.data.read.identity import WHOLE, of_arrays, of_bytes, of_file, stacked


def by_hand(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)


def test_arrays_go_by_their_bytes_whatever_their_strides() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)
    expected = [by_hand(image.tobytes()) for image in images]
    assert of_arrays(images).tolist() == expected
    assert of_arrays(np.asfortranarray(images)).tolist() == expected
    assert of_arrays(iter(images)).dtype == torch.int64
    assert len(set(expected)) == 5


def test_a_small_file_counts_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(bytes(range(256)) * 4096)
    assert file.stat().st_size == WHOLE
    assert stacked([of_file(file)]).tolist() == [by_hand(file.read_bytes())]


def test_a_large_file_counts_by_size_beginning_and_end(tmp_path: Path) -> None:
    content = bytearray(b"x" * (WHOLE + 1000))
    file = tmp_path / "a.bin"

    def identity() -> bytes:
        file.write_bytes(content)
        return of_file(file)

    first = identity()
    half = WHOLE // 2
    assert first == of_bytes(bytes(content[:half]) + bytes(content[-half:]) + str(len(content)).encode())
    content[5] = 0
    second = identity()
    content[-5] = 0
    third = identity()
    content += b"x"
    assert len({first, second, third, identity()}) == 4
