import json
import shutil
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dacn.cli import main
from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.data.prepare import office31, pacs
from dacn.data.prepare.arrange import Layout
from dacn.data.prepare.office31 import CLASSES


def run(name: str, given: Path, root: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["data", "prepare", name, "--from", str(given), "--root", str(root), *more])


def save(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), colour).save(path)


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PACS in small: one image of each class and domain, as its archive lays them out."""
    small = Layout(pacs.LAYOUT.title, dict.fromkeys(pacs.LAYOUT.counts, 7), pacs.LAYOUT.classes, pacs.LAYOUT.source)
    monkeypatch.setattr(pacs, "LAYOUT", small)
    for index, domain in enumerate(small.counts):
        for label, name in enumerate(small.classes):
            save(tmp_path / "fetched/PACS/kfold" / domain / name / "pic_001.png", (index, label, 0))
    (tmp_path / "fetched/PACS/readme.txt").write_text("read me")
    return tmp_path / "fetched"


def test_pacs_from_a_folder(fetched: Path, tmp_path: Path) -> None:
    result = run("pacs", fetched, tmp_path / "data")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (
        0,
        f"PACS is in {tmp_path / 'data/pacs'}: 7 photo, 7 art_painting, 7 cartoon, 7 sketch",
    )
    pair = build_pair(DataConfig(pair="pacs_art_sketch", root=tmp_path / "data", image_size=8))
    assert pair.source.images[:, :2, 0, 0].tolist() == [[1, label] for label in range(7)]
    assert pair.target.images[:, :2, 0, 0].tolist() == [[3, label] for label in range(7)]
    assert len(json.loads((tmp_path / "data/pacs/manifest.json").read_text())["files"]) == 28
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["pacs"]


def test_pacs_from_an_archive(fetched: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "PACS.tar.gz", "w:gz") as archive:
        archive.add(fetched / "PACS", "PACS")
    assert run("pacs", tmp_path / "PACS.tar.gz", tmp_path / "data").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["pacs"]
    assert len([*(tmp_path / "data/pacs").rglob("*.png")]) == 28


def test_office31_drops_the_folder_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"amazon": 31, "dslr": 31, "webcam": 31}
    monkeypatch.setattr(office31, "LAYOUT", Layout("Office-31", counts, CLASSES, "there", ("images",)))
    for index, domain in enumerate(counts):
        for name in CLASSES:
            save(tmp_path / "fetched" / domain / "images" / name / "frame_0001.png", (index, 0, 0))
    assert run("office31", tmp_path / "fetched", tmp_path / "data").exit_code == 0
    assert (tmp_path / "data/office31/dslr/back_pack/frame_0001.png").is_file()
    pair = build_pair(DataConfig(pair="office31_webcam_dslr", root=tmp_path / "data", image_size=8))
    assert pair.classes == CLASSES
    assert (int(pair.source.images[0, 0, 0, 0]), int(pair.target.images[0, 0, 0, 0])) == (2, 1)


def test_the_true_layouts() -> None:
    assert sum(pacs.LAYOUT.counts.values()) == 9991
    assert sum(office31.LAYOUT.counts.values()) == 4110
    assert (len(CLASSES), list(CLASSES)) == (31, sorted(CLASSES))


def test_an_incomplete_set_is_not_copied_unless_asked_for(fetched: Path, tmp_path: Path) -> None:
    save(fetched / "PACS/kfold/photo/dog/more.png", (9, 9, 9))
    (fetched / "PACS/kfold/sketch/house/pic_001.png").unlink()
    result = run("pacs", fetched, tmp_path / "data")
    assert result.exit_code == 2
    assert "is not complete: photo has 8 of 7 images, sketch has 6 of 7 images; nothing was copied" in result.stderr
    assert not (tmp_path / "data/pacs").exists()
    assert run("pacs", fetched, tmp_path / "data", "--partial").exit_code == 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("kfold/cartoon", "no folder in it holds cartoon; expected PACS as fetched from"),
        ("kfold/cartoon/dog", "the domain cartoon of PACS lacks dog; nothing was copied"),
    ],
)
def test_a_folder_that_is_missing(path: str, message: str, fetched: Path, tmp_path: Path) -> None:
    shutil.rmtree(fetched / "PACS" / path)
    result = run("pacs", fetched, tmp_path / "data")
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_class_too_many(fetched: Path, tmp_path: Path) -> None:
    (fetched / "PACS/kfold/photo/dogs").mkdir()
    assert "the domain photo of PACS has dogs besides" in run("pacs", fetched, tmp_path / "data").stderr


def test_a_second_run_checks_every_file(fetched: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    run("pacs", fetched, root)
    again = run("pacs", fetched, root)
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (
        0,
        f"PACS is in {root / 'pacs'} already, every file as it was",
    )
    changed = root / "pacs/photo/dog/pic_001.png"
    content = changed.read_bytes()
    changed.write_bytes(b"changed")
    result = run("pacs", fetched, root)
    assert result.exit_code == 2
    assert f"{changed}: its SHA-256 is not that in manifest.json" in result.stderr
    assert changed.read_bytes() == b"changed"
    changed.unlink()
    assert f"{changed}: is missing; nothing was changed" in run("pacs", fetched, root).stderr
    assert run("pacs", fetched, root, "--force").exit_code == 0
    assert changed.read_bytes() == content


def test_a_folder_of_ones_own_is_left_alone(fetched: Path, tmp_path: Path) -> None:
    save(tmp_path / "data/pacs/photo/dog/mine.png", (0, 0, 0))
    result = run("pacs", fetched, tmp_path / "data")
    assert result.exit_code == 2
    assert "is there, but was not arranged here; move it away, or --force to replace it" in result.stderr
    assert (tmp_path / "data/pacs/photo/dog/mine.png").is_file()


def test_an_interrupted_copy_goes_on(fetched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, copied = shutil.copyfile, []

    def limited(source: Path, target: Path) -> None:
        if len(copied) == 10:
            raise KeyboardInterrupt
        copied.append(target)
        copy(source, target)

    monkeypatch.setattr("dacn.data.prepare.arrange.shutil.copyfile", limited)
    result = run("pacs", fetched, tmp_path / "data")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (130, "Stopped; the same command goes on from here.")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["pacs.partial"]
    save(tmp_path / "data/pacs.partial/photo/dog/stale.png", (0, 0, 0))
    monkeypatch.setattr("dacn.data.prepare.arrange.shutil.copyfile", lambda *paths: copied.append(copy(*paths)))
    assert run("pacs", fetched, tmp_path / "data").exit_code == 0
    assert len(copied) == 28
    assert len([*(tmp_path / "data/pacs").rglob("*.png")]) == 28
