from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dacn.data.read.folder import folder
from dacn.errors import DataError

PACS = Path(__file__).parents[3] / "../shared/data/pacs64"


def save(path: Path, colour: object = "red", size: tuple[int, int] = (20, 20), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)  # type: ignore[arg-type]
    return path


def test_sub_folders_are_classes_sorted_by_name(tmp_path: Path) -> None:
    save(tmp_path / "photos/dog/b.png", "blue")
    save(tmp_path / "photos/dog/a.png", "lime")
    save(tmp_path / "photos/cat/z.png", "red")
    domain = folder(tmp_path / "photos", 16)
    assert domain.name == "photos"
    assert domain.classes == ("cat", "dog")
    assert domain.labels is not None
    assert domain.labels.tolist() == [0, 1, 1]
    assert domain.images[:, :, 0, 0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def test_a_flat_folder_is_unlabelled(tmp_path: Path) -> None:
    save(tmp_path / "b.PNG", 9, mode="L")
    save(tmp_path / "a.jpg", (200, 200, 200))
    domain = folder(tmp_path, 16)
    assert domain.labels is None
    assert domain.classes is None
    assert domain.images[:, :, 0, 0].tolist() == [[200] * 3, [9] * 3]


def test_images_may_lie_deeper(tmp_path: Path) -> None:
    save(tmp_path / "cat/2024/may/a.png")
    assert len(folder(tmp_path, 16)) == 1


def test_what_is_passed_over_is_counted_and_told(tmp_path: Path) -> None:
    save(tmp_path / "cat/a.png")
    (tmp_path / "cat/.a.png").write_bytes(b"no image")
    (tmp_path / "cat/.cache").mkdir()
    (tmp_path / "cat/.cache/b.png").write_bytes(b"no image")
    (tmp_path / "cat/notes.txt").write_text("no image")
    (tmp_path / "labels.csv").write_text("a,b")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX/._a.png").write_bytes(b"no image")
    domain = folder(tmp_path, 16)
    assert (domain.classes, len(domain)) == (("cat",), 1)
    assert {(part.cause, part.suffix, part.folder, part.count) for part in domain.passed_over} == {
        ("unknown", ".csv", ".", 1),
        ("unknown", ".txt", "cat", 1),
        ("hidden", ".png", "cat", 1),
        ("hidden", ".png", "cat/.cache", 1),
        ("cache", ".png", "__MACOSX", 1),
    }
    (note,) = domain.notes
    assert note.startswith(
        f"{tmp_path}: 5 files are not read:\n  1 .csv in the folder itself: not an image that Pillow "
    )
    assert "\n  2 .png in cat and cat/.cache: hidden (.a.png)" in note.replace("cat, cat", "cat and cat")


def test_images_without_labels_may_lie_in_folders(tmp_path: Path) -> None:
    for name in ("2024/may/b.png", "2023/a.png", "c.png"):
        save(tmp_path / name)
    domain = folder(tmp_path, 16, labels=False)
    assert (len(domain), domain.labels, domain.classes) == (3, None, None)
    with pytest.raises(DataError, match="`labels: false` reads all of them as unlabelled"):
        folder(tmp_path, 16)


def test_two_unicode_forms_are_one_class(tmp_path: Path) -> None:
    save(tmp_path / "caf\u00e9/a.png")
    save(tmp_path / "cafe\u0301/b.png")
    save(tmp_path / "dog/c.png")
    if len({path.name for path in tmp_path.iterdir()}) < 3:
        pytest.skip("this file system has one name for both forms")
    domain = folder(tmp_path, 16)
    assert domain.classes == ("caf\u00e9", "dog")
    assert domain.labels is not None
    assert domain.labels.tolist() == [0, 0, 1]
    assert domain.notes == (
        f"{tmp_path}: the class folders 'caf\u00e9' differ in Unicode form alone and are one class",
    )


def test_orientation_of_the_camera_is_applied(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255  # upper half white
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    image = folder(tmp_path, 16).images[0]
    assert torch.equal(image[0, :, 8:], torch.full((16, 8), 255, dtype=torch.uint8))
    assert (image[0, :, :8] == 0).all()


def test_a_large_jpeg_shrinks_to_the_same_picture(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 800).astype(np.uint8), (600, 1))
    Image.fromarray(ramp).save(tmp_path / "a.jpg", quality=95)
    image = folder(tmp_path, 16).images[0, 0].float()
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.tensor(ramp[None, :, 100:700]).float(), 16)[0]
    assert (image - expected).abs().max() < 6


def test_pacs_sketches() -> None:
    if not PACS.is_dir():
        pytest.skip("PACS is not beside this checkout")
    domain = folder(PACS / "sketch", 32)
    assert len(domain) == 3929
    assert domain.classes == ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")


@pytest.mark.parametrize("damage", [b"", b"this is no image", None])
def test_a_damaged_image_is_named(tmp_path: Path, damage: bytes | None) -> None:
    save(tmp_path / "cat/a.png")
    bad = tmp_path / "cat/b.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(bad)
    bad.write_bytes(bad.read_bytes()[:1000] if damage is None else damage)
    with pytest.raises(DataError, match=r"1 image cannot be read; replace or remove:\n.*b\.jpg"):
        folder(tmp_path, 16)


def test_many_damaged_images_are_counted(tmp_path: Path) -> None:
    for index in range(7):
        (tmp_path / f"{index}.png").write_bytes(b"\x89PNG\r\n\x1a\nno chunks")
    with pytest.raises(DataError, match=r"(?s)7 images cannot be read.*0\.png.*4\.png.*and 2 more") as caught:
        folder(tmp_path, 16)
    assert "5.png" not in str(caught.value)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "bomb.png", size=(300, 300))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"bomb\.png: Image size \(90000 pixels\) exceeds limit"):
        folder(tmp_path, 16)


def test_missing_folder_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "sketches").mkdir()
    with pytest.raises(DataError, match=r"sketchs: no such folder; did you mean 'sketches'\?"):
        folder(tmp_path / "sketchs", 16)
    with pytest.raises(DataError, match=r"no such folder$"):
        folder(tmp_path / "far/away", 16)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png: is a file, not a folder"):
        folder(save(tmp_path / "a.png"), 16)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no images in this folder$"):
        folder(tmp_path, 16)
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"(?s)no images in this folder\n.*1 \.heic in the folder itself: not an image"):
        folder(tmp_path, 16)


def test_empty_class(tmp_path: Path) -> None:
    save(tmp_path / "cat/a.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataError, match=r"class folders without an image: dog; fill or remove them$"):
        folder(tmp_path, 16)
    (tmp_path / "dog/a.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"(?s)without an image: dog; fill or remove them\n.*1 \.heic in dog: not an "):
        folder(tmp_path, 16)


def test_images_beside_class_folders(tmp_path: Path) -> None:
    save(tmp_path / "cat/a.png")
    save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"has sub-folders \(cat\) and images beside them \(b\.png\)"):
        folder(tmp_path, 16)
