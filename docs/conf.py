# SPDX-License-Identifier: MIT
"""The manual. `make docs` builds it; docs/README.md says what is where."""

import os
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(TOP / "docs/ext"))


def version_of_header():
    text = (TOP / "libbdus/include/bdus.h").read_text()
    return ".".join(re.findall(
        r"define BDUS_HEADER_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text))


project = "BDUS"
author = "The BDUS developers"
copyright = author
version = release = version_of_header()

extensions = ["breathe", "sphinx.ext.graphviz", "bdus_manual"]
exclude_patterns = ["README.md", "skeleton", "tutorial"]
primary_domain = "c"
highlight_language = "none"
nitpicky = True
# Types that are not ours, and names that a C domain cannot know of.
nitpick_ignore_regex = [
    (r"c:identifier", r"u?int(32|64)_t|size_t|bool|__[us](8|32|64)"),
]

html_theme = "sphinx_rtd_theme"
html_title = f"BDUS {release}"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["manual.css"]
graphviz_output_format = "svg"

# Where `make docs` has Doxygen put what it found in the two headers.
breathe_projects = {"bdus": os.environ.get("BDUS_DOXYGEN_XML",
                                           str(TOP / "build/user/docs/xml"))}
breathe_default_project = "bdus"
breathe_domain_by_extension = {"h": "c"}
