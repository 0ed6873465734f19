"""Damaged and made-up recipes, arrays and images: each is read, or refused by a DacnError, and nothing else happens.

A hundred cases by default, 2,400 more with `-m slow`; always the same ones.
"""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.data.read.folder import folder
from dacn.data.read.npz import npz
from dacn.errors import DacnError
from dacn.recipe.recipe import Recipe, load_recipe
from dacn.run.build import build_algorithm

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))
QUIET: dict[str, Any] = {
    "deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck),
}  # fmt: skip
quick = settings(max_examples=20, **QUIET)
long = settings(max_examples=400, **QUIET)

numbers = st.one_of(
    st.sampled_from([0, -1, 1, True, False, 1e30, -1e30, 1e-30]),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 2**63, 10**400]),
    st.integers(), st.floats(),
)  # fmt: skip
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["acn", "bn", "mn", "auto", "../../x", "/etc/passwd", "\x00", "\x1b[2J", "$a$", "~", "null", "1e3"]
    ),
)
plain = st.one_of(st.none(), numbers, texts)
values = st.recursive(
    plain, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)), max_leaves=6
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a tree."""
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path] * bool(path) + [place for key, value in below for place in places(value, (*path, key))]


@st.composite
def nearly_recipes(draw: st.DrawFn) -> str:
    """A complete recipe of which a few values or keys were replaced."""
    recipe: Recipe = load_recipe(draw(st.sampled_from(RECIPES)))
    tree = yaml.safe_load(recipe.to_yaml())
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(places(tree)))
        level = tree
        for key in above:
            level = level[key]
        if isinstance(level, dict) and draw(st.integers(0, 4)) == 0:
            level[draw(texts)] = level.pop(last)
        else:
            level[last] = draw(values)
    text: str = yaml.safe_dump(tree, allow_unicode=draw(st.booleans()))
    return text


def assert_plain(error: DacnError, *named: str) -> None:
    """A message that names the file, and that a terminal shows as it is."""
    text = str(error)
    assert text.replace("\n", "").isprintable()
    assert all(name in text for name in named)


def read_recipe(content: bytes) -> None:
    """What `dacn train` does before it reads any data, and the network, if it is not too large for a test."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "r.yaml"
        path.write_bytes(content)
        try:
            recipe = load_recipe(path)
            assert load_recipe_again(recipe, path) == recipe
        except DacnError as error:
            assert_plain(error)
        assert sorted(file.name for file in Path(name).iterdir()) == ["r.yaml"]


def load_recipe_again(recipe: Recipe, path: Path) -> Recipe:
    path.write_text(recipe.to_yaml())
    return load_recipe(path)


recipes = st.one_of(
    nearly_recipes().map(str.encode), st.binary(max_size=200), values.map(lambda v: yaml.safe_dump(v).encode())
)


@quick
@given(recipes)
def test_recipes(content: bytes) -> None:
    read_recipe(content)


@pytest.mark.slow
@long
@given(recipes)
def test_many_recipes(content: bytes) -> None:
    read_recipe(content)


TREE = {
    "data": {"pair": "digits", "image_size": 8},
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "train": {"steps": 2, "source_batch": 2, "target_ratio": 1},
}


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    kind = draw(st.sampled_from(["u1", "i1", "i8", "u8", "f4", "f8", "c8", "?", "U3", "S3", "O", "M8[s]"]))
    shape = draw(st.lists(st.integers(0, 9), max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    array = rng.integers(0, 250, shape)
    if kind == "f4" and draw(st.booleans()):
        return np.full(shape, np.nan, "f4")
    if kind == "u8" and draw(st.booleans()):
        return np.full(shape, 2**64 - 1, "u8")
    if kind == "i8" and draw(st.booleans()):
        return np.full(shape, 2**60, "i8")
    with np.errstate(all="ignore"):
        return array.astype(kind)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """An archive of arrays of any kind under the names that count, then perhaps a few of its bytes changed."""
    count = draw(st.integers(1, 4))
    found: dict[str, Any] = {
        "images": np.zeros((count, 9, 9, 3), "u1"), "labels": np.arange(count) % 2, "classes": ["a", "b"],
    }  # fmt: skip
    for name in draw(st.lists(st.sampled_from(["images", "labels", "classes", "other", "../../x"]), max_size=2)):
        found[name] = draw(arrays())
    if draw(st.integers(0, 2)) == 0:
        extremes = st.sampled_from([0, 1, 2, 99_999, 2**31, 2**60, 2**63 - 1, -1])
        found.pop(draw(st.sampled_from(["classes", "other"])), None)
        found["labels"] = np.array(draw(st.lists(extremes, min_size=count, max_size=count)))
    if draw(st.integers(0, 3)) == 0:
        found["classes"] = np.array(draw(st.lists(texts, min_size=1, max_size=3)))
    for name in draw(st.lists(st.sampled_from(["images", "labels"]), max_size=1)):
        found.pop(name, None)
    buffer = io.BytesIO()
    np.savez(buffer, **found)
    return draw(damaged(buffer.getvalue()))


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    if draw(st.booleans()):
        return content
    changed = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.integers(0, len(changed)))]) if draw(st.booleans()) else bytes(changed)


def read_archive(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "set.npz"
        path.write_bytes(content)
        try:
            domain = npz(path, 8)
            spec = {"npz": str(path)}
            pair = build_pair(DataConfig(source=spec, target=spec, image_size=8))  # type: ignore[arg-type]
            assert len(pair.source) == len(domain)
            build_algorithm(Recipe.model_validate(TREE), pair)
        except DacnError as error:
            assert_plain(error, "set")
        assert sorted(file.name for file in Path(name).iterdir()) == ["set.npz"]


some_archives = st.one_of(archives(), st.binary(max_size=100))


@quick
@given(some_archives)
def test_archives(content: bytes) -> None:
    read_archive(content)


@pytest.mark.slow
@long
@given(some_archives)
def test_many_archives(content: bytes) -> None:
    read_archive(content)


def picture(kind: str, mode: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 4), dtype=np.uint8)
    Image.fromarray(pixels, "RGBA").convert(mode).save(buffer, kind)
    return buffer.getvalue()


KINDS = [("PNG", "RGB"), ("PNG", "P"), ("PNG", "LA"), ("PNG", "1"), ("TIFF", "I"), ("JPEG", "RGB"), ("JPEG", "CMYK")]
KINDS += [("GIF", "P"), ("BMP", "RGB"), ("TIFF", "RGB"), ("TIFF", "F"), ("WEBP", "RGBA"), ("PPM", "RGB")]
SUFFIX = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "BMP": "bmp", "TIFF": "tif", "WEBP": "webp", "PPM": "ppm"}


def read_picture(kind: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "set" / "cat" / f"x.{SUFFIX[kind]}"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        try:
            domain = folder(path.parents[1], 8)
            assert domain.images.shape == (1, 3, 8, 8)
        except DacnError as error:
            assert_plain(error, path.name)


pictures = st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind[0]), damaged(picture(*kind))))


@pytest.mark.filterwarnings("ignore")  # Pillow's remarks on damaged files
@quick
@given(pictures)
def test_pictures(case: tuple[str, bytes]) -> None:
    read_picture(*case)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@settings(long, max_examples=1600)
@given(pictures)
def test_many_pictures(case: tuple[str, bytes]) -> None:
    read_picture(*case)
