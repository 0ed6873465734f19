"""The documentation's build: ``sphinx-build -W docs docs/_build``. The pages open from disk, without a network."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from recipe_reference import markdown  # noqa: E402

from dacn import __version__  # noqa: E402

project = "dacn"
author = "the dacn authors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "**/README.md"]
html_theme = "furo"
html_title = f"dacn {release}"
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False
napoleon_custom_sections = [("Shape", "params_style")]
# Pages whose text the tests hold to the code link files of the repository; they lie beside this folder.
myst_url_schemes = ["http", "https", "mailto"]


def write_recipe_reference(app: Sphinx) -> None:
    """Write the page that the schema of recipes is, before the pages are read."""
    page = HERE / "generated" / "recipe.md"
    page.parent.mkdir(exist_ok=True)
    text = markdown()
    if not page.is_file() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Have the reference written when a build begins."""
    app.connect("builder-inited", write_recipe_reference)
