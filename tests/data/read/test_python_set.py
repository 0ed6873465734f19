from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dacn.data.read.python_set import python_set, read_dataset
from dacn.errors import DataError

BYTES = torch.arange(3 * 16 * 16, dtype=torch.int64).remainder(256).to(torch.uint8).reshape(3, 16, 16)


class Named(list[Any]):
    classes = ("cat", "dog")


def test_every_kind_of_image_gives_the_same_bytes() -> None:
    picture = Image.fromarray(BYTES.permute(1, 2, 0).numpy())
    domain = read_dataset("mine", Named([(picture, 0), (BYTES, torch.tensor(1)), (BYTES / 255, np.int64(1))]), 16)
    for image in domain.images:
        assert torch.equal(image, BYTES)
    assert domain.labels is not None
    assert domain.labels.tolist() == [0, 1, 1]
    assert domain.classes == ("cat", "dog")


def test_images_alone_are_unlabelled_and_grey_is_repeated() -> None:
    domain = read_dataset("mine", [BYTES[:1], Image.fromarray(BYTES[0].numpy())], 16)
    assert domain.labels is None
    assert torch.equal(domain.images, domain.images[:, :1].expand_as(domain.images))
    assert torch.equal(domain.images[0], domain.images[1])


def test_images_are_fitted() -> None:
    assert read_dataset("mine", [torch.rand(3, 20, 40)], 16).images.shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([], "mine: the data set is empty"),
        ([BYTES, (BYTES, 1)], "mine: 1 of 2 items have labels; expected all or none"),
        ([(BYTES, 1, 2)], r"mine, item 0: expected \(image, label\) or an image, got 3 values"),
        ([(BYTES, "cat")], "mine, item 0: a label must be an integer from 0, got 'cat'"),
        ([(BYTES, -1)], "a label must be an integer from 0, got -1"),
        ([BYTES.numpy()], r"expected a PIL image or a tensor \(C, H, W\), got ndarray"),
        ([BYTES[0]], r"a tensor must be \(C, H, W\) with 1 or 3 channels, got torch.uint8 \(16, 16\)"),
        ([BYTES.long()], r"a tensor must be uint8, or float from 0 to 1, got torch.int64"),
        ([BYTES / 127.5 - 1], r"float pixels must lie in 0 to 1, got -1 to 1; leave out Normalize"),
        ([BYTES / 255 * torch.nan], "float pixels must lie in 0 to 1"),
        ([Image.new("F", (16, 16))], "32-bit float values from 0 to 0, whose range nobody knows"),
        ({"a": BYTES}, "mine, item 0: cannot be read: KeyError: 0"),
        (iter([BYTES]), "expected a torch Dataset with a length and items by index, got list_iterator"),
    ],
)
def test_items_that_do_not_fit(dataset: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_dataset("mine", dataset, 16)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = "made_for_the_python_set_test"
    (tmp_path / f"{name}.py").write_text(
        "import torch\n"
        "number = 3\n"
        "def sketches(): return [(torch.zeros(3, 8, 8), 0)]\n"
        "def failing(): raise KeyError('no such sheet')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    yield name
    monkeypatch.delitem(__import__("sys").modules, name, raising=False)


def test_a_function_beside_the_recipe(module: str) -> None:
    domain = python_set(f"{module}:sketches", 16)
    assert domain.name == "sketches"
    assert domain.images.shape == (1, 3, 16, 16)


def test_references_that_lead_nowhere(module: str) -> None:
    with pytest.raises(DataError, match=r"has no function 'sketch'; did you mean 'sketches'\?"):
        python_set(f"{module}:sketch", 16)
    with pytest.raises(DataError, match="has no function 'number'"):
        python_set(f"{module}:number", 16)
    with pytest.raises(DataError, match=r"cannot import no_such_module \(No module named 'no_such_module'\)"):
        python_set("no_such_module:sketches", 16)
    with pytest.raises(DataError, match="failing: the function failed: KeyError: 'no such sheet'"):
        python_set(f"{module}:failing", 16)
