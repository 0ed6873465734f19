"""What the pages show is run: Python as it stands but shorter, recipes by the checker, commands by click's parser."""

import re
import shlex
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from dacn.cli import main
from dacn.errors import RecipeError
from dacn.recipe.recipe import parse_recipe
from dacn.recipe.yaml import parse_yaml
from tests.docs.pages import PAGES, blocks, name

SHORTER = {
    "steps=5000": "steps=2",
    '{"norm": "acn"}': '{"norm": "acn", "backbone": {"name": "small_cnn", "width": 4}}',
}
OWN = {"source": {"folder": "photos"}, "target": {"folder": "sketches"}, "image_size": 64}
BASES = (OWN, {"dataset": "cifar10"}, {"pair": "digits"})
"""What a lone key of `data` may be added to."""


def with_blocks(kind: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, kind)]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders that the pages speak of."""
    generator = np.random.default_rng(0)
    for domain in ("photos", "sketches", "sketches_test"):
        for label in ("cat", "dog"):
            (tmp_path / domain / label).mkdir(parents=True)
            for index in range(3):
                pixels = generator.integers(0, 255, (64, 64, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / domain / label / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in with_blocks("python") if page.stem != "tutorial"], ids=name)
def test_python(page: Path, folders: Path) -> None:
    for block in blocks(page, "python"):
        for long, short in SHORTER.items():
            block = block.replace(long, short)
        exec(compile(block, str(page), "exec"), {})


@pytest.mark.parametrize("page", with_blocks("yaml"), ids=name)
def test_recipes(page: Path) -> None:
    for block in blocks(page, "yaml"):
        tree = parse_yaml(block.encode(), str(page))
        if "data" in tree:
            parse_recipe(tree, str(page))
        else:
            for key, value in tree.items():
                assert any(holds({**base, key: value}) for base in BASES), f"{key}: {value}"


def holds(data: dict[str, object]) -> bool:
    try:
        parse_recipe({"data": data}, "example")
    except RecipeError:
        return False
    return True


def commands(page: Path) -> list[list[str]]:
    """Return the words of the page's command lines; not of the overview, which shows alternatives in brackets."""
    found = []
    for line in "\n".join(blocks(page, "")).splitlines():
        command = line[line.rfind("&& ") + 3 :] if "&& " in line else line
        words = shlex.split(re.split(r"\s{3,}", command)[0], comments=True)
        if words[:1] == ["dacn"] and not re.search(r"(^| )[\[|]|\.\.\.", " ".join(words)):
            found.append(words[1:])
    return found


@pytest.mark.parametrize("page", [page for page in with_blocks("") if commands(page)], ids=name)
def test_commands(page: Path) -> None:
    """Every command and option exists; what they do is tested where they are."""
    for words in commands(page):
        resolve(main, words)


def resolve(command: click.Command, words: list[str]) -> None:
    """Have click read a command line without running it."""
    context = click.Context(command, info_name="dacn", resilient_parsing=False)
    while isinstance(command, click.Group) and words:  # without, it lists
        found = command.get_command(context, words[0])
        assert found is not None, words
        command, words = found, words[1:]
    parser = command.make_parser(click.Context(command, info_name=command.name))
    parser.parse_args(args=[*words])
