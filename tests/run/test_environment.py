"""The commit and the processor that a run was measured on."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch

import dacn
from dacn.run.environment import commit, describe_environment, processor


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_the_packages_own(tmp_path: Path) -> None:
    package = tmp_path / "checkout" / "package"
    (package / "inner").mkdir(parents=True)
    (package / "module.py").write_text("1")
    assert commit(package) is None
    git(package.parent, "init")
    assert commit(package) is None, "nothing is committed"
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-m", "first")
    head = git(package, "rev-parse", "--short=7", "HEAD")
    assert commit(package) == head
    assert commit(package / "inner") is None, "somebody else's checkout"
    (package.parent / "notes.txt").write_text("of no matter")
    assert commit(package) == head
    (package / "module.py").write_text("2")
    assert commit(package) == f"{head}+"


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit(tmp_path) is None


def test_the_time_and_the_processor_are_known() -> None:
    environment = describe_environment(torch.device("cpu"), 3, ["dacn"])
    assert datetime.now(UTC) - datetime.fromisoformat(environment["started"]) < timedelta(minutes=1)
    assert environment["commit"] == commit(Path(dacn.__file__).parent)
    assert environment["device"] == processor() != " CPU"
    assert (environment["seed"], environment["command"]) == (3, ["dacn"])
