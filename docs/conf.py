"""Settings of the pages that ``make docs`` builds.

The repository's root is the source folder, so that links between the pages, the reports and other files of the
repository are plain relative links, which also work where the repository is read.
"""

from typing import TYPE_CHECKING

import harness
from docs.generated import fill

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "FeatherFace harness"
release = harness.__version__
html_title = f"{project} {release}"
root_doc = "docs/index"
include_patterns = ["docs/**.md", "reports/*/*.md", "benchmarks/README.md", "*.md"]
exclude_patterns = [".venv", "runs", "build", "**/__pycache__", "**/.*"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # Attributes are listed in their class, and not a second time as members.

# Types of other packages have no page here. The intersphinx extension would ask the network for theirs.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!harness\.).*")]

html_theme = "furo"
html_copy_source = False
html_show_copyright = html_show_sphinx = False
html_show_search_summary = False  # It would be fetched, which browsers forbid for pages on a disk.


def setup(app: "Sphinx") -> None:
    """Put the generated parts into the pages that name them."""
    app.connect("source-read", _fill)


def _fill(_app: "Sphinx", page: str, source: list[str]) -> None:
    if page.startswith("docs/"):
        source[0] = fill(source[0])
