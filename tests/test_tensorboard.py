"""TensorBoard serves a run: what its own data interface and a real browser show of it."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dacn.recipe.recipe import parse_recipe
from dacn.run.run import train_recipe
from tests import made_up

pytestmark = [pytest.mark.slow, pytest.mark.pictures]
CHROMIUM = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1500,1000"),
]
TEXTS = """
const found = [];
function walk(node) {
  for (const child of node.childNodes) {
    if (["STYLE", "SCRIPT"].includes(child.nodeName)) continue;
    if (child.nodeType === Node.TEXT_NODE && child.textContent.trim()) found.push(child.textContent.trim());
    if (child.shadowRoot) walk(child.shadowRoot);
    walk(child);
  }
}
walk(document.body);
return found.join(" ");
"""
"""All texts of the page, those of its components' shadow trees too."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def fetch(url: str, body: object = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def wait_for(what: str, look: Callable[[], Any], seconds: float = 180) -> Any:
    """Return what ``look`` finds, once it does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except OSError:  # not yet listening
            pass
        time.sleep(0.5)
    pytest.fail(f"{what}: not there after {seconds:.0f} seconds")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small run, and the address where TensorBoard serves it."""
    runs = tmp_path_factory.mktemp("runs")
    tree = {
        "name": "tiny",
        "model": {"backbone": {"name": "small_cnn", "width": 4}},
        "train": {"steps": 6, "source_batch": 4, "target_ratio": 2, "log_every": 2},
        "evaluate": {"every": 3},
    }
    train_recipe(parse_recipe(tree, "test"), out=runs / "tiny", device="cpu", pair=made_up.pair())
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs), "--host", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--load_fast=false"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for("TensorBoard", lambda: fetch(f"{address}/data/plugin/scalars/tags"))
        yield address
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def show(tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """A function that opens an address in Chromium and returns the texts of the page once one of them is there."""
    driver, browser = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or browser is None:
        pytest.skip("needs chromium and chromedriver on the PATH")
    port = free_port()
    server = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for("chromedriver", lambda: fetch(f"{address}/status")["value"]["ready"])
        options = {"binary": browser, "args": [*CHROMIUM, f"--user-data-dir={tmp_path / 'profile'}"]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        session = f"{address}/session/{fetch(f'{address}/session', wanted)['value']['sessionId']}"

        def texts() -> str:
            return " ".join(fetch(f"{session}/execute/sync", {"script": TEXTS, "args": []})["value"].split())

        def frames() -> Any:
            return fetch(f"{session}/elements", {"using": "css selector", "value": "iframe"})["value"]

        def show(page: str, text: str) -> str:
            fetch(f"{session}/frame", {"id": None})
            fetch(f"{session}/url", {"url": "about:blank"})  # an address that differs behind its # alone is not loaded
            fetch(f"{session}/url", {"url": page})
            for _ in range(2 if page.endswith("projector") else 0):  # it lives in a frame within a frame
                fetch(f"{session}/frame", {"id": wait_for("a frame", frames)[0]})
            return str(wait_for(text, lambda: shown if text in (shown := texts()) else None))

        yield show
        fetch(session, method="DELETE")
    finally:
        server.terminate()
        server.wait()


def test_its_data_interface_has_everything(served: str) -> None:
    (run,) = fetch(f"{served}/data/runs")
    assert run == "tiny/tensorboard", "one run, and no second for the settings"
    wanted = {"scalars", "custom_scalars", "images", "histograms", "text", "hparams", "projector"}

    def all_active() -> bool:
        listing = fetch(f"{served}/data/plugins_listing")
        return wanted <= {name for name, plugin in listing.items() if plugin["enabled"]}

    wait_for("every plugin", all_active)  # it looks for data in the background

    scalars = set(fetch(f"{served}/data/plugin/scalars/tags")[run])
    assert {"loss/source", "training/kept", "p_source/class0", "p_target/class1", "reliability/source"} <= scalars
    assert {"scores without labels/soft_neighborhood_density", "raw/target_data/target_context"} <= scalars
    assert {"normalization contexts/apart/mean", "oracle, not used/ece_target", "accuracy/target"} <= scalars
    assert sorted(scalars)[0].startswith("accuracy/")

    images = fetch(f"{served}/data/plugin/images/tags")[run]
    assert images["views"]["samples"] == 1
    assert {"figures/confusion_target", "figures/classes", "figures/reliability", "figures/feature_map"} <= set(images)
    assert fetch(f"{served}/data/plugin/text/tags")[run] == ["recipe/text_summary"]
    charts = [
        chart["title"]
        for group in fetch(f"{served}/data/plugin/custom_scalars/layout")["category"]
        for chart in group["chart"]
    ]
    assert "class class1" in charts

    (points,) = fetch(f"{served}/data/plugin/projector/info?run={run}")["embeddings"]
    assert points["tensorShape"] == [48, 12]
    assert points["sprite"]["singleImageDim"] == [32, 32]

    query = {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "colParams": [], "startIndex": 0}
    (group,) = fetch(f"{served}/data/plugin/hparams/session_groups", query | {"sliceSize": 9})["sessionGroups"]
    assert group["hparams"]["algorithm.name"] == "adamatch"
    assert group["hparams"]["train.steps"] == 6
    metrics = {metric["name"]["tag"]: metric["value"] for metric in group["metricValues"]}
    assert 0 <= metrics["final/target_selected"] <= 100


def test_a_browser_shows_it(served: str, show: Callable[[str, str], str]) -> None:
    series = show(f"{served}/#timeseries", "accuracy/target")
    assert "accuracy/source_data" in series
    assert "feature_map" in show(f"{served}/#images", "figures/confusion_target")
    assert "threshold: 0.9" in show(f"{served}/#text", "name: tiny")
    charts = show(f"{served}/#custom_scalars", "p_source against p_target")
    assert "target data by context (labels only used to report)" in charts
    settings = show(f"{served}/#hparams", "adamatch")  # the rows come after their headings
    assert "model.backbone.name" in settings
    assert "final/target_selected" in settings
    projector = show(f"{served}/#projector", "Points: 48")
    assert "Dimension: 12" in projector
    assert "features:00006 48x12" in projector
    assert "domain class predicted confidence" in projector
