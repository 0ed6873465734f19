"""What a shell is told to complete: through the command's own entry, as bash and zsh call it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dacn.cli import completion, main
from dacn.recipe.recipe import schema
from dacn.recipe.shipped import shipped_recipes


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def completed(words: list[str], shell: str = "bash") -> list[str]:
    """Return what completes the last of some words; for bash, as it parts them."""
    typed = [part for word in words for part in (_parted(word) if shell == "bash" else [word])]
    given = {"COMP_WORDS": "\n".join(typed), "COMP_CWORD": str(len(typed) - 1), "_DACN_COMPLETE": f"{shell}_complete"}
    result = CliRunner().invoke(main, prog_name="dacn", env=given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    lines = result.stdout.splitlines()
    if shell == "bash":
        return [line.removeprefix("plain,") for line in lines if line]
    return [lines[i] for i in range(1, len(lines), 3)]


def _parted(word: str) -> list[str]:
    """Part a word at its equals signs, which bash makes words of their own; an empty end is none."""
    parts = [part for piece in word.split("=") for part in ("=", piece)][1:]
    return [part for part in parts if part] or [""]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["dacn", "rec"], ["recommend", "recipes"]),
        (["dacn", "train", "digits_d"], ["digits_dann"]),
        (["dacn", "train", "x", "--set", "mod"], ["model."]),
        (["dacn", "train", "x", "--set", "model.no"], ["model.norm=", "model.norm."]),
        (["dacn", "train", "x", "--set", "model.norm.comp"], ["model.norm.components="]),
        (["dacn", "train", "x", "--set", "model.norm=b"], ["bn"]),
        (["dacn", "train", "x", "--set=model.norm=b"], ["bn"]),
        (["dacn", "train", "x", "--set", "train.compile="], ["auto", "graphs", "true", "false"]),
        (["dacn", "train", "x", "--set", "data.pair=mnist_u"], ["mnist_usps"]),
        (["dacn", "train", "x", "--set", "data.root=da"], ["file,da"]),
        (["dacn", "compare", "x", "--vary", "model.norm=bn,c"], ["bn,cn"]),
        (["dacn", "bench", "x", "--set", "schedule=co"], ["cosine", "constant"]),
        (["dacn", "train", "x", "--set", "nothing.at"], []),
        (["dacn", "train", "x", "--set", "nothing.at=a"], []),
    ],
)
def test_bash(words: list[str], expected: list[str]) -> None:
    assert completed(words) == expected


def test_other_shells_get_the_whole_word() -> None:
    assert completed(["dacn", "train", "x", "--set", "model.norm=b"], "zsh") == ["model.norm=bn"]
    assert completed(["dacn", "train", "x", "--set", "train.st"], "zsh") == ["train.steps="]


def test_recipes_come_before_files() -> None:
    assert completed(["dacn", "train", ""]) == [*shipped_recipes(), "file,"]


def test_the_script_that_bash_reads_goes_on_after_a_key() -> None:
    result = CliRunner().invoke(main, prog_name="dacn", env={"_DACN_COMPLETE": "bash_source"})
    assert "compopt -o nospace" in result.stdout
    assert "_DACN_COMPLETE=bash_complete" in result.stdout


def test_the_schema_is_made_once_and_anew_when_the_code_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert completion._schema() == json.loads(json.dumps(schema()))
    kept = tmp_path / "cache" / "dacn" / "completion.json"
    tree: Any = json.loads(kept.read_text())
    kept.write_text(json.dumps(tree | {"schema": {"type": "object"}}))
    assert completion._schema() == {"type": "object"}, "what is kept is taken"
    kept.write_text(json.dumps(tree | {"stamp": "older"}))
    assert "properties" in completion._schema()
    kept.write_text("no JSON")
    assert "properties" in completion._schema()
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert "properties" in completion._schema(), "where nothing can be kept"
