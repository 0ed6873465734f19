"""Which files of a folder are images, and that every other one is counted."""

import os
from pathlib import Path

import pytest
from PIL import Image, features

from dacn.data.read.search import SUFFIXES, Search
from dacn.errors import DataError
from tests.permissions import without_permission


def save(path: Path, kind: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(path, kind)
    return path


def below(path: Path) -> list[str]:
    search = Search(path)
    found = [file.relative_to(path).as_posix() for file in search.images_below(path)]
    search.require_open()
    return found


def passed_over(path: Path) -> dict[str, tuple[str, int]]:
    """Cause and count by folder and suffix."""
    search = Search(path)
    search.images_below(path)
    return {f"{part.folder}/*{part.suffix}": (part.cause, part.count) for part in search.tally.result()}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("name", ["9f86d081", "a.dat", "a.jpg.1", "a.jpeg_large", "a.JFIF"])
def test_images_are_known_by_their_content(tmp_path: Path, kind: str, name: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    save(tmp_path / name, kind)
    assert below(tmp_path) == [name]
    with Image.open(tmp_path / name) as image:
        assert image.format == kind


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".webp", ".jp2", ".tga", ".pnm"])
def test_what_pillow_opens_by_name_is_an_image(suffix: str) -> None:
    assert suffix in SUFFIXES
    assert not {".h5", ".mpg", ".pdf", ".txt", ".svg", ""} & SUFFIXES


def test_other_files_are_counted_by_suffix_and_folder(tmp_path: Path) -> None:
    save(tmp_path / "a/0.png")
    for name in ("a/x.heic", "a/y.HEIC", "a/b/z.heic", "a/label.txt", "a/empty", "photo.NEF"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"" if name == "a/empty" else b"P3 of it is no image")
    save(tmp_path / "real.dng", "TIFF")  # a thumbnail, where a camera wrote it
    assert below(tmp_path) == ["a/0.png"]
    assert passed_over(tmp_path) == {
        "a/*.heic": ("unknown", 2),
        "a/b/*.heic": ("unknown", 1),
        "a/*.txt": ("unknown", 1),
        "a/*": ("unknown", 1),
        "./*.nef": ("unknown", 1),
        "./*.dng": ("unknown", 1),
    }


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("a/@eaDir/x.jpg/SYNOPHOTO_THUMB_XL.jpg", "a/@eaDir/*.jpg"),
        ("a/.thumbnails/normal/x.png", "a/.thumbnails/*.png"),
        ("__MACOSX/a/._x.jpg", "__MACOSX/*.jpg"),
        ("a/.AppleDouble/x.jpg", "a/.AppleDouble/*.jpg"),
        ("a/Thumbs.db", "a/*.db"),
        ("a/THUMBS.DB", "a/*.db"),
        ("a/.DS_Store", "a/*"),
        ("a/._0.png", "a/*.png"),
        ("$RECYCLE.BIN/x.png", "$RECYCLE.BIN/*.png"),
        ("#recycle/x.png", "#recycle/*.png"),
        (".@__thumb/s800x.jpg", ".@__thumb/*.jpg"),
    ],
)
def test_thumbnails_and_caches_are_counted(tmp_path: Path, name: str, where: str) -> None:
    save(tmp_path / "a/0.png")
    save(tmp_path / name)
    assert below(tmp_path) == ["a/0.png"]
    assert passed_over(tmp_path) == {where: ("cache", 1)}


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    save(tmp_path / "set/a/0.png")
    save(tmp_path / "elsewhere/1.png")
    save(tmp_path / "elsewhere/deep/2.png")
    (tmp_path / "set/a/more").symlink_to("../../elsewhere")
    (tmp_path / "set/again").symlink_to(tmp_path / "elsewhere/deep")
    assert below(tmp_path / "set") == ["a/0.png", "a/more/1.png", "again/2.png"]
    assert passed_over(tmp_path / "set") == {"a/more/*": ("repeated", 1)}  # its deep: each folder is entered once


def test_what_lies_here_comes_before_links_to_it(tmp_path: Path) -> None:
    save(tmp_path / "z/0.png")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/link").symlink_to("../z")
    assert below(tmp_path) == ["z/0.png"]
    assert passed_over(tmp_path) == {"a/*": ("repeated", 1)}


@pytest.mark.parametrize("target", [".", "..", "../..", "/"])
def test_links_that_lead_back_end_nowhere(tmp_path: Path, target: str) -> None:
    save(tmp_path / "set/a/0.png")
    save(tmp_path / "beside/1.png")
    (tmp_path / "set/a/loop").symlink_to(target)
    assert below(tmp_path / "set") == ["a/0.png"]
    assert passed_over(tmp_path / "set") == {"a/*": ("repeated", 1)}


def test_folders_that_link_to_each_other(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        save(tmp_path / name / "0.png")
        (tmp_path / name / "other").symlink_to(f"../{other}")
    assert below(tmp_path) == ["a/0.png", "b/0.png"]
    assert below(tmp_path / "a") == ["0.png", "other/0.png"]


def test_links_to_nothing_and_rings_are_counted(tmp_path: Path) -> None:
    save(tmp_path / "a/0.png")
    (tmp_path / "a/1.png").symlink_to("../gone/1.png")
    (tmp_path / "a/ring").symlink_to("ring")
    assert below(tmp_path) == ["a/0.png"]
    assert passed_over(tmp_path) == {"a/*.png": ("dangling", 1), "a/*": ("dangling", 1)}
    search = Search(tmp_path)
    search.images_below(tmp_path)
    assert "1.png -> ../gone/1.png" in [part.example for part in search.tally.result()]


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    save(tmp_path / "0.png")
    os.mkfifo(tmp_path / "1.png")
    os.mkfifo(tmp_path / "no_suffix")
    assert below(tmp_path) == ["0.png"]
    assert passed_over(tmp_path) == {"./*.png": ("special", 1), "./*": ("special", 1)}


@pytest.mark.parametrize("mode", [0o000, 0o200, 0o400, 0o100])
@pytest.mark.parametrize("closed", ["a/more", "a", "."])
def test_a_folder_without_permission_is_named(tmp_path: Path, closed: str, mode: int) -> None:
    root = tmp_path / "set"
    save(root / "a/more/0.png")
    save(root / "b/1.png")
    expected = rf"cannot be read: {root / closed} \(permission denied\); give yourself the permission"
    with without_permission(root / closed, mode=mode), pytest.raises(DataError, match=expected):
        below(root)


def test_all_closed_folders_are_named_at_once(tmp_path: Path) -> None:
    save(tmp_path / "a/0.png")
    save(tmp_path / "b/0.png")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    with without_permission(tmp_path / "a", tmp_path / "b"), pytest.raises(DataError, match=r"/a \(.*/b \("):
        below(tmp_path)


def test_a_closed_folder_above(tmp_path: Path) -> None:
    save(tmp_path / "above/set/0.png")
    with without_permission(tmp_path / "above"), pytest.raises(DataError, match=r"set: cannot be read \(permission"):
        below(tmp_path / "above/set")


def test_a_closed_cache_is_no_error(tmp_path: Path) -> None:
    save(tmp_path / "0.png")
    save(tmp_path / "lost+found/1.png")
    with without_permission(tmp_path / "lost+found"):
        assert below(tmp_path) == ["0.png"]
        assert passed_over(tmp_path) == {"./*": ("closed", 1)}
