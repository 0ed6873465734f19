"""What last.pt holds beside the averaged network, so that a resumed run is the run that was never stopped."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from dacn.evaluation.selection import Selection

if TYPE_CHECKING:  # the trainer calls what stands here
    from dacn.trainer.trainer import Trainer


def resumable(trainer: "Trainer") -> dict[str, Any]:
    """Return the state of everything that changes from step to step; the averaged network is saved beside it."""
    return {
        "averaged": int(trainer.ema.n_averaged),
        "algorithm": trainer.algorithm.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "schedule": trainer.schedule.state_dict(),
        "loader": trainer.loader.state_dict(),
        "selection": asdict(trainer.selection),
        "first": trainer.first,
        "drift": trainer.drift.state_dict(),
        "seconds": trainer.seconds,
        "training_seconds": trainer.training_seconds,
        "evaluation_seconds": trainer.evaluation_seconds,
        "em": dict(trainer.em),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state(trainer.device) if trainer.device.type == "cuda" else None,
    }


def restore(trainer: "Trainer", saved: Mapping[str, Any]) -> None:
    """Bring ``trainer`` to where ``saved``, the content of last.pt, was saved."""
    state: dict[str, Any] = saved["resume"]
    trainer.step = saved["step"]
    trainer.ema.module.load_state_dict(saved["model"])
    trainer.ema.n_averaged.fill_(state["averaged"])
    trainer.algorithm.load_state_dict(state["algorithm"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.schedule.load_state_dict(state["schedule"])
    trainer.loader.load_state_dict(state["loader"])
    trainer.selection = Selection(**state["selection"])
    trainer.first = state.get("first")
    trainer.drift.load_state_dict(state["drift"])
    trainer.seconds, trainer.training_seconds = state["seconds"], state["training_seconds"]
    trainer.evaluation_seconds = state.get("evaluation_seconds", 0.0)
    trainer.em.update(state.get("em", {}))
    torch.set_rng_state(state["rng"])
    if state["cuda_rng"] is not None and trainer.device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda_rng"], trainer.device)
