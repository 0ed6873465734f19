"""Paths as a user writes them."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

UserPath = Annotated[Path, AfterValidator(lambda path: Path(os.path.expanduser(path)))]
"""A path with ``~`` expanded; a relative one starts at the working directory."""
