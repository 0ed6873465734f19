"""The script that takes the README's pictures from a run."""

import importlib.util
from pathlib import Path

from click.testing import CliRunner

from tests.docs.pages import REPOSITORY

SPEC = importlib.util.spec_from_file_location("make_pictures", REPOSITORY / "docs" / "make_pictures.py")
assert SPEC is not None
assert SPEC.loader is not None
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


def test_figures_are_copied_or_named_as_missing(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "pair.png").write_bytes(b"pair")
    result = CliRunner().invoke(script.main, [str(tmp_path), "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "lacks predictions_target.png" in result.output
    (tmp_path / "figures" / "predictions_target.png").write_bytes(b"predictions")
    result = CliRunner().invoke(script.main, [str(tmp_path), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "digits_acn_predictions.png").read_bytes() == b"predictions"
    assert all((REPOSITORY / "docs" / "pictures" / picture).is_file() for picture in script.PICTURES.values())
