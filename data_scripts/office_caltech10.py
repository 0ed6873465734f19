"""Arrange Office-Caltech-10 from what you fetched: `dacn data prepare office_caltech10`, from a clone.

Example: python data_scripts/office_caltech10.py --help
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dacn.cli import main

if __name__ == "__main__":
    main(["data", "prepare", Path(__file__).stem, *sys.argv[1:]], prog_name="dacn")
