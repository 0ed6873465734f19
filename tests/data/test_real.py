"""The real images beside this checkout: every pair they allow is read whole, then trained two steps on a few of it.

They are not the project's to give away, so these tests skip where they are absent.
"""

import functools
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from dacn.cli import main
from dacn.data.domain import Domain, DomainPair
from dacn.data.known import catalogue
from dacn.data.known.catalogue import load_domain
from dacn.data.known.names import CIFAR10_CLASSES, NAMED_PAIRS
from dacn.data.known.sets import SETS
from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.data.prepare import mnist_m, pacs
from dacn.recipe.recipe import load_recipe, parse_recipe
from dacn.run.run import train_recipe

SHARED = Path(__file__).parents[2] / "../shared/data"
RECIPES = Path(__file__).parents[2] / "recipes"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the real images are not beside this checkout")
ROUND = ("pacs_photo_sketch", "pacs_sketch_cartoon", "pacs_cartoon_art", "pacs_art_photo")
"""Each domain once as source and once as target; the other eight pairs are slow tests."""

PACS_PAIRS = [
    pytest.param(name, marks=() if name in ROUND else pytest.mark.slow)
    for name in NAMED_PAIRS
    if name.startswith("pacs_")
]


@pytest.fixture(scope="module", autouse=True)
def _read_once() -> Iterator[None]:
    """Several pairs share a domain."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("torchvision_set", "find_folder"):
            patch.setattr(catalogue, name, functools.cache(getattr(catalogue, name)))
        yield


def few(domain: Domain | None, count: int = 64) -> Any:
    if domain is None:
        return None
    rows = torch.randperm(len(domain), generator=torch.Generator().manual_seed(0))[:count]
    return domain.rows(rows)


def train_two_steps(pair: DomainPair, out: Path, size: int = 32) -> dict[str, Any]:
    recipe = parse_recipe(
        {
            "data": {"pair": "digits", "image_size": size},
            "algorithm": "adamatch",
            "model": {"backbone": {"name": "small_cnn", "width": 8}, "norm": "acn"},
            "train": {"steps": 2, "source_batch": 8, "target_ratio": 2},
            "evaluate": {"every": 2},
        },
        "real",
    )
    parts = ("source", "target", "source_test", "target_test")
    small = replace(pair, **{part: few(getattr(pair, part)) for part in parts})
    summary: dict[str, Any] = train_recipe(recipe, out=out, device="cpu", pair=small)
    assert summary["steps"] == 2
    assert summary["target"]["last"] is not None
    return summary


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("mnist_usps", (60000, 7291)),
        pytest.param("usps_mnist", (7291, 60000), marks=pytest.mark.slow),
    ],
)
def test_mnist_and_usps(name: str, counts: tuple[int, int], tmp_path: Path) -> None:
    pair = build_pair(DataConfig(pair=name, root=SHARED))
    assert (len(pair.source), len(pair.target)) == counts
    train_two_steps(pair, tmp_path)


def test_mnist_m_is_built_and_trained_by_its_recipe(tmp_path: Path) -> None:
    arguments = ["--photos", str(SHARED / "bsds500_photos"), "--mnist", str(SHARED), "--root", str(tmp_path)]
    result = CliRunner().invoke(main, ["data", "prepare", "mnist_m", *arguments, "--limit", "200"])
    assert result.exit_code == 0
    (tmp_path / "MNIST").symlink_to((SHARED / "MNIST").resolve())
    pair = build_pair(load_recipe(RECIPES / "mnist_mnistm_acn.yaml", (f"data.root={tmp_path}",)).data)
    assert (len(pair.source), len(pair.target)) == (60000, 200)
    images = pair.target.images.float()
    assert (images.amax(1) - images.amin(1)).mean() > 10, "in colour"
    train_two_steps(pair, tmp_path / "run")


ORIGINAL = SHARED / "mnist_m_original_15000.npz"


@pytest.mark.skipif(not ORIGINAL.is_file(), reason="the published MNIST-M is not beside this checkout")
def test_mnist_m_is_made_as_the_published_one(tmp_path: Path) -> None:
    """Image i of the published set is made of MNIST's image i.

    Where its ground is plain, the patch is known and the image can be made again; elsewhere the moments agree.
    """
    count = 2000
    with np.load(ORIGINAL) as archive:
        published = archive["images"][:count]
    images = load_domain("mnist", SHARED, 32).images
    assert isinstance(images, Tensor)
    digits = images[:count].permute(0, 2, 3, 1).numpy()
    ink = digits[..., 0] > 0  # (N, 32, 32)
    plain = [row for row in range(count) if not np.ptp(published[row][~ink[row]], axis=0).any()]
    assert len(plain) > 2
    for row in plain:
        patch = np.broadcast_to(published[row][~ink[row]][0], (1, 32, 32, 3))
        assert np.array_equal(mnist_m.blend(patch, digits[row : row + 1])[0], published[row])
    mnist_m.mnist_m(tmp_path, SHARED / "bsds500_photos", SHARED, limit=count)
    with np.load(tmp_path / "mnist_m/train.npz") as archive:
        ours = archive["images"]
    for where in (ink, ~ink):
        for moment in (np.mean, np.std):
            assert np.abs(moment(ours[where], axis=0) - moment(published[where], axis=0)).max() < 6
    assert ours.std(axis=(1, 2)).mean() == pytest.approx(published.std(axis=(1, 2)).mean(), rel=0.05)


@pytest.fixture(scope="module")
def pacs_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("pacs")
    (root / "pacs").symlink_to((SHARED / "pacs64").resolve())
    return root


@pytest.mark.parametrize("name", PACS_PAIRS)
def test_pacs(name: str, pacs_root: Path, tmp_path: Path) -> None:
    pair = build_pair(DataConfig(pair=name, root=pacs_root, image_size=64))
    assert pair.classes == pacs.LAYOUT.classes
    for domain, part in ((pair.source, NAMED_PAIRS[name].source), (pair.target, NAMED_PAIRS[name].target)):
        assert len(domain) == SETS["pacs"].images[part.removeprefix("pacs_")]
    assert pair.flips
    train_two_steps(pair, tmp_path, size=64)


@pytest.mark.slow
def test_pacs_is_arranged_and_its_counts_hold(tmp_path: Path) -> None:
    arguments = ["--from", str(SHARED / "pacs64"), "--root", str(tmp_path)]
    result = CliRunner().invoke(main, ["data", "prepare", "pacs", *arguments])
    assert result.exit_code == 0
    assert "1,670 photo, 2,048 art_painting, 2,344 cartoon, 3,929 sketch" in result.stdout


def test_svhn_crops_as_an_archive(tmp_path: Path) -> None:
    target = {"npz": SHARED / "svhn_554.npz"}
    pair = build_pair(DataConfig(pair="usps_mnist", root=SHARED, target=target, target_test=target))
    assert (len(pair.target), pair.classes) == (554, tuple("0123456789"))
    train_two_steps(pair, tmp_path)


def test_cifar10_as_class_folders_and_in_a_variant(tmp_path: Path) -> None:
    """The first few members of the archive alone: unpacking all of it takes long."""
    with tarfile.open(SHARED / "cifar10_jpg.tar.xz", "r:xz") as archive:
        kept = 0
        for member in archive:
            if member.isreg() and (content := archive.extractfile(member)) is not None:
                path = tmp_path / "some" / Path(member.name).name
                path.parent.mkdir(exist_ok=True)
                with path.open("wb") as file:
                    shutil.copyfileobj(content, file)
                kept += 1
            if kept == 40:
                break
    for index, path in enumerate(sorted((tmp_path / "some").iterdir())):
        place = tmp_path / "cifar10" / ("train" if index < 20 else "test") / CIFAR10_CLASSES[index % 10]
        place.mkdir(parents=True, exist_ok=True)
        path.rename(place / path.name)
    parts = {part: {"folder": tmp_path / "cifar10" / part} for part in ("train", "test")}
    arguments = ["--cifar10", str(tmp_path / "cifar10"), "--root", str(tmp_path), "--only", "fog_3"]
    assert CliRunner().invoke(main, ["data", "prepare", "cifar10_c", *arguments]).exit_code == 0
    foggy = {part: {"npz": tmp_path / f"cifar10_c/fog_3_{part}.npz"} for part in ("train", "test")}
    pair = build_pair(
        DataConfig(source=parts["train"], source_test=parts["test"], target=foggy["train"], target_test=foggy["test"])
    )
    assert pair.classes == CIFAR10_CLASSES
    assert (len(pair.source), len(pair.target)) == (20, 20)
    assert not np.array_equal(pair.source.images, pair.target.images)
    train_two_steps(pair, tmp_path / "run")
