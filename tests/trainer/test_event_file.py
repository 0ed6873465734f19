import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from dacn.trainer.event_file import EventFile


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def scalars(folder: Path, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in events(folder).Scalars(tag)}


def test_elements_of_a_vector_are_scalars_and_what_is_not_used_is_marked(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.log(50, {"loss": 0.75, "p_source": [0.25, 0.5]})
    file.log(100, {"loss": 0.25, "oracle/pseudo_label_accuracy": 88.0})
    file.close()
    tags = {"loss", "p_source/0", "p_source/1", "oracle, not used/pseudo_label_accuracy"}
    assert set(events(tmp_path).Tags()["scalars"]) == tags
    assert scalars(tmp_path, "loss") == {50: 0.75, 100: 0.25}
    assert scalars(tmp_path, "p_source/1") == {50: 0.5}
    assert scalars(tmp_path, "oracle, not used/pseudo_label_accuracy") == {100: 88.0}


def test_classes_have_their_names_and_accuracy_and_loss_come_first(tmp_path: Path) -> None:
    file = EventFile(tmp_path, classes=("cat", "dog"))
    values = {"kept": 0.5, "a_distance": 1.0, "contexts/apart/mean": 1.0, "ece/source": 3.0, "learning_rate": 0.1}
    file.log(1, {**values, "loss/source": 1.0, "loss": 2.0, "accuracy/target": 90.0, "p_source": [0.25, 0.75]})
    file.log(1, {"label_free/mutual_information": 1.0, "per_layer": [1.0, 2.0, 3.0]})
    file.close()
    tags = sorted(events(tmp_path).Tags()["scalars"])
    assert tags[:3] == ["accuracy/target", "loss", "loss/source"]
    assert {"p_source/cat", "p_source/dog", "training/kept", "per_layer/2"} <= {*tags}


def test_images_histograms_and_text(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.images("views", 1, torch.zeros(3, 4, 6, dtype=torch.uint8))
    file.histogram("context_0/mean", 1, torch.tensor([1.0, 2.0, math.nan], requires_grad=True))
    file.text("recipe", "seed: 0")
    file.close()
    accumulated = events(tmp_path)
    (image,), (histogram,) = accumulated.Images("views"), accumulated.Histograms("context_0/mean")
    assert (image.step, image.width, image.height) == (1, 6, 4)
    assert (histogram.histogram_value.num, histogram.histogram_value.sum) == (2, 3)
    assert b"seed: 0" in accumulated.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0]


def test_settings_and_final_numbers_make_no_second_run(tmp_path: Path) -> None:
    settings = {"optimizer.lr": 0.03, "train.compile": "auto", "augment.appearance": True, "data.root": None}
    file = EventFile(tmp_path)
    file.hyperparameters(7, settings, {"final/target": 91.0})
    file.close()
    assert len(list(tmp_path.iterdir())) == 1, "one event file and no folder"
    assert scalars(tmp_path, "final/target") == {7: 91.0}
    parts = events(tmp_path).summary_metadata
    told = HParamsPluginData.FromString(parts["_hparams_/session_start_info"].plugin_data.content).session_start_info
    assert told.hparams["optimizer.lr"].number_value == 0.03
    assert told.hparams["train.compile"].string_value == "auto"
    assert told.hparams["augment.appearance"].string_value == "true"
    assert told.hparams["data.root"].string_value == "null"
    experiment = HParamsPluginData.FromString(parts["_hparams_/experiment"].plugin_data.content).experiment
    assert [info.name.tag for info in experiment.metric_infos] == ["final/target"]


def test_charts_of_scalars_together(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.chart({"Losses": {"all": ["loss.*"]}})
    file.close()
    content = events(tmp_path).Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    (category,) = Layout.FromString(content).category
    assert (category.title, category.chart[0].title) == ("Losses", "all")
    assert list(category.chart[0].multiline.tag) == ["loss.*"]


def test_the_projector_gets_points_what_is_known_of_them_and_thumbnails(tmp_path: Path, capfd: Any) -> None:
    features, images = torch.arange(6.0).view(3, 2), torch.full((3, 3, 8, 8), 200, dtype=torch.uint8)
    columns = {"domain": ["source", "source", "target"], "class": ["a\tb", "c\nd", "e"]}
    for step in (4, 5):  # what an earlier process left goes
        file = EventFile(tmp_path)
        file.embedding("features", step, features, columns, images)
        file.close()
    assert not list(tmp_path.glob("00004/*"))
    points = [line.split("\t") for line in (tmp_path / "00005/features/tensors.tsv").read_text().splitlines()]
    assert [[float(value) for value in point] for point in points] == features.tolist()
    metadata = (tmp_path / "00005/features/metadata.tsv").read_text().splitlines()
    assert metadata == ["domain\tclass", "source\ta b", "source\tc d", "target\te"]
    sprite = np.asarray(Image.open(tmp_path / "00005/features/sprite.png"))
    assert sprite.shape == (16, 16, 3), "two by two"
    assert (abs(sprite[:8].astype(int) - 200) <= 1).all()
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert config.count("embeddings") == 1
    assert "00005/features/sprite.png" in config
    assert "warning" not in capfd.readouterr().out
