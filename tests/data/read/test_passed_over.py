from pathlib import Path

from dacn.data.read.passed_over import MOST_LINES, PassedOver, Tally, describe_passed_over


def test_files_are_counted_by_cause_suffix_and_folder() -> None:
    tally = Tally(Path("set"))
    for name in ("a/x.HEIC", "a/y.heic", "b/z.heic", "a/notes"):
        tally.add("unknown", Path("set", name))
    tally.add("dangling", Path("set/q.png"), "q.png -> gone")
    assert tally.result() == (
        PassedOver("unknown", "", "a", 1, "notes"),
        PassedOver("unknown", ".heic", "a", 2, "x.HEIC"),
        PassedOver("unknown", ".heic", "b", 1, "z.heic"),
        PassedOver("dangling", ".png", ".", 1, "q.png -> gone"),
    )


def test_words_name_some_folders_and_count_the_rest() -> None:
    parts = [PassedOver("dangling", ".jpg", f"class{index}", 1000, "x.jpg -> y") for index in range(9)]
    told = describe_passed_over("photos", parts)
    assert told is not None
    assert told.splitlines() == [
        "photos: 9,000 files are not read:",
        "  9,000 .jpg in class0, class1, class2 and 6 more folders: links to nothing (x.jpg -> y)",
    ]


def test_many_suffixes_are_cut_short() -> None:
    told = describe_passed_over("photos", [PassedOver("unknown", f".{index}", ".", 2, "x") for index in range(100)])
    assert told is not None
    assert len(told.splitlines()) == MOST_LINES + 2
    assert told.endswith(f"  and {2 * (100 - MOST_LINES)} more")


def test_names_cannot_steer_a_terminal() -> None:
    told = describe_passed_over("photos", [PassedOver("unknown", ".\x1b[2J", "a\udcff", 1, "x\r")])
    assert told is not None
    assert told.replace("\n", "").isprintable()


def test_nothing_is_nothing_to_tell() -> None:
    assert describe_passed_over("photos", []) is None
