"""A run on 12-bit images, from training to the exported file: one range, found once and kept."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from dacn.cli import main
from dacn.deploy.loading import load_run
from tests.deep_images import RAMP, write_png, write_tiff
from tests.trained import a_run


def dacn(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve-bit images, whose class ``b`` is darker, and a run trained on them."""
    folder = tmp_path_factory.mktemp("deep")
    for part in ("source", "target", "test"):
        for divisor, name in ((1, "a"), (3, "b")):
            (folder / part / name).mkdir(parents=True)
            for index in range(4):
                write_png(folder / part / name / f"{index}.png", np.roll(RAMP, index, axis=1) // divisor)
    (folder / "deep.yaml").write_text(
        f"data: {{source: {{folder: {folder}/source}}, target: {{folder: {folder}/target}}, target_test: "
        f"{{folder: {folder}/test}}, image_size: 16}}\nmodel: {{backbone: {{name: small_cnn, width: 4}}}}\n"
        "train: {steps: 2, source_batch: 4, target_ratio: 1}\nevaluate: {every: 2}\n"
    )
    result = dacn("train", folder / "deep.yaml", "--out", folder / "run", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "16-bit values from 0 to 4080, read as 0 to 4095 (found over all" in " ".join(result.output.split())
    return folder


def predicted(work: Path, *arguments: object) -> tuple[dict[str, Any], str]:
    result = dacn("predict", work / "run", *arguments, "--json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    values: dict[str, Any] = json.loads(result.stdout)
    return values, result.stderr


def test_predict_reads_new_images_by_the_range_of_training(work: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "dim.png", RAMP // 16)  # by itself it would be read as 0 to 255
    expected = np.rint((RAMP // 16).astype(float) * 255 / 4095).astype(np.uint8)
    images = torch.from_numpy(expected).expand(1, 3, 16, 16)
    network = load_run(work / "run", device="cpu")
    result, _ = predicted(work, tmp_path)
    assert result["range"] == [0, 4095]
    (row,) = result["predictions"]
    assert row["confidence"] == pytest.approx(float(network.predict(images).max()), abs=1e-5)
    with Image.open(tmp_path / "dim.png") as image:
        assert torch.equal(network.predict([image]), network.predict(images))


def test_predict_says_what_goes_beyond_it(work: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", RAMP * 16)
    result, told = predicted(work, tmp_path)
    assert "from 0 to 65280, read as 0 to 4095" in told
    assert f"1 of them go beyond it and are clipped, for example {tmp_path / 'a.png'}" in result["notes"][0]
    result, told = predicted(work, tmp_path, "--range", 0, 65535)
    assert (result["range"], "clipped" in told) == ([0, 65535], False)
    write_tiff(tmp_path / "b.tif", RAMP.astype("<f4"))
    failed = dacn("predict", work / "run", tmp_path, "--json", "--device", "cpu")
    assert failed.exit_code == 2
    assert f"{tmp_path / 'b.tif'}: 32-bit float values from 0 to 4080, whose range nobody knows" in failed.stderr
    failed = dacn("predict", work / "run", tmp_path, "--range", 9, 9)
    assert (failed.exit_code, "--range 9 9: expected LOW below HIGH" in failed.stderr) == (2, True)


def test_a_run_on_8_bits_refuses_more_until_it_is_told(tmp_path: Path) -> None:
    a_run(tmp_path / "run")
    write_png(tmp_path / "a.png", RAMP)
    failed = dacn("predict", tmp_path / "run", tmp_path / "a.png", "--json", "--device", "cpu")
    assert (failed.exit_code, "whose range nobody knows" in failed.stderr) == (2, True)
    result, _ = predicted(tmp_path, tmp_path / "a.png", "--range", 0, 4095)
    assert (result["images"], result["range"]) == (1, [0, 4095])


def test_evaluate_does_not_read_other_values_by_another_range(work: Path, tmp_path: Path) -> None:
    assert dacn("evaluate", work / "run", "--device", "cpu").exit_code == 0
    for part in ("source", "target", "test"):
        shutil.copytree(work / part, tmp_path / part)
    shutil.copytree(work / "run", tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(str(work), str(tmp_path)))
    write_png(tmp_path / "test" / "a" / "bright.png", RAMP * 16)
    result = dacn("evaluate", tmp_path / "run", "--device", "cpu", "--other-data")
    assert result.exit_code == 2
    assert "was trained on values read as 0 to 4095, and those of the data are read as 0 to 65535 now" in result.stderr


def test_the_exported_file_and_its_code_do_what_predict_does(work: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs pip install 'dacn[export]'")
    pytest.importorskip("onnxscript", reason="needs pip install 'dacn[export]'")
    turned = Image.Exif()
    turned[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (60, 40, 4), np.uint8)
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(noise[..., :3]).save(photos / "phone.jpg", exif=turned)
    Image.fromarray(noise).save(photos / "see_through.png")
    Image.fromarray(RAMP).save(photos / "deep.png", exif=turned)
    assert dacn("export", work / "run", "--out", tmp_path / "m.onnx").exit_code == 0
    facts = json.loads((tmp_path / "m.onnx.json").read_text())
    assert facts["range"] == [0, 4095]
    code: dict[str, Any] = {}
    exec(facts["preparation_code"], code)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    result, _ = predicted(work, photos)
    assert len(result["predictions"]) == 3
    for row in result["predictions"]:
        probabilities = session.run(None, {"images": code["prepare"](row["path"])})[0][0]
        assert facts["classes"][probabilities.argmax()] == row["class"]
        assert probabilities.max() == pytest.approx(row["confidence"], abs=1e-4)
