"""The tutorial: from folders of images to an exported model. Its commands are run as the page prints them."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dacn.cli import COMMANDS, main

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
TUTORIAL = """
dacn data check sketches.yaml
dacn doctor sketches.yaml
dacn train sketches.yaml --out runs/first
dacn evaluate runs/first
dacn compare sketches.yaml --vary model.norm=bn,acn --seeds 0,1 --out runs/norms
dacn report runs/norms
dacn predict runs/first new --out predictions.csv
dacn export runs/first --out sketches.onnx
"""
RECIPE = """
data:
  source: {folder: photos}
  target: {folder: sketches}
  target_test: {folder: sketches_test}
  image_size: 64
  flips: true
"""
# What makes it quick here. With 20 pictures nothing is learned.
TINY = """
model: {backbone: {name: small_cnn, width: 4}}
train: {steps: 4, source_batch: 4, target_ratio: 1}
evaluate: {every: 2}
"""


def blocks(kind: str) -> list[str]:
    """Return the fenced blocks of a kind in the tutorial; none where there is none."""
    text = re.search(r"<!-- tutorial -->(.*)<!-- /tutorial -->", PAGE.read_text("utf-8"), re.DOTALL)
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text[1], re.DOTALL | re.MULTILINE) if text else []
    return [block for its_kind, block in fences if its_kind == kind]


def commands(text: str) -> list[list[str]]:
    return [shlex.split(line, comments=True)[1:] for line in text.splitlines() if line.startswith("dacn ")]


def draw(folder: Path, classes: tuple[str, ...], seed: int) -> None:
    """Write five pictures a class: dogs are darker below, cats above."""
    generator = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index in range(5):
            pixels = generator.integers(0, 120, (70, 80, 3), np.uint8)
            pixels[35 * (name == "cat") :][:35] += 100
            Image.fromarray(pixels).save(folder / name / f"{index}.jpg")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("photos", "sketches", "sketches_test")):
        draw(tmp_path / name, ("cat", "dog"), seed)
    draw(tmp_path / "new", ("",), 9)
    (recipe,) = blocks("yaml") or [RECIPE]
    Path("sketches.yaml").write_text(re.sub(r"^train: .*\n", "", recipe, flags=re.MULTILINE) + TINY)
    return tmp_path


def test_the_tutorial_has_these_commands() -> None:
    if not blocks(""):
        pytest.skip("the page has no tutorial")
    assert [command for block in blocks("") for command in commands(block)] == commands(TUTORIAL)


@pytest.mark.slow
def test_every_command_does_its_part(work: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs pip install 'dacn[export]'")
    missing = []
    for arguments in commands(TUTORIAL):
        if arguments[0] not in COMMANDS:
            missing.append(arguments[0])
            continue
        result = CliRunner().invoke(main, [*arguments], catch_exceptions=False)
        assert result.exit_code == 0, f"{arguments}\n{result.output}"
        assert result.stdout
    assert Path("predictions.csv").read_text().startswith("path,class,confidence,")
    assert len(Path("predictions.csv").read_text().splitlines()) == 6
    assert Path("sketches.onnx").is_file()
    for block in blocks("python"):
        exec(block, {})
    if missing:
        pytest.skip(f"this dacn has no {', '.join(missing)} yet; the other commands ran")
