from pathlib import Path

import pytest
from click.testing import CliRunner

from dacn.algorithms import ALGORITHMS
from dacn.cli import main
from dacn.cli.list_names import SECTIONS
from dacn.data.pair.contexts import CONTEXTS
from dacn.data.pair.pairs import PAIRS
from dacn.models.build import BACKBONES
from dacn.models.norms import NORMS
from dacn.recipe.shipped import shipped_recipes


def listed(*arguments):
    result = CliRunner().invoke(main, ["list", *arguments])
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("algorithms", ALGORITHMS),
        ("norms", NORMS),
        ("backbones", BACKBONES),
        ("pairs", PAIRS),
        ("contexts", CONTEXTS),
    ],
)
def test_a_section_is_one_line_a_name(section, names):
    lines = listed(section)
    assert [line.split()[0] for line in lines] == list(names)
    for line in lines:
        sentence = line.split(maxsplit=1)[1]
        assert sentence.endswith(".")
        assert "None" not in sentence


def test_recipes_with_their_first_comment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = listed("recipes")
    assert [line.split()[0] for line in own] == [*shipped_recipes()]
    Path("recipes").mkdir()
    Path("recipes/b.yaml").write_text("# yaml-language-server: $schema=x.json\n# What it claims.\n# More.\nseed: 0\n")
    Path("recipes/a.yaml").write_text("seed: 0\n")
    Path("recipes/notes.txt").write_text("# no recipe")
    assert [line.split(maxsplit=1) for line in listed("recipes")[len(own) :]] == [
        ["recipes/a.yaml"],
        ["recipes/b.yaml", "What it claims."],
    ]


def test_all_sections(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = listed()
    assert [line for line in lines if line and not line.startswith(" ")] == list(SECTIONS)
    assert sum(line.split()[:1] == ["adamatch"] for line in lines) == 1


def test_an_unknown_section():
    result = CliRunner().invoke(main, ["list", "norm"])
    assert result.exit_code == 2
    assert "'norm' is not one of 'algorithms', 'norms'" in result.stderr
