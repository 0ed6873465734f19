"""Paths in messages, as a person would write them; how a user writes them is `dacn.user_path`."""

from pathlib import Path

from dacn.user_path import UserPath, expand

__all__ = ["UserPath", "display_path", "expand"]


def display_path(path: Path) -> Path:
    """Return a path as a person would write it: relative where it lies below the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path != here and path.is_relative_to(here) else path
