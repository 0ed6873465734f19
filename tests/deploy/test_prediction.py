"""Tables of predictions."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dacn
from dacn.data.known.digits import digits
from dacn.deploy.loading import load_run
from dacn.deploy.network import Network
from dacn.deploy.prediction import COLUMNS, predict_run
from dacn.errors import DacnError, DataError, RunError
from tests import made_up
from tests.trained import a_run

COUNT = 17  # images; the run's batches have 7


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_run(tmp_path_factory.mktemp("run") / "tiny")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Real target images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    test = digits(16).target_test
    assert test is not None
    for index, image in enumerate(test.images[:COUNT]):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index:02}.png")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_the_table_holds_the_network_s_three_best(run: Path, photos: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    result = predict_run(
        run, photos, out=tmp_path / "new/p.csv", device="cpu", progress=lambda done, total: told.append((done, total))
    )
    network, test = load_run(run, device="cpu"), digits(16).target_test
    assert test is not None
    expected = network.predict(test.images[:COUNT], "target").numpy()
    table = rows(tmp_path / "new/p.csv")
    assert list(table[0]) == list(COLUMNS)
    for index, (row, probabilities) in enumerate(zip(table, expected, strict=True)):
        best = np.argsort(-probabilities, kind="stable")[:3]
        assert row["path"] == str(photos / f"{index:02}.png")
        assert [row["class"], row["class_2"], row["class_3"]] == [str(k) for k in best]
        written = [float(row[name]) for name in ("confidence", "confidence_2", "confidence_3")]
        assert written == pytest.approx(probabilities[best].tolist(), abs=1e-6)
        assert row["problem"] == ""
    assert told == [(7, COUNT), (14, COUNT), (COUNT, COUNT)]
    assert {key: result[key] for key in ("context", "checkpoint", "step", "images", "unreadable")} == {
        "context": "target", "checkpoint": "selected", "step": 12, "images": COUNT, "unreadable": 0
    }  # fmt: skip
    assert result["classes"] == {str(k): [row["class"] for row in table].count(str(k)) for k in range(10)}
    assert result["mean_confidence"] == pytest.approx(expected.max(axis=1).mean(), abs=1e-5)


def test_rows_are_returned_where_no_table_is_asked_for(run: Path, photos: Path) -> None:
    known, unknown = (dacn.predict_run(run, photos, context=name, device="cpu") for name in ("target", "unknown"))
    assert [row["path"] for row in known["predictions"]] == [str(photos / f"{index:02}.png") for index in range(COUNT)]
    assert known["predictions"] != unknown["predictions"]
    assert "out" not in known


def test_no_more_than_a_batch_is_predicted_at_once(run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, plain = [], Network.predict

    def counted(self: Network, images: Any, context: Any = None) -> Any:
        sizes.append(len(images))
        return plain(self, images, context)

    monkeypatch.setattr(Network, "predict", counted)
    predict_run(run, photos, device="cpu")
    predict_run(run, photos, device="cpu", batch_size=10)
    assert sizes == [7, 7, 3, 10, 7]


def test_two_classes_leave_the_third_empty_and_an_archive_is_read(tmp_path: Path) -> None:
    pair = made_up.pair()
    run = a_run(tmp_path / "run", pair=pair)
    np.savez(tmp_path / "set.npz", images=pair.target.images[:3].permute(0, 2, 3, 1).numpy())
    predict_run(run, tmp_path / "set.npz", out=tmp_path / "p.csv", device="cpu")
    table = rows(tmp_path / "p.csv")
    assert [row["path"] for row in table] == [f"{tmp_path}/set.npz[{index}]" for index in range(3)]
    assert {row["class"] for row in table} <= {"class0", "class1"}
    assert all(row["class_2"] and not row["class_3"] and not row["confidence_3"] for row in table)


def spoil(photos: Path, *indices: int) -> None:
    for index in indices:
        (photos / f"{index:02}.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")


def test_bad_images_are_all_named_and_nothing_is_written(run: Path, photos: Path, tmp_path: Path) -> None:
    spoil(photos, 1, 16)
    (tmp_path / "p.csv").write_text("before")
    with pytest.raises(DataError) as error:
        predict_run(run, photos, out=tmp_path / "p.csv", device="cpu")
    lines = str(error.value).splitlines()
    assert lines[0] == "2 of 17 images cannot be read; replace or remove them, or --on-bad-image skip:"
    assert [line.split(": ")[0] for line in lines[1:]] == [f"  {photos}/01.png", f"  {photos}/16.png"]
    assert (tmp_path / "p.csv").read_text() == "before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["p.csv", "photos"]
    spoil(photos, *range(8))
    with pytest.raises(DataError, match=r"9 of 17 images(.*\n){6}  and 4 more"):
        predict_run(run, photos, device="cpu")


def test_bad_images_have_a_row_that_says_so(run: Path, photos: Path, tmp_path: Path) -> None:
    whole = predict_run(run, photos, device="cpu")["predictions"]
    spoil(photos, 1, 16)
    result = predict_run(run, photos, out=tmp_path / "p.csv", device="cpu", on_bad_image="skip")
    assert (result["images"], result["unreadable"], sum(result["classes"].values())) == (15, 2, 15)
    table = rows(tmp_path / "p.csv")
    for index, row in enumerate(table):
        if index in (1, 16):
            assert (row["path"], row["class"], row["confidence"]) == (str(photos / f"{index:02}.png"), "", "")
            assert row["problem"]
        else:
            assert (row["class"], row["problem"]) == (whole[index]["class"], "")
    spoil(photos, *range(COUNT))
    with pytest.raises(DataError, match="17 of 17 images cannot be read; replace or remove them:"):
        predict_run(run, photos, device="cpu", on_bad_image="skip")


def test_names_with_commas_quotes_and_bytes_that_are_no_text(run: Path, photos: Path, tmp_path: Path) -> None:
    names = ['a,"b".png', "ä\n.png"]
    try:
        (photos / "\udcff.png").write_bytes((photos / "00.png").read_bytes())
        names.append("\udcff.png")
    except OSError:  # a file system that refuses such a name
        pass
    for name in names:
        (photos / name).write_bytes((photos / "00.png").read_bytes())
    predict_run(run, photos, out=tmp_path / "p.csv", device="cpu")
    assert {str(photos / name) for name in names} <= {row["path"] for row in rows(tmp_path / "p.csv")}


def test_mistakes_are_told_before_any_work(run: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DacnError, match=f"--out {tmp_path}: is a folder"):
        predict_run(run, photos, out=tmp_path)
    with pytest.raises(DacnError, match=r"--context tarket: .* did you mean 'target'"):
        predict_run(run, photos, context="tarket", device="cpu")


def test_too_little_memory_is_said(run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Network, "predict", predict)
    with pytest.raises(RunError, match="out of memory; lower --batch-size"):
        predict_run(run, photos, device="cpu")
