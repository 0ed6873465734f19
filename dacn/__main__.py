"""``python -m dacn`` is ``dacn``."""

from dacn.cli import main

if __name__ == "__main__":
    main(prog_name="dacn")
