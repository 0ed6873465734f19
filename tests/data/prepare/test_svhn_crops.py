import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dacn.cli import main
from dacn.data.known.catalogue import load_domain
from dacn.data.prepare.svhn_crops import KEYS, Box, cut, read_boxes
from dacn.errors import DataError

BOXES = {
    "1.png": [{"label": 1, "left": 4, "top": 6, "width": 10, "height": 20}],
    "2.png": [
        {"label": 10, "left": 0, "top": 2, "width": 8, "height": 20},
        {"label": 7, "left": 30, "top": 2, "width": 10, "height": 20},
    ],
}


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["data", "prepare", "svhn_crops", "--root", str(root), *arguments])


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """Two house-number images; the pixel in row y and column x is (x, y, 0)."""
    y, x = np.mgrid[0:30, 0:40].astype(np.uint8)
    (tmp_path / "train").mkdir()
    for name in BOXES:
        Image.fromarray(np.stack([x, y, 0 * x], axis=-1)).save(tmp_path / "train" / name)
    return tmp_path / "train"


def write_json(folder: Path, boxes: Any = BOXES) -> None:
    images = [{"filename": name, "boxes": own} for name, own in boxes.items()]
    (folder / "digitStruct.json").write_text(json.dumps(images))


def write_csv(folder: Path) -> None:
    lines = [",".join((name, *(str(box[key]) for key in KEYS))) for name, own in BOXES.items() for box in own]
    (folder / "digitStruct.csv").write_text("\n".join((",".join(("filename", *KEYS)), *lines)))


def write_mat(folder: Path) -> None:
    """Write the official form: HDF5 of references; one digit's numbers stand for themselves."""
    h5py = pytest.importorskip("h5py", reason="digitStruct.mat needs h5py (pip install 'dacn[svhn]')")
    with h5py.File(folder / "digitStruct.mat", "w") as file:
        struct, references = file.create_group("digitStruct"), file.create_group("#refs#")
        tables = {key: struct.create_dataset(key, (len(BOXES), 1), h5py.ref_dtype) for key in ("name", "bbox")}
        for row, (name, own) in enumerate(BOXES.items()):
            codes = np.array([[ord(letter)] for letter in name], np.uint16)
            tables["name"][row, 0] = references.create_dataset(f"name{row}", data=codes).ref
            group = references.create_group(f"bbox{row}")
            for key in KEYS:
                values = [np.array([[float(box[key])]]) for box in own]
                if len(values) == 1:
                    group.create_dataset(key, data=values[0])
                else:
                    column = group.create_dataset(key, (len(values), 1), h5py.ref_dtype)
                    for index, value in enumerate(values):
                        column[index, 0] = references.create_dataset(f"{key}{row}{index}", data=value).ref
            tables["bbox"][row, 0] = group.ref


@pytest.mark.parametrize("write", [write_json, write_csv, write_mat])
def test_digits_are_cut_whatever_their_boxes_are_written_in(write: Any, full: Path, tmp_path: Path) -> None:
    write(full)
    result = run(tmp_path / "data", "--train", str(full))
    assert (result.exit_code, result.stdout) == (0, f"The crops are in {tmp_path / 'data/svhn_crops'}\n")
    domain = load_domain("svhn_crops", tmp_path / "data", 32)
    assert domain.labels is not None
    assert domain.labels.tolist() == [1, 0, 7]
    assert domain.classes == tuple("0123456789")
    with np.load(tmp_path / "data/svhn_crops/train.npz") as archive:
        assert archive["image_number"].tolist() == [0, 1, 1]
    corners = domain.images[:, :2, [0, -1], [0, -1]].tolist()  # column and row, top left and bottom right
    # squares of 20: columns 0 to 19 (moved in from -1), 0 to 19 (moved in from -6), 20 to 39 (moved in from 25)
    assert [image[0] for image in corners] == [[0, 19], [0, 19], [20, 39]]
    assert [image[1] for image in corners] == [[6, 25], [2, 21], [2, 21]]


def test_from_the_archive_and_train_then_test(full: Path, tmp_path: Path) -> None:
    write_json(full)
    with tarfile.open(tmp_path / "train.tar.gz", "w:gz") as archive:
        archive.add(full, "train")
    root = tmp_path / "data"
    assert run(root, "--train", str(tmp_path / "train.tar.gz")).exit_code == 0
    write_json(full, {"2.png": BOXES["2.png"]})
    assert run(root, "--test", str(full)).exit_code == 0
    assert len(load_domain("svhn_crops", root, 32, train=False)) == 2
    assert sorted(path.name for path in (root / "svhn_crops").iterdir()) == [
        *("test.json", "test.npz", "train.json", "train.npz"),
    ]
    result = run(root, "--train", str(full))
    assert (result.exit_code, "made with other settings (boxes" in result.stderr) == (2, True)


def test_a_square_larger_than_the_image_goes_on_as_it_ends(full: Path) -> None:
    image = cut(full, Box("1.png", 1, 5, 0, 38, 30))
    assert image.shape == (32, 32, 3)
    assert (image[0, :, 1] == 0).all()
    assert (image[-1, :, 1] == 29).all()


@pytest.mark.parametrize("left", [200, -50])
def test_a_box_outside_its_image(left: int, full: Path) -> None:
    with pytest.raises(DataError, match=r"1\.png: the box .* is not in this image of 40x30 pixels"):
        cut(full, Box("1.png", 1, left, 0, 10, 10))


def test_an_image_that_is_missing(full: Path, tmp_path: Path) -> None:
    write_json(full, BOXES | {"3.png": BOXES["1.png"]})
    assert "3.png: cannot be read" in run(tmp_path / "data", "--train", str(full)).stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "JSONDecodeError"),
        ('[{"filename": "1.png"}]', "KeyError"),
        ('[{"filename": "1.png", "boxes": [{"label": 1}]}]', "KeyError: 'left'"),
        ('[{"filename": "../1.png", "boxes": [{"label": 1}]}]', "does not lie beside it"),
        ("3", "TypeError"),
    ],
)
def test_boxes_of_another_form(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "digitStruct.json").write_text(text)
    with pytest.raises(DataError, match=rf"digitStruct\.json: cannot be read as boxes \(.*{why}"):
        list(read_boxes(tmp_path / "digitStruct.json"))


def test_without_h5py_the_command_that_installs_it(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (full / "digitStruct.mat").write_bytes(b"HDF")
    monkeypatch.setitem(sys.modules, "h5py", None)
    result = run(tmp_path / "data", "--train", str(full))
    assert result.exit_code == 2
    assert "digitStruct.mat: needs h5py: pip install h5py (or pip install 'dacn[svhn]')" in result.stderr


def test_nothing_given_and_nothing_there(tmp_path: Path) -> None:
    assert "give --train, --test or both" in run(tmp_path).stderr
    (tmp_path / "empty").mkdir()
    result = run(tmp_path, "--test", str(tmp_path / "empty"))
    assert (result.exit_code, "holds no digitStruct.mat or digitStruct.json" in result.stderr) == (2, True)
