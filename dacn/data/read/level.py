"""Checks whether a folder's sub-folders are its classes, or the classes lie one level above or below them."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from dacn.data.read.paths import display_path
from dacn.errors import DataError

_SPLITS = re.compile(r"train(ing)?|val(id|idation)?|dev|test(ing)?|eval(uation)?|holdout")
"""What the parts of one data set are called: no classes."""


def level_note(key: str, root: Path, files: Sequence[Path]) -> str | None:
    """Return what to tell where the classes may be one level deeper than the class folders; None where all is well.

    Args:
        key: what to point at another folder, for a message: ``data.source.folder``.
        root: the domain's folder, which holds class folders.
        files: the images in them.

    Raises:
        DataError: there is one class, which holds the classes as sub-folders; or the class folders are called as the
            training and test sets of one data set are.
    """
    below = _sub_folders(root, files)  # of each class folder
    names = [*below]
    if len(names) == 1:
        common = Path(os.path.commonpath([file.parent for file in files]))
        inner = sorted({file.relative_to(common).parts[0] for file in files if file.parent != common})
        if len(inner) > 1 and all(file.parent != common for file in files):
            raise DataError(
                f"only one class; point {key} at {display_path(common)}, which has the sub-folders {_some(inner)}"
            )
        return None
    if _are_splits(names):
        train = next((name for name in names if name.casefold().startswith("train")), names[0])
        raise DataError(
            f"the class folders are called {_some(names)}, which are parts of a data set and no classes; point "
            f"{key} at {display_path(root / train)}"
        )
    shared = sorted(below[names[0]])
    if "" in shared or any({*shared} != own for own in below.values()):
        return None
    if _are_splits(shared):
        hint = "training and test images are read together; move those to test on to a folder of their own"
    elif len(shared) > 1:
        hint = f"if these are the classes, point {key} at {display_path(root / names[0])}"
    else:
        return None
    folders = f"every class folder ({_some(names)}) holds the same sub-folders ({_some(shared)})"
    return f"{display_path(root)}: {folders}; {hint}"


def _sub_folders(root: Path, files: Sequence[Path]) -> dict[str, set[str]]:
    """Return the names of each class folder's own sub-folders, and an empty one for images beside them."""
    found: dict[str, set[str]] = {}
    for file in files:
        name, *rest = file.relative_to(root).parts
        found.setdefault(name, set()).add(rest[0] if len(rest) > 1 else "")
    return found


def _are_splits(names: Sequence[str]) -> bool:
    return all(_SPLITS.fullmatch(name.casefold()) for name in names)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
