"""The public names: sorted, complete, importable, and free of torch until used."""

import subprocess
import sys

import pytest

import dacn


def test_public_names_are_sorted_and_exist() -> None:
    assert dacn.__all__ == sorted(dacn.__all__)
    for name in dacn.__all__:
        assert getattr(dacn, name) is not None
    assert set(dacn.__all__) <= set(dir(dacn))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'dacn' has no attribute 'nothing'"):
        _ = dacn.nothing


def test_importing_dacn_does_not_import_torch() -> None:
    code = "import dacn, sys; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
