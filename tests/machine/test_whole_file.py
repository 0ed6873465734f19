"""A file that is there whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from dacn.errors import DacnError, RunError
from dacn.machine.whole_file import require_writable, whole_file


def test_it_takes_its_name_at_the_end_and_folders_are_made(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "table.csv"
    with whole_file(out) as path:
        path.write_text("x")
        assert not out.exists()
        assert path.parent == out.parent
    assert out.read_text() == "x"
    assert [file.name for file in out.parent.iterdir()] == ["table.csv"]


def test_what_stood_there_survives_a_failure(tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    out.write_text("before")

    def fail() -> None:
        with whole_file(out) as path:
            path.write_text("half")
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]
    assert out.read_text() == "before"


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    with pytest.raises(RunError) as error, whole_file(out):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(error.value) == f"{out}: cannot be written ({os.strerror(errno.ENOSPC)})"
    assert error.value.exit_code == 1


def test_places_where_no_file_can_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    require_writable(file)
    require_writable(tmp_path / "a" / "b" / "c")
    with pytest.raises(DacnError, match=f"--out {tmp_path}: is a folder; name a file in it"):
        require_writable(tmp_path)
    with pytest.raises(DacnError, match=f"--out {file}/x: {file} is a file; choose another place"):
        require_writable(file / "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DacnError, match="cannot be written to; choose another place"):
        require_writable(tmp_path / "out")
