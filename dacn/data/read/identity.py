"""The identity of an image, a hash of 64 bits that does not depend on its folder or on resizing.

It is taken of what was given (a file's bytes, a pixel array), not of what training sees, so that it is the same under
another `data.image_size`, another version of a decoder, and whether images are held in memory or not.
"""

import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WHOLE = 2**20
"""Bytes of a file up to which all of it counts; of a larger one its size, its beginning and its end do."""


def of_arrays(images: NDArray[Any] | Iterable[NDArray[Any]]) -> Tensor:
    """Return the identity of each pixel array: (N,) int64.

    >>> bool((of_arrays(np.zeros((2, 8, 8), np.uint8))[0] == of_arrays(np.zeros((1, 8, 8), np.uint8))).all())
    True
    """
    return stacked(of_bytes(np.ascontiguousarray(image).data.cast("B")) for image in images)


def of_file(path: Path) -> bytes:
    """Return the identity of a file, 8 bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= WHOLE:
            return of_bytes(file.read())
        head = file.read(WHOLE // 2)
        file.seek(-WHOLE // 2, os.SEEK_END)
        return of_bytes(head + file.read() + str(size).encode())


def of_bytes(content: Any) -> bytes:
    """Return the identity of a content, 8 bytes."""
    return blake2b(content, digest_size=8).digest()


def stacked(identities: Iterable[bytes]) -> Tensor:
    """Return identities of 8 bytes each as a tensor: (N,) int64."""
    return torch.from_numpy(np.frombuffer(b"".join(identities), dtype="<i8").astype(np.int64))
