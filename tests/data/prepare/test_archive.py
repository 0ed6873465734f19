import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from dacn.data.prepare.archive import require_md5, unpacked
from dacn.errors import DataError


def tar(path: Path, *members: tuple[str, bytes, str]) -> Path:
    kinds = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE, "file": tarfile.REGTYPE}
    with tarfile.open(path, "w:gz") as archive:
        for name, content, kind in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size = kinds[kind], len(content) if kind == "file" else 0
            entry.linkname = content.decode() if kind in ("link", "hard") else ""
            archive.addfile(entry, io.BytesIO(content))
    return path


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_both_kinds_are_unpacked_for_the_time_being(tmp_path: Path) -> None:
    inside = {"set/photo/a.jpg": b"a", "set/b.txt": b"b"}
    place = tmp_path / "data"
    for path in (
        tar(tmp_path / "x.tar.gz", *((name, content, "file") for name, content in inside.items())),
        zipped(tmp_path / "x.zip", **inside),
    ):
        with unpacked(path, place) as folder:
            assert everything(folder) == inside
        assert not list(place.iterdir())
        assert path.exists()


def test_a_folder_is_itself_and_stays(tmp_path: Path) -> None:
    with unpacked(tmp_path, tmp_path / "data") as folder:
        assert folder == tmp_path
    assert tmp_path.is_dir()


EVIL = [
    ("../evil", b"x", "file", "leads out of its folder"),
    ("a/../../evil", b"x", "file", "leads out of its folder"),
    ("/tmp/evil", b"x", "file", "leads out of its folder"),
    ("..\\evil", b"x", "file", "leads out of its folder"),
    ("C:evil", b"x", "file", "leads out of its folder"),
    ("a", b"../outside", "link", "is a link or a device"),
    ("a", b"b", "link", "is a link or a device"),
    ("a", b"/etc/passwd", "hard", "is a link or a device"),
    ("a", b"", "fifo", "is a link or a device"),
]


@pytest.mark.parametrize(("name", "content", "kind", "why"), EVIL)
def test_a_tar_that_reaches_out_is_refused_before_anything_is_written(
    name: str, content: bytes, kind: str, why: str, tmp_path: Path
) -> None:
    place = tmp_path / "deep/data"
    path = tar(tmp_path / "x.tar", ("fine", b"x", "file"), (name, content, kind))
    with pytest.raises(DataError, match=f"x.tar: the member .* {why}; nothing was unpacked"), unpacked(path, place):
        pytest.fail("unpacked")
    assert everything(tmp_path).keys() == {"x.tar"}
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil"])
def test_a_zip_that_reaches_out_is_refused(name: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", **{"fine": b"x", name: b"x"})
    with pytest.raises(DataError, match="leads out of its folder"), unpacked(path, tmp_path / "data"):
        pytest.fail("unpacked")
    assert everything(tmp_path).keys() == {"x.zip"}


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or a device"), unpacked(tmp_path / "x.zip", tmp_path / "data"):
        pytest.fail("unpacked")


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dacn.data.prepare.archive.MOST_BYTES", 1000)
    for path in (zipped(tmp_path / "x.zip", a=bytes(1001)), tar(tmp_path / "x.tar", ("a", bytes(1001), "file"))):
        with pytest.raises(DataError, match="unpacks to 0 GiB; expected at most"), unpacked(path, tmp_path / "data"):
            pytest.fail("unpacked")
        assert everything(tmp_path / "data") == {}


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_a_damaged_archive_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    whole = zipped(tmp_path / name, a=b"x" * 5000) if name == "x.zip" else tar(tmp_path / name, ("a", b"x", "file"))
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle - 20 : middle + 20] = bytes(40)
    whole.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be unpacked|neither a folder nor"), unpacked(whole, tmp_path / "data"):
        pytest.fail("unpacked")
    assert everything(tmp_path).keys() == {name}


def test_no_archive(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>404</html>")
    with (
        pytest.raises(DataError, match=r"page\.html: neither a folder nor a \.zip or \.tar archive"),
        unpacked(tmp_path / "page.html", tmp_path / "data"),
    ):
        pytest.fail("unpacked")


def test_the_published_checksum(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    require_md5(tmp_path / "x", "900150983cd24fb0d6963f7d28e17f72")
    with pytest.raises(DataError, match=r"its MD5 is 9001.*, the published one 00: .* left as it is; fetch it again"):
        require_md5(tmp_path / "x", "00")
    assert (tmp_path / "x").read_bytes() == b"abc"
