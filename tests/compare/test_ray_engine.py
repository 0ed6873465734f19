"""A comparison whose runs are tasks of Ray: on a local one, and what is told where there is none."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dacn.cli import main
from tests.cli.test_mistakes import draw

RECIPE = """
data: {source: {folder: photos}, target: {folder: sketches}, image_size: 16}
model: {backbone: {name: small_cnn, width: 4}, input_norm: none, norm: bn}
algorithm: source_only
train: {source_batch: 4, target_ratio: 1, steps: 2}
evaluate: {every: 2, figures: false}
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text(RECIPE)
    for seed, name in enumerate(("photos", "sketches")):
        draw(tmp_path / name, ("cat", "dog"), seed=seed)
    return tmp_path


def compare(*arguments: str) -> Result:
    command = ["compare", "own.yaml", "--seeds", "0,1", "--out", "grid", "--device", "cpu", *arguments]
    return CliRunner().invoke(main, command)


def test_without_ray_the_command_that_installs_it_is_told(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dacn.compare.ray_engine.find_spec", lambda name: None)
    result = compare("--engine", "ray")
    assert result.exit_code == 2
    assert "--engine ray: Ray is not installed here: pip install 'dacn[ray]'" in result.stderr
    assert not Path("grid").exists()


@pytest.mark.slow
def test_a_local_ray_trains_what_is_left(work: Path) -> None:
    pytest.importorskip("ray", reason="needs pip install 'dacn[ray]'")
    assert compare("--engine", "local").exit_code == 0
    folders = sorted(path.parent for path in Path("grid").glob("*/summary.json"))
    assert len(folders) == 2
    kept, again = folders
    expected = json.loads((again / "summary.json").read_text())["source"]
    (again / "summary.json").unlink()  # as if it had been stopped before the end
    before = (kept / "summary.json").stat().st_mtime_ns
    result = compare("--engine", "ray")
    assert result.exit_code == 0, result.output
    assert (kept / "summary.json").stat().st_mtime_ns == before, "what is finished is not done again"
    assert json.loads((again / "summary.json").read_text())["source"] == expected
    result = compare("--engine", "ray", "--force", "--set", "model.backbone.width=6")
    assert result.exit_code == 0, result.output
    assert (kept / "summary.json").stat().st_mtime_ns > before
