import hashlib
import json
from pathlib import Path
from typing import IO

import pytest

from dacn.data.prepare.manifest import Manifest, sha256
from dacn.errors import DataError


def fill(file: IO[bytes]) -> None:
    file.write(b"content")


def made(folder: Path, seed: int = 0) -> Manifest:
    manifest = Manifest(folder, {"seed": seed})
    manifest.write("a/b.npz", fill)
    return manifest


def test_a_file_is_written_whole_with_its_checksum(tmp_path: Path) -> None:
    assert made(tmp_path).holds("a/b.npz")
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["settings"] == {"seed": 0}
    assert content["files"] == {"a/b.npz": hashlib.sha256(b"content").hexdigest()}
    assert content["made_by"].startswith("dacn ")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b.npz", "manifest.json"]
    assert Manifest(tmp_path, {"seed": 0}).holds("a/b.npz")
    assert not Manifest(tmp_path, {"seed": 0}).holds("c.npz")


def test_a_failure_while_writing_leaves_nothing_half_written(tmp_path: Path) -> None:
    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Manifest(tmp_path, {}).write("b.npz", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_ours_only_once_its_checksum_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target.name == "b.npz":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path)
    monkeypatch.undo()
    assert not Manifest(tmp_path, {"seed": 0}).holds("a/b.npz")
    assert made(tmp_path).holds("a/b.npz")


def test_a_wrong_checksum_removes_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "a/b.npz").write_bytes(b"changed")
    with pytest.raises(
        DataError, match=r"b\.npz: its SHA-256 is not that .*Nothing was removed; move it away.*--force"
    ):
        Manifest(tmp_path, {"seed": 0}).holds("a/b.npz")
    assert (tmp_path / "a/b.npz").read_bytes() == b"changed"
    assert not Manifest(tmp_path, {"seed": 0}, force=True).holds("a/b.npz")


def test_a_file_of_the_users_own_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "train.npz").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"train\.npz: is there, but was not made here"):
        Manifest(tmp_path, {}).holds("train.npz")
    assert (tmp_path / "train.npz").read_bytes() == b"mine"


def test_other_settings_are_refused_by_key_and_value(tmp_path: Path) -> None:
    made(tmp_path)
    with pytest.raises(
        DataError, match=r"made with other settings \(seed 0, now 1; limit None, now 5\); give the same"
    ):
        Manifest(tmp_path, {"seed": 1, "limit": 5})
    assert Manifest(tmp_path, {"seed": 1}, force=True).files == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"settings": 1, "files": {}}', '{"settings": {}}'])
def test_a_damaged_manifest(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json: cannot be read .*or --force to make all anew"):
        Manifest(tmp_path, {})
    assert Manifest(tmp_path, {}, force=True).files == {}


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 100000)
    assert sha256(tmp_path / "x") == hashlib.sha256(b"abc" * 100000).hexdigest()
