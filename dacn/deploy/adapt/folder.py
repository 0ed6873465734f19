"""An adapted network as a run folder again: made under a temporary name, and renamed when all of it is there."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dacn.deploy.network import Network
from dacn.errors import DacnError, RecipeError
from dacn.machine.faults import explained
from dacn.recipe.recipe import Recipe, load_recipe, parse_recipe
from dacn.run.environment import describe_environment
from dacn.trainer.checkpoint import load_checkpoint, save_checkpoint

FROZEN = "frozen.pt"
"""The checkpoint that the network had before it was adapted."""


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``out``, which takes its name when all went well; else nothing is left of it.

    Raises:
        DacnError: there is something at ``out`` already.
        RunError: the disk is full, or the folder may not be written.
    """
    require_absent(out)
    partial = out.with_name(f".{out.name}.partial")  # one that a killed process left is of no use to anybody
    with explained(out):
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            yield partial
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def require_absent(out: Path) -> None:
    """Make sure that a folder may be made at ``out``.

    Raises:
        DacnError: there is something already.
    """
    if out.exists():
        raise DacnError(f"--out {out}: is there already, and no run is written over; choose another folder")


def write_run(
    folder: Path,
    network: Network,
    summary: Mapping[str, Any],
    *,
    run: Path | None,
    command: Sequence[str],
) -> None:
    """Write an adapted network as a run to an existing folder.

    Args:
        folder: where to.
        network: the adapted one; its ``checkpoint`` is where it came from, and is kept beside it.
        summary: the content of summary.json.
        run: the folder that it came from, whose recipe says how it was trained; None where there is none.
        command: the command line, for environment.json.
    """
    saved = load_checkpoint(network.checkpoint)
    recipe = _recipe(run, saved, network)
    origin = {**saved["origin"], "recipe": recipe.model_dump(mode="json")}
    state = {
        "origin": origin,
        "network": network.interface.model_dump(mode="json"),
        "step": network.step,
        "model": network.model.state_dict(),
        "adapted": dict(network.adapted),
    }
    save_checkpoint(folder / "checkpoints" / "selected.pt", state)
    shutil.copyfile(network.checkpoint, folder / "checkpoints" / FROZEN)
    (folder / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    environment = describe_environment(network.device, recipe.seed, command)
    for name, content in (("environment.json", environment), ("summary.json", summary)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _recipe(run: Path | None, saved: Mapping[str, Any], network: Network) -> Recipe:
    """Return how the network was trained, with the norms that it has now, under a name that tells what became of it."""
    try:
        trained = load_recipe(run / "recipe.yaml") if run is not None else Recipe()
    except RecipeError:  # lost, or of an older dacn: the checkpoint knows what its network needs
        trained = network.recipe
    if run is None or trained is network.recipe:
        trained = parse_recipe(dict(saved["origin"]["recipe"]), str(network.checkpoint))
    name = f"{trained.name}-{network.adapted['name']}".replace("/", "_").replace("\\", "_")[:100]
    return trained.model_copy(update={"name": name, "model": network.recipe.model})
