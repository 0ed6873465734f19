import os

# One process a core runs the tests: each computes with one thread, as do the processes that it starts.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


@pytest.fixture(autouse=True)
def _quick_runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes longer than a few steps of training: pictures, unless a test is about them, and the disk."""
    if "pictures" not in request.keywords:
        monkeypatch.setattr("dacn.run.run.write_figures", lambda *args: None)
        monkeypatch.setattr("dacn.trainer.trainer.observe_views", lambda *args: None)
    monkeypatch.setattr("os.fsync", lambda file: None)  # what survives a kill is tested with real processes
