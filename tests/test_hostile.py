"""Files made to do harm: each is refused by name, quickly, and nothing is written where it should not be."""

import io
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dacn.cli import main
from dacn.data.read.folder import folder
from dacn.data.read.npz import npz
from dacn.errors import DacnError, DataError, RecipeError
from dacn.recipe.recipe import load_recipe, parse_recipe
from dacn.run.run import train_recipe
from dacn.trainer.checkpoint import load_checkpoint

DATA = "data: {pair: digits}\n"


def refused(tmp_path: Path, content: str | bytes) -> str:
    """Return what `dacn train` says of a recipe, which must be one message and exit code 2."""
    path = tmp_path / "r.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = CliRunner().invoke(main, ["train", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["r.yaml"]
    return result.output


LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
RECIPES = {
    "a bomb of aliases": (LAUGHS, r"aliases (*a) are not allowed in a recipe"),
    "a tag that runs code": ("x: !!python/object/apply:os.system ['touch harmed']\n", "tags (!!python/object/apply"),
    "brackets a hundred thousand deep": ("[" * 100_000, "cannot be read as YAML"),
    "a merge key": ("<<: {seed: 1}\n" + DATA, "unknown key"),
    "a megabyte": ("# " + "x" * 1_000_000, "too large for a recipe; expected at most 1,000,000 bytes"),
    "no text": (b"\xff\xfe\x00\x01\x02", "not a text file"),
    "NUL": (b"seed: 1\x00", "not a text file"),
    "digits without end": ("seed: " + "9" * 5000, "cannot be read as YAML"),
    "a name that climbs": ("name: ../../x\n" + DATA, "name: "),
    "a name with an escape": ('name: "\\e[2Jx"\n' + DATA, "expected a name for the run and its folder"),
    "a name of a thousand": ("name: " + "x" * 1000 + "\n" + DATA, "up to 100 characters"),
}


@pytest.mark.parametrize(("content", "message"), RECIPES.values(), ids=RECIPES)
def test_recipes(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert message in refused(tmp_path, content)


def test_a_recipe_without_end() -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("there is no /dev/zero here")
    with pytest.raises(RecipeError, match=r"/dev/zero: this is too large for a recipe"):
        load_recipe("/dev/zero")


NUMBERS = ["train.steps", "train.source_batch", "train.target_ratio", "train.ema", "train.log_every", "seed"]
NUMBERS += ["optimizer.lr", "optimizer.momentum", "optimizer.weight_decay", "algorithm.threshold", "evaluate.every"]
NUMBERS += ["evaluate.batch_size", "augment.magnitude", "augment.shift", "data.image_size", "algorithm.target_weight"]
NUMBERS += ["model.backbone.width", "model.norm.eps", "model.norm.eta"]


@pytest.mark.parametrize("value", ["-1", "1e30", "-1e30", ".nan", ".inf", "[1]", "0x"])
def test_absurd_numbers_name_their_key(value: str) -> None:
    for key in NUMBERS:
        with pytest.raises(RecipeError) as error:
            load_recipe("recipes/digits_acn.yaml", [f"{key}={value}"])
        assert key.rpartition(".")[2] in str(error.value)


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    text = str({"descr": descr, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def test_an_array_that_claims_to_be_enormous(tmp_path: Path) -> None:
    path = archive(tmp_path / "set.npz", images=header((10**9, 1000, 1000, 3)))
    with pytest.raises(DataError, match=r"set\.npz: not a sound \.npz archive"):
        npz(path, 32)


def test_an_archive_that_unpacks_to_more_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dacn.data.read.npz._MOST_BYTES", 2**20)
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((1000, 32, 32, 3), np.uint8))
    assert (tmp_path / "bomb.npz").stat().st_size < 10_000
    with pytest.raises(DataError, match=r"bomb\.npz: images\.npy unpacks to \d+ GiB; expected at most"):
        npz(tmp_path / "bomb.npz", 32)


def test_members_that_climb_out_are_never_written(tmp_path: Path) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    images = np.zeros((2, 32, 32, 3), np.uint8)
    np.savez(inside / "set.npz", images=images, **{"../../x": images, "/tmp/dacn_harmed": images})
    assert len(npz(inside / "set.npz", 32)) == 2
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.np*")] == ["a/b/set.npz"]
    assert not Path("/tmp/dacn_harmed.npy").exists()


@pytest.mark.parametrize("name", ["a\x1b[2J", "\x00", "x\ny", " ", "", "x" * 300, "\u202eevil"])
def test_class_names_that_cannot_be_printed(tmp_path: Path, name: str) -> None:
    np.savez(
        tmp_path / "set.npz", images=np.zeros((2, 8, 8, 3), np.uint8), labels=[0, 1], classes=np.array([name, "b"])
    )
    with pytest.raises(DataError, match=r"a class is called .* expected up to 200 printable characters") as error:
        npz(tmp_path / "set.npz", 8)
    assert str(error.value).isprintable()


def test_class_names_with_separators_train_and_write_nowhere_else(tmp_path: Path) -> None:
    names = np.array(["../../x", "a,b;c\"'$z$ {", "/etc/passwd"])
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(12) % 3, classes=names)
    spec = {"npz": str(tmp_path / "set.npz")}
    tree: dict[str, Any] = {
        "data": {"source": spec, "target": spec, "target_test": spec, "image_size": 16},
        "model": {"backbone": {"name": "small_cnn", "width": 4}},
        "train": {"steps": 2, "source_batch": 4, "target_ratio": 1},
    }
    out = tmp_path / "runs" / "deep" / "run"
    train_recipe(parse_recipe(tree, "test"), out=out, device="cpu")
    outside = {file.name for file in tmp_path.rglob("*") if out not in file.parents and file.is_file()}
    assert outside == {"set.npz"}


def test_pixels_that_are_not_finite(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=np.full((2, 8, 8, 3), np.nan, np.float32))
    with pytest.raises(DataError, match="'images' must be uint8 from 0 to 255, or uint16, got float32"):
        npz(tmp_path / "set.npz", 8)


def png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its data do not have."""
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (100_000, 100_000), (5000, 5000), (0, 4)])
def test_images_that_lie_about_their_size(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "liar.png").write_bytes(png(*size))
    with pytest.raises(DataError, match=r"1 image cannot be read; replace or remove:\n  .*liar\.png: "):
        folder(tmp_path, 32)


def test_pipes_loops_and_links_do_not_hang(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "cat" / "a.png")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    (tmp_path / "cat" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "cat" / "self.png").symlink_to(tmp_path / "cat" / "self.png")
    assert len(folder(tmp_path, 9)) == 1


class Hostile:
    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


def test_a_hostile_checkpoint_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoints = tmp_path / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save({"model": Hostile(), "step": 1}, checkpoints / "last.pt")
    with pytest.raises(DataError, match=r"last\.pt: damaged, or not a dacn checkpoint"):
        load_checkpoint(checkpoints / "last.pt")
    with pytest.raises(DacnError):
        train_recipe(parse_recipe({"data": {"pair": "digits"}}, "test"), out=tmp_path / "run", resume=True)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("key", ["images", "labels"])
def test_a_hostile_archive_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = {"images": np.zeros((1, 8, 8, 3), np.uint8)} | {key: np.array([Hostile()], dtype=object)}
    np.savez("set.npz", allow_pickle=True, **arrays)
    with pytest.raises(DataError, match="pickled objects are refused"):
        npz("set.npz", 8)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.slow
def test_the_message_is_one_and_the_process_says_2(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(LAUGHS)
    done = subprocess.run(
        [sys.executable, "-m", "dacn", "train", str(tmp_path / "r.yaml")], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
