from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from dacn.data.pair.spec import DomainSpec
from dacn.data.read.folder import FolderSpec
from dacn.data.read.npz import NpzSpec
from dacn.data.read.python_set import PythonSpec
from dacn.data.read.torchvision_set import TorchvisionSpec

SPEC: TypeAdapter[Any] = TypeAdapter(DomainSpec)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"folder": "photos"}, FolderSpec),
        ({"npz": "a.npz"}, NpzSpec),
        ({"torchvision": "USPS", "train": False, "root": "data"}, TorchvisionSpec),
        ({"python": "package.module:function"}, PythonSpec),
    ],
)
def test_the_key_names_the_kind(value: dict[str, Any], kind: type) -> None:
    spec = SPEC.validate_python(value)
    assert type(spec) is kind
    assert SPEC.validate_python(SPEC.dump_python(spec, mode="json")) == spec


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert SPEC.validate_python({"folder": "~/photos"}).folder == Path("/home/someone/photos")
    assert SPEC.validate_python({"torchvision": "USPS", "root": "~/data"}).root == Path("/home/someone/data")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"foldr": "photos"}, "got the keys foldr; did you mean 'folder'?"),
        (
            {},
            "expected one of {folder: ...}, {npz: ...}, {torchvision: ...}, {named: ...}, {python: ...}, got the keys",
        ),
        ("photos", "expected one of {folder: ...}"),
        ({"folder": "a", "npz": "b"}, "got folder and npz"),
        ({"torchvision": "USPS", "trian": True}, "unknown key 'trian' beside 'torchvision'; did you mean 'train'?"),
        ({"folder": "a", "root": "b"}, "unknown key 'root' beside 'folder'; valid: folder"),
    ],
)
def test_problems_are_told_once(value: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SPEC.validate_python(value)
    (problem,) = caught.value.errors()
    assert message in problem["msg"]
    assert problem["loc"] == ()


@pytest.mark.parametrize(
    ("value", "key"),
    [({"folder": 3}, "folder"), ({"torchvision": "USPS", "train": "perhaps"}, "train"), ({"python": "abc"}, "python")],
)
def test_a_wrong_value_is_located_by_its_plain_key(value: Any, key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SPEC.validate_python(value)
    assert [problem["loc"] for problem in caught.value.errors()] == [(key,)]
