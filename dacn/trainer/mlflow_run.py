"""A run in MLflow: on the server, or in the folder, that ``MLFLOW_TRACKING_URI`` names."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dacn.trainer.measured import Values
from dacn.trainer.recorder import Recorder, identity, scalars

EXPERIMENT = "dacn"
"""Where ``MLFLOW_EXPERIMENT_NAME`` names no other one."""
_MOST = 100  # settings that MLflow takes at once


class MlflowRun(Recorder):
    """Writes numbers, pictures, settings and final numbers to MLflow.

    Args:
        out: the run folder; its name is the run's.
        start: steps already done; a resumed run goes on as the same one.
    """

    def __init__(self, out: Path, start: int = 0) -> None:
        import os

        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._Metric, self._Param = Metric, Param
        self._client: Any = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)

        def new() -> str:
            experiment = self._client.get_experiment_by_name(name)
            place = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
            return str(self._client.create_run(place, run_name=out.resolve().name).info.run_id)

        self._id = identity(out, "mlflow", start, new)
        if start:
            self._client.update_run(self._id, status="RUNNING")

    def log(self, step: int, values: Values) -> None:
        """Record one step's numbers."""
        now = int(1000 * time.time())
        # In a store of files a name is a path, and there cannot be both `loss` and `loss/source`.
        named = [(name.replace("/", "."), value) for name, value in scalars(values)]
        self._client.log_batch(self._id, [self._Metric(name, value, now, step) for name, value in named])

    def images(self, name: str, step: int, images: Tensor) -> None:
        """Record a picture: uint8 ``(3, H, W)``."""
        pixels = images.permute(1, 2, 0).cpu().numpy()
        self._client.log_image(self._id, pixels, artifact_file=f"images/{name}/{step}.png")

    def text(self, name: str, text: str) -> None:
        """Record a Markdown text."""
        self._client.log_text(self._id, text, f"{name}.md")

    def hyperparameters(self, step: int, settings: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Record the run's settings, by key path, and its final numbers, by name."""
        known = self._client.get_run(self._id).data.params  # MLflow lets no setting change, as in a run made longer
        params = [self._Param(key, str(value)) for key, value in settings.items() if key not in known]
        for key, value in settings.items():
            if known.get(key, str(value)) != str(value):
                self._client.set_tag(self._id, key, str(value))
        for first in range(0, len(params), _MOST):
            self._client.log_batch(self._id, params=params[first : first + _MOST])
        self.log(step, metrics)

    def close(self) -> None:
        """Finish the run."""
        self._client.set_terminated(self._id)
