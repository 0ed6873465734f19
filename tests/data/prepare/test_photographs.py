"""The benchmarks of photographs, arranged from tiny files in the layout that their authors publish."""

import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dacn.cli import main
from dacn.data.domain import DomainPair
from dacn.data.known.photograph_sets import DOMAINNET_IMAGES
from dacn.data.known.sets import SETS
from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.data.prepare import domainnet, image_clef, office_caltech10, office_home, visda2017

ALL = {
    "office_home": office_home,
    "visda2017": visda2017,
    "domainnet": domainnet,
    "office_caltech10": office_caltech10,
    "image_clef": image_clef,
}


def run(name: str, root: Path, *given: Path) -> Result:
    options = [text for path in given for text in ("--from", str(path))]
    return CliRunner().invoke(main, ["data", "prepare", name, *options, "--root", str(root)])


def save(path: Path, red: int, green: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), (red, green, 0)).save(path)


def shrink(monkeypatch: pytest.MonkeyPatch, module: ModuleType, count: int, **more: object) -> list[str]:
    """Let a data set have ``count`` images a domain; return the names of its domains."""
    layout = module.LAYOUT
    monkeypatch.setattr(module, "LAYOUT", replace(layout, counts=dict.fromkeys(layout.counts, count), **more))
    return [*layout.counts]


def pair_of(name: str, root: Path) -> DomainPair:
    return build_pair(DataConfig.model_validate({"pair": name, "root": root, "image_size": 8}))


def colours(images: object) -> list[list[int]]:
    return images[:, :2, 0, 0].tolist()  # type: ignore[index,no-any-return]


def test_office_home_from_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    domains = shrink(monkeypatch, office_home, 65)
    for index, domain in enumerate(domains):
        for label, name in enumerate(office_home.CLASSES):
            save(tmp_path / "OfficeHomeDataset_10072016" / domain / name / "00001.png", index, label)
    (tmp_path / "OfficeHomeDataset_10072016/ImageInfo.csv").write_text("1,2")
    with zipfile.ZipFile(tmp_path / "home.zip", "w") as archive:
        for file in sorted((tmp_path / "OfficeHomeDataset_10072016").rglob("*.*")):
            archive.write(file, file.relative_to(tmp_path))
    result = run("office_home", tmp_path / "data", tmp_path / "home.zip")
    assert result.exit_code == 0, result.output
    assert "Terms of Office-Home: non-commercial research" in result.stdout
    assert (tmp_path / "data/office_home/Real World/TV/00001.png").is_file()
    pair = pair_of("office_home_art_real", tmp_path / "data")
    assert pair.classes == office_home.CLASSES
    assert (colours(pair.source.images)[3], colours(pair.target.images)[64]) == ([0, 3], [3, 64])
    assert pair.flips
    assert not pair.class_mean


def test_office_home_may_call_its_photographs_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for domain in shrink(monkeypatch, office_home, 1, classes=("TV",)):
        save(tmp_path / "fetched" / domain.replace(" ", "_") / "TV/1.jpg", 1, 1)
    assert run("office_home", tmp_path / "data", tmp_path / "fetched").exit_code == 0
    assert (tmp_path / "data/office_home/Real World/TV/1.jpg").is_file()


def test_visda_from_its_two_archives_reports_the_mean_over_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, domain in enumerate(shrink(monkeypatch, visda2017, 12)):
        for label, name in enumerate(visda2017.CLASSES):  # one of them is called train, as a domain is
            save(tmp_path / domain / name / "1.jpg", 100 * index, 8 * label)
        (tmp_path / domain / "image_list.txt").write_text("train/bus/1.jpg 2")
        with tarfile.open(tmp_path / f"{domain}.tar", "w") as archive:
            archive.add(tmp_path / domain, domain)
    result = run("visda2017", tmp_path / "data", tmp_path / "train.tar", tmp_path / "validation.tar")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1].endswith(": 12 train, 12 validation")
    pair = pair_of("visda2017", tmp_path / "data")
    assert (pair.source.name, pair.target.name) == ("visda2017_synthetic", "visda2017_real")
    assert pair.class_mean
    assert pair.classes == visda2017.CLASSES
    half = run("visda2017", tmp_path / "other", tmp_path / "train.tar")
    assert half.exit_code == 2
    assert "no folder in it holds validation; expected VisDA-2017" in half.stderr


@pytest.fixture
def domainnet_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = ("zebra", "The_Mona_Lisa")  # their order in the lists is not that of the alphabet
    for index, domain in enumerate(shrink(monkeypatch, domainnet, 6, classes=2)):
        lines: dict[str, list[str]] = {"train": [], "test": []}
        for label, name in enumerate(names):
            for number in range(3):
                place = f"{domain}/{name}/{domain}_{label}_{number}.png"
                save(tmp_path / "fetched" / place, 40 * index, 40 * label + number)
                lines["test" if number == 2 else "train"].append(f"{place} {label}")
        for part, text in lines.items():
            (tmp_path / "fetched" / f"{domain}_{part}.txt").write_text("\n".join(text) + "\n")
    return tmp_path / "fetched"


def test_domainnet_is_split_by_the_official_lists(tmp_path: Path, domainnet_files: Path) -> None:
    result = run("domainnet", tmp_path / "data", domainnet_files)
    assert result.exit_code == 0, result.output
    pair = pair_of("domainnet_clipart_sketch", tmp_path / "data")
    assert pair.classes == ("zebra", "The_Mona_Lisa")
    assert pair.source_test is not None
    assert pair.target_test is not None
    assert colours(pair.source.images) == [[0, 0], [0, 1], [0, 40], [0, 41]]
    assert colours(pair.source_test.images) == [[0, 2], [0, 42]]
    assert colours(pair.target_test.images) == [[200, 2], [200, 42]]
    assert pair.target_test.labels is not None
    assert pair.target_test.labels.tolist() == [0, 1]
    dataset = DataConfig.model_validate({"dataset": "domainnet_real", "root": tmp_path / "data", "image_size": 8})
    assert len(build_pair(dataset).target) == 4


def test_domainnet_from_an_archive_a_domain_and_a_folder_of_lists(tmp_path: Path, domainnet_files: Path) -> None:
    given = [tmp_path / "lists"]
    given[0].mkdir()
    for file in domainnet_files.glob("*.txt"):
        file.rename(given[0] / file.name)
    for domain in domainnet_files.iterdir():
        given.append(tmp_path / f"{domain.name}.zip")
        with zipfile.ZipFile(given[-1], "w") as archive:
            for file in domain.rglob("*.png"):
                archive.write(file, file.relative_to(domainnet_files))
    assert run("domainnet", tmp_path / "data", *given).exit_code == 0
    assert len(pair_of("domainnet_real_painting", tmp_path / "data").target) == 4
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["domainnet"]
    without = run("domainnet", tmp_path / "other", *given[1:])
    assert without.exit_code == 2
    assert "no file clipart_train.txt in it" in without.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no image"),
        ("clipart/zebra/1.png\n", "line 1: got 'clipart/zebra/1.png'; expected a path"),
        ("\n/etc/zebra/1.png 0\n", "line 2: got '/etc/zebra/1.png 0'"),
        ("../1.png 0", "line 1: got"),
        ("clipart/zebra/9.png 0", "1 of its 1 images are not there, for example"),
        ("clipart/zebra/clipart_0_0.png 0\nclipart/The_Mona_Lisa/clipart_1_0.png 0", "class 0 is both 'zebra' and"),
        ("clipart/zebra/clipart_0_0.png 0\nclipart/zebra/clipart_0_1.png 1", "two classes have images in the same"),
    ],
)
def test_a_list_that_does_not_hold_is_named(tmp_path: Path, domainnet_files: Path, text: str, message: str) -> None:
    domainnet_files.rename(tmp_path / "domainnet")
    (tmp_path / "domainnet/clipart_train.txt").write_text(text)
    with pytest.raises(Exception, match=r"clipart_train\.txt") as raised:
        pair_of("domainnet_clipart_sketch", tmp_path)
    assert message in str(raised.value)


def test_office_caltech_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index, domain in enumerate(shrink(monkeypatch, office_caltech10, 10)):
        for label, name in enumerate(office_caltech10.CLASSES):
            folder = "caltech10" if domain == "caltech" else domain
            save(tmp_path / "fetched" / folder / name / "frame_0001.png", index, label)
    assert run("office_caltech10", tmp_path / "data", tmp_path / "fetched").exit_code == 0
    assert colours(pair_of("office_caltech10_caltech_dslr", tmp_path / "data").source.images)[9] == [1, 9]


def test_image_clef_gets_its_classes_from_its_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index, domain in enumerate(shrink(monkeypatch, image_clef, 12)):
        lines = []
        for label in range(12):
            save(tmp_path / "image_CLEF" / domain / f"{label:03}.png", index, label)
            between = "some/" if domain == "c" else ""  # one list names a folder that is not there
            lines.append(f"{domain}/{between}{label:03}.png\t{label}")
        (tmp_path / "image_CLEF/list").mkdir(exist_ok=True)
        (tmp_path / f"image_CLEF/list/{domain}List.txt").write_text("\n".join(lines))
    result = run("image_clef", tmp_path / "data", tmp_path)
    assert result.exit_code == 0, result.output
    pair = pair_of("image_clef_caltech_pascal", tmp_path / "data")
    assert pair.classes == image_clef.CLASSES
    assert colours(pair.target.images) == [[2, label] for label in range(12)]
    (tmp_path / "image_CLEF/list/pList.txt").write_text("p/000.png 12")
    assert "lists class 12" in run("image_clef", tmp_path / "other", tmp_path / "image_CLEF").stderr


def test_the_true_numbers() -> None:
    """As the papers have them."""
    assert (sum(SETS["office_home"].images.values()), len(set(office_home.CLASSES))) == (15_588, 65)
    assert (sum(SETS["domainnet"].images.values()), len(DOMAINNET_IMAGES)) == (586_575, 6)
    assert (sum(SETS["office_caltech10"].images.values()), len(office_caltech10.CLASSES)) == (2_533, 10)
    assert (len(visda2017.CLASSES), len(image_clef.CLASSES)) == (12, 12)
    for name, module in ALL.items():
        assert module.LAYOUT.licence == SETS[name].licence
        assert sum(module.LAYOUT.counts.values()) == sum(SETS[name].images.values())
        expected = module.LAYOUT.classes
        assert SETS[name].classes == (expected if isinstance(expected, int) else len(expected))
        assert isinstance(expected, int) or list(expected) == sorted(expected)
