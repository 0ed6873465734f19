from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dacn.cli import main
from dacn.data.corruption.corrupt import corrupt
from dacn.data.known.catalogue import load_domain
from dacn.data.known.names import CIFAR10_CLASSES
from dacn.data.prepare import cifar10_c
from dacn.data.prepare.cifar10_c import EVERY, expand_names
from dacn.errors import DataError


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["data", "prepare", "cifar10_c", "--root", str(root), *arguments])


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    """CIFAR-10 as class folders: two images of a class to train on, one to test."""
    random = np.random.default_rng(0)
    for part, count in (("train", 2), ("test", 1)):
        for name in CIFAR10_CLASSES:
            folder = tmp_path / "cifar10" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return tmp_path / "cifar10"


def test_training_and_test_images_corrupted_each_by_its_own_draw(cifar10: Path, tmp_path: Path) -> None:
    result = run(tmp_path, "--only", "fog_3", "--only", "impulse_noise", "--cifar10", str(cifar10))
    assert (result.exit_code, result.stdout) == (0, f"6 corruptions are in {tmp_path / 'cifar10_c'}\n")
    train, test = (load_domain("cifar10_impulse_noise_5", tmp_path, 32, train=train) for train in (True, False))
    assert (len(train), len(test), train.classes) == (20, 10, CIFAR10_CLASSES)
    clean = np.asarray(Image.open(cifar10 / "train/bird/1.png"))
    row = 5
    assert train.labels is not None
    assert train.labels[row] == CIFAR10_CLASSES.index("bird")
    expected = corrupt(clean, "impulse_noise", 5, np.random.default_rng((0, False, 2, 5, row)))
    assert np.array_equal(train.images[row].permute(1, 2, 0).numpy(), expected)
    assert len([*(tmp_path / "cifar10_c").glob("*.npz")]) == 12


def test_what_is_there_is_kept_and_more_is_added(cifar10: Path, tmp_path: Path) -> None:
    run(tmp_path, "--only", "fog_3", "--cifar10", str(cifar10))
    before = (tmp_path / "cifar10_c/fog_3_train.npz").stat().st_mtime_ns
    assert run(tmp_path, "--only", "fog_3", "--only", "fog_4", "--cifar10", str(cifar10)).exit_code == 0
    assert (tmp_path / "cifar10_c/fog_3_train.npz").stat().st_mtime_ns == before
    assert run(tmp_path, "--only", "fog_3", "--limit", "4", "--cifar10", str(cifar10)).exit_code == 2


def write_official(folder: Path, rows: int = 5) -> np.ndarray:
    folder.mkdir(parents=True)
    images = np.random.default_rng(1).integers(0, 256, (5 * rows, 32, 32, 3), dtype=np.uint8)
    np.save(folder / "fog.npy", images)
    np.save(folder / "labels.npy", np.tile(np.arange(rows) % 10, 5))
    return images


def test_the_published_test_images(cifar10: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10_c, "_ROWS", 5)
    images = write_official(tmp_path / "CIFAR-10-C")
    arguments = ("--only", "fog_2", "--cifar10", str(cifar10), "--official", str(tmp_path / "CIFAR-10-C"))
    assert run(tmp_path, *arguments).exit_code == 0
    test = load_domain("cifar10_fog_2", tmp_path, 32, train=False)
    assert np.array_equal(test.images.permute(0, 2, 3, 1).numpy(), images[5:10])
    assert test.classes == CIFAR10_CLASSES
    assert test.labels is not None
    assert test.labels.tolist() == [*range(5)]
    assert len(load_domain("cifar10_fog_2", tmp_path, 32)) == 20
    result = run(tmp_path, *arguments[:-2])
    assert "made with other settings (test 'official', now 'made')" in result.stderr


def test_published_arrays_of_another_shape(cifar10: Path, tmp_path: Path) -> None:
    write_official(tmp_path / "CIFAR-10-C")
    arguments = ("--cifar10", str(cifar10), "--official", str(tmp_path / "CIFAR-10-C"))
    result = run(tmp_path, "--only", "fog_2", *arguments)
    assert result.exit_code == 2
    assert "fog.npy is uint8 (25, 32, 32, 3) and labels.npy (25,); expected uint8 (50000, 32, 32, 3)" in result.stderr
    assert "snow.npy cannot be read" in run(tmp_path, "--only", "snow_1", *arguments).stderr


def test_an_archive_that_is_not_the_published_one(cifar10: Path, tmp_path: Path) -> None:
    (tmp_path / "CIFAR-10-C.tar").write_bytes(b"half of it")
    result = run(tmp_path, "--only", "fog_1", "--cifar10", str(cifar10), "--official", str(tmp_path / "CIFAR-10-C.tar"))
    assert result.exit_code == 2
    assert "the published one 56bf5dcef84df0e2308c6dcbcbbd8499" in result.stderr
    assert (tmp_path / "CIFAR-10-C.tar").exists()


def test_which_ones() -> None:
    assert expand_names(["fog_3", "snow", "fog_3"]) == ["fog_3", *(f"snow_{level}" for level in range(1, 6))]
    assert len(EVERY) == 75
    with pytest.raises(
        DataError, match=r"--only fgo_3: no such corruption; did you mean 'fog_3'\?; there are gaussian"
    ):
        expand_names(["fgo_3"])
    with pytest.raises(DataError, match="--only fog_6: no such corruption"):
        expand_names(["fog_6"])


def test_nothing_or_both_asked_for(tmp_path: Path) -> None:
    for arguments in ((), ("--all", "--only", "fog")):
        result = run(tmp_path, *arguments)
        assert (result.exit_code, "say which: --only fog_3" in result.stderr) == (2, True)
