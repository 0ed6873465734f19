import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dacn.cli import main
from dacn.data.known.names import NAMED_PAIRS
from dacn.data.known.sets import CORRUPTIONS, SETS


def listed(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["data", "list", *arguments])
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_the_table_has_one_line_a_data_set_and_names_every_pair(tmp_path: Path) -> None:
    text = listed("--root", str(tmp_path))
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[1 : len(SETS) + 1]] == [*SETS]
    assert " ".join(lines[2].split()) == "mnist 10 60,000 + 10,000 28x28 grey no data.download: true"
    assert f"\n{len(NAMED_PAIRS) + 1} pairs" in text
    words = text.replace(",", " ").split()
    assert {name for name, pair in NAMED_PAIRS.items() if not pair.target.endswith(tuple("12345"))} <= {*words}
    assert {"pacs_photo", "cifar100_coarse", "svhn_crops"} <= {*words}
    assert text.count("cifar10_<corruption>_<1 to 5>") == 2
    assert {*CORRUPTIONS} <= {*words}


def test_what_is_there_is_told_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "usps.bz2").touch()
    assert not json.loads(listed("usps", "--json", "--root", str(tmp_path)))["present"]
    (tmp_path / "usps.t.bz2").touch()
    entries = {entry["name"]: entry for entry in json.loads(listed("--json", "--root", str(tmp_path)))}
    assert {name for name, entry in entries.items() if entry["present"]} == {"digits", "usps"}


def test_one_data_set_with_all_that_is_known(tmp_path: Path) -> None:
    text = listed("pacs", "--root", str(tmp_path))
    for part in ("1,670 photo", "licence", "arXiv 1710.03077", "pacs_photo_sketch", "mirrored  keeps its class"):
        assert part in text
    entry = json.loads(listed("pacs", "--json", "--root", str(tmp_path)))
    assert len(entry["pairs"]) == 12
    assert sum(entry["images"].values()) == 9991
    assert {"title", "classes", "licence", "source", "citation", "get"} <= entry.keys()


def test_an_unknown_name() -> None:
    result = CliRunner().invoke(main, ["data", "list", "pcas"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: dacn data list: no data set 'pcas'; did you mean 'pacs'?\n"


@pytest.mark.parametrize("name", SETS)
def test_nothing_is_left_blank(name: str) -> None:
    entry = json.loads(listed(name, "--json"))
    assert all(entry[key] for key in ("title", "what", "classes", "images", "pixels", "licence", "source", "citation"))


@pytest.mark.parametrize("command", ["list", "prepare"])
def test_every_command_of_the_group_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(main, ["data", command, "--help"])
    assert result.exit_code == 0
    assert f"Example:\n    dacn data {command}" in result.stdout
