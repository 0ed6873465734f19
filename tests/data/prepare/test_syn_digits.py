import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dacn.cli import main
from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.data.prepare.syn_digits import draw, font_files, syn_digits
from dacn.errors import DataError

FONTS = font_files()


def test_the_command(tmp_path: Path) -> None:
    arguments = ["data", "prepare", "syn_digits", "--root", str(tmp_path), "--limit", "20"]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (0, f"The synthetic digits are in {tmp_path / 'syn_digits'}\n")
    pair = build_pair(
        DataConfig(source={"npz": tmp_path / "syn_digits/train.npz"}, target={"npz": tmp_path / "syn_digits/test.npz"})
    )
    assert pair.source.images.shape == (20, 3, 32, 32)
    assert pair.source.labels is not None
    assert pair.source.labels.tolist() == [*range(10)] * 2
    assert pair.classes == tuple("0123456789")
    assert not (pair.source.images == pair.target.images).flatten(1).all(1).any()


def test_the_seed_decides(tmp_path: Path) -> None:
    images = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        syn_digits(tmp_path / name, seed=seed, limit=5)
        with np.load(tmp_path / name / "syn_digits/train.npz") as archive:
            images.append(archive["images"])
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_a_digit_stands_out_from_its_ground() -> None:
    """Ink and ground differ by 70 grey levels; blur, noise and clutter leave most of that."""
    for seed in range(30):
        image = Image.fromarray(draw(FONTS, seed % 10, np.random.default_rng(seed))).convert("L")
        low, high = np.percentile(np.asarray(image, dtype=float), [5, 95])
        assert high - low > 30


def test_the_label_is_in_the_middle_whatever_stands_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of many drawings of 1, less that of many of 0, is bright in the middle column and dark beside it."""
    from dacn.data.prepare import syn_digits as module

    ones, zeros = (
        np.mean([np.asarray(module._text(FONTS[0], digit, np.random.default_rng(i)), float) for i in range(80)], axis=0)
        for digit in (1, 0)
    )
    difference = (ones - zeros)[24:40]
    assert difference[:, 30:34].mean() > 40
    assert difference[:, 18:24].mean() < -20
    assert difference[:, 40:46].mean() < -20


def test_fonts_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "fonts/deep").mkdir(parents=True)
    shutil.copy(FONTS[0], tmp_path / "fonts/deep/mine.ttf")
    assert font_files([tmp_path / "fonts"])[-1] == tmp_path / "fonts/deep/mine.ttf"
    assert font_files([FONTS[1]])[-1] == FONTS[1]
    with pytest.raises(DataError, match=r"--fonts .*nowhere: no \.ttf or \.otf file there"):
        font_files([tmp_path / "nowhere"])
    (tmp_path / "bad.ttf").write_text("no font")
    with pytest.raises(DataError, match=r"bad\.ttf: no font that can be read"):
        font_files([tmp_path / "bad.ttf"])


def test_other_fonts_are_other_settings(tmp_path: Path) -> None:
    syn_digits(tmp_path, limit=3)
    with pytest.raises(DataError, match=r"made with other settings .fonts "):
        syn_digits(tmp_path, [FONTS[0]], limit=3)
