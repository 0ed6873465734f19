"""Networks of the user's own."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from dacn.errors import RecipeError
from dacn.models.build import ModelConfig, build_model
from dacn.models.input_scale import InputScale
from dacn.models.pretrained.python_net import PythonConfig, python_net
from dacn.nn import ContextBatchNorm

MODULE = "made_for_the_python_net_test"
cn = partial(ContextBatchNorm, num_contexts=2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / f"{MODULE}.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def tiny(width=8):\n"
        "    layers = [nn.Conv2d(3, width, 3, 2), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]\n"
        "    return nn.Sequential(*layers, nn.Flatten())\n"
        "def scaled():\n"
        "    net = tiny()\n"
        "    net.pretrained_cfg = {'mean': (0.5, 0.5, 0.5), 'std': (0.25, 0.25, 0.25)}\n"
        "    return net\n"
        "def maps(): return nn.Conv2d(3, 8, 3)\n"
        "def picky(): return nn.Sequential(nn.Flatten(), nn.Linear(27, 4))\n"
        "def number(): return 3\n"
        "def failing(): raise KeyError('no weights')\n"
        "class Own(nn.Module):\n"
        "    takes_context = True\n"
        "    out_features = 2\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.table = nn.Parameter(torch.arange(4.0).view(2, 2))\n"
        "        self.norm = nn.BatchNorm2d(3)\n"
        "    def forward(self, x, context): return self.table[context] + 0 * self.norm(x).sum()\n"
    )
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    yield tmp_path
    monkeypatch.delitem(__import__("sys").modules, MODULE, raising=False)


def test_network_of_a_function_takes_the_norm_of_the_recipe(folder: Path) -> None:
    backbone = {"python": f"{MODULE}:tiny", "path": folder, "options": {"width": 12}}
    config = ModelConfig(backbone=backbone, norm="cn")
    assert ModelConfig.model_validate(config.model_dump()) == config
    model = build_model(config, 3, 2)
    assert model.head.in_features == 12
    assert [type(m) for m in model.backbone.modules() if isinstance(m, ContextBatchNorm)]
    assert type(model.input_norm) is nn.Identity
    assert model.input_scale is None
    assert model(torch.rand(4, 3, 16, 16), torch.tensor([0, 0, 1, 1])).shape == (4, 3)


def test_input_scale_is_the_networks_own_or_the_recipes(folder: Path) -> None:
    backbone = {"python": f"{MODULE}:scaled", "path": folder}
    for keys, std in (({}, 0.25), ({"std": (0.5, 0.5, 0.5)}, 0.5)):
        model = build_model(ModelConfig(backbone=backbone | keys), 3, 2)
        assert isinstance(model.input_scale, InputScale)
        assert model.input_scale.std.unique().tolist() == [std]
    with pytest.raises(RecipeError, match="mean and std go together"):
        python_net(cn, f"{MODULE}:tiny", folder, std=(1, 1, 1))


def test_network_that_takes_the_context_itself(folder: Path) -> None:
    net = python_net(cn, f"{MODULE}:Own", folder)
    assert net(torch.rand(2, 3, 8, 8), torch.tensor([1, 0])).tolist() == [[2, 3], [0, 1]]


def test_weights_from_a_file(folder: Path) -> None:
    own = python_net(cn, f"{MODULE}:tiny", folder)
    file = folder / "own.pt"
    torch.save({"model": {f"backbone.{name}": tensor for name, tensor in own.state_dict().items()}}, file)
    again = python_net(nn.BatchNorm2d, f"{MODULE}:tiny", folder, file)
    assert torch.equal(again.net.get_submodule("0").weight, own.net.get_submodule("0").weight)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("tini", r"has no function 'tini'; did you mean 'tiny'\?"),
        ("number", r"number: expected a torch.nn.Module, got int"),
        ("failing", r"failing: the function failed: KeyError: 'no weights'"),
        (
            "maps",
            r"maps: its output for one image is \(1, 8, 222, 222\), expected features \(1, F\); end the ",
        ),
        ("picky", r"picky: takes no image of 224, 256, 96, 64, 32 pixels \(RuntimeError: .*attribute out_features"),
    ],
)
def test_functions_that_give_no_backbone(folder: Path, function: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        python_net(cn, f"{MODULE}:{function}", folder)


def test_module_that_is_not_there(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot import no_such_nets .*`path` beside `python` names its folder"):
        python_net(cn, "no_such_nets:tiny", folder)
    (folder / "broken_nets.py").write_text("def tiny(:\n")
    with pytest.raises(RecipeError, match=r"importing broken_nets failed: SyntaxError"):
        python_net(cn, "broken_nets:tiny", folder)


def test_it_has_no_weights_to_download() -> None:
    with pytest.raises(ValidationError, match="pretrained: true is for networks of a library"):
        PythonConfig(python="a:b", pretrained=True)
