import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dacn.cli import main
from dacn.data.pair.pairs import DataConfig, build_pair
from tests.data.read.test_torchvision_set import noise, write_mnist

INK = noise(12, 28, 28)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven photographs, each of one grey level: 10, 20, ... 70."""
    (tmp_path / "photos").mkdir()
    for index in range(7):
        level = 10 * (index + 1)
        Image.new("RGB", (40, 33), (level, level, level)).save(tmp_path / f"photos/{index}.png")
    return tmp_path / "photos"


def run(photos: Path, root: Path, *more: str) -> Result:
    arguments = ["data", "prepare", "mnist_m", "--photos", str(photos), "--root", str(root), *more]
    return CliRunner().invoke(main, arguments)


def images_of(root: Path, part: str = "train") -> np.ndarray:
    with np.load(root / f"mnist_m/{part}.npz") as archive:
        images: np.ndarray = archive["images"]
        return images


def test_every_digit_is_blended_and_tests_have_their_own_photographs(photos: Path, tmp_path: Path) -> None:
    write_mnist(tmp_path, INK)
    result = run(photos, tmp_path)
    assert (result.exit_code, result.stdout) == (0, f"MNIST-M is in {tmp_path / 'mnist_m'}\n")
    levels = {"train": {20, 30, 40, 50, 60}, "test": {10, 70}}
    seen = {}
    for part, photograph in levels.items():
        images, ink = images_of(tmp_path, part).astype(int), INK if part == "train" else INK[:1]
        for image, digit in zip(images, ink.astype(int), strict=True):
            level = int(image[0, 0, 0])  # in the margin, where there is no ink
            seen.setdefault(part, set()).add(level)
            padded = np.pad(digit, 2)[..., None]
            assert np.array_equal(image, np.abs(level - 255 * (padded > 0)).repeat(3, axis=2))
        assert seen[part] <= photograph
    assert len(seen["train"]) > 1
    pair = build_pair(DataConfig(pair="mnist_mnistm", root=tmp_path))
    assert (len(pair.source), len(pair.target)) == (12, 12)
    assert pair.target_test is not None


def test_both_forms_lie_side_by_side_and_say_which_they_are(photos: Path, tmp_path: Path) -> None:
    write_mnist(tmp_path, INK)
    assert run(photos, tmp_path).exit_code == run(photos, tmp_path, "--blend", "grey").exit_code == 0
    full, grey = images_of(tmp_path).astype(int), images_of(tmp_path, "grey_train").astype(int)
    for image, other, digit in zip(full, grey, np.pad(INK, ((0, 0), (2, 2), (2, 2))).astype(int), strict=True):
        level = int(image[0, 0, 0])
        assert np.array_equal(image, np.where(digit > 0, 255 - level, level)[..., None].repeat(3, axis=2))
        assert np.array_equal(other, np.abs(level - digit)[..., None].repeat(3, axis=2))
    for prefix, form in (("", "full"), ("grey_", "grey")):
        manifest = json.loads((tmp_path / f"mnist_m/{prefix}manifest.json").read_text())
        assert manifest["settings"]["blend"] == form
        assert {*manifest["files"]} == {f"{prefix}train.npz", f"{prefix}test.npz"}
    assert build_pair(DataConfig(pair="mnist_mnistm_grey", root=tmp_path)).target.name == "mnist_m_grey"


def test_the_seed_and_nothing_else_decides(photos: Path, tmp_path: Path) -> None:
    write_mnist(tmp_path, INK)
    roots = [tmp_path / name for name in ("a", "b", "c")]
    for root, more in zip(roots, ([], ["--limit", "5"], ["--seed", "1"]), strict=True):
        assert run(photos, root, "--mnist", str(tmp_path), *more).exit_code == 0
    first, limited, other = (images_of(root) for root in roots)
    assert np.array_equal(first[:5], limited)
    assert not np.array_equal(first, other)


def test_photographs_and_seed_are_remembered(photos: Path, tmp_path: Path) -> None:
    write_mnist(tmp_path, INK)
    run(photos, tmp_path)
    assert run(photos, tmp_path).exit_code == 0
    (photos / "0.png").unlink()
    result = run(photos, tmp_path, "--seed", "3")
    assert result.exit_code == 2
    assert "was made with other settings (seed 0, now 3; photographs '7 files, " in result.stderr


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda photos: [file.unlink() for file in photos.iterdir()], "no images; expected a folder of photographs"),
        (
            lambda photos: Image.new("RGB", (31, 90)).save(photos / "1.png"),
            "1.png: 31x90 pixels, expected at least 32x32",
        ),
        (lambda photos: (photos / "1.png").write_text("no image"), "1.png: cannot be read"),
    ],
)
def test_photographs_that_do_not_serve(spoil: object, message: str, photos: Path, tmp_path: Path) -> None:
    write_mnist(tmp_path, INK)
    spoil(photos)  # type: ignore[operator]
    result = run(photos, tmp_path)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "mnist_m/train.npz").exists()


def test_no_mnist_and_no_photographs(photos: Path, tmp_path: Path) -> None:
    assert "MNIST (train): no intact files in" in run(photos, tmp_path).stderr
    result = run(tmp_path / "nowhere", tmp_path)
    assert (result.exit_code, "'--photos': Directory" in result.stderr) == (2, True)


def test_a_full_disk_ends_in_one_line(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path, INK)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "mnist_m/train.npz"))

    monkeypatch.setattr("dacn.data.prepare.images.np.savez", full)
    result = run(photos, tmp_path)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        1,
        f"Error: {tmp_path / 'mnist_m/train.npz'}: No space left on device",
    )
    assert not (tmp_path / "mnist_m/train.npz").exists()
