from pathlib import Path

import numpy as np
import pytest

from dacn.data.prepare.images import write_images
from dacn.data.prepare.manifest import Manifest
from dacn.data.read.npz import npz

LABELS = np.arange(7) % 2


class Maker:
    """Makes image i of the value i, counts what it was asked for, and stops where it is told to."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.asked: list[int] = []
        self.stop_at = stop_at

    def __call__(self, start: int, stop: int) -> np.ndarray:
        if start == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(start)
        return np.arange(start, stop, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dacn.data.prepare.images.PIECE", 3)


def write(folder: Path, make: Maker, **settings: int) -> None:
    write_images(Manifest(folder, settings), "train.npz", make, LABELS, ("a", "b"), number=LABELS)


def test_what_is_written_is_what_recipes_read(tmp_path: Path) -> None:
    write(tmp_path, Maker())
    domain = npz(tmp_path / "train.npz", 8)
    assert domain.images[:, 0, 0, 0].tolist() == [*range(7)]
    assert domain.labels is not None
    assert domain.labels.tolist() == LABELS.tolist()
    assert domain.classes == ("a", "b")
    with np.load(tmp_path / "train.npz") as archive:
        assert archive["number"].tolist() == LABELS.tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "train.npz"]


def test_an_interrupted_build_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "whole", Maker())
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "twice", Maker(stop_at=3))
    assert not (tmp_path / "twice/train.npz").exists()
    second = Maker()
    write(tmp_path / "twice", second)
    assert second.asked == [3, 6]
    assert (tmp_path / "twice/train.npz").read_bytes() == (tmp_path / "whole/train.npz").read_bytes()
    third = Maker()
    write(tmp_path / "twice", third)
    assert third.asked == []


def test_a_damaged_piece_is_made_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, Maker(stop_at=6))
    piece = tmp_path / "train.npz.pieces/0.npy"
    piece.write_bytes(piece.read_bytes()[:100])
    second = Maker()
    write(tmp_path, second)
    assert second.asked == [0, 6]
    assert npz(tmp_path / "train.npz", 8).images[:, 0, 0, 0].tolist() == [*range(7)]


def test_pieces_of_other_settings_are_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, Maker(stop_at=3), seed=0)
    with pytest.raises(Exception, match="made with other settings"):
        write(tmp_path, Maker(), seed=1)
    anew = Maker()
    write_images(Manifest(tmp_path, {"seed": 1}, force=True), "train.npz", anew, LABELS, ("a", "b"))
    assert anew.asked == [0, 3, 6]


def test_progress_in_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "set", Maker())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [f"set/train.npz: {share} %" for share in (33, 66, 100)]
