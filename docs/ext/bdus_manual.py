# SPDX-License-Identifier: MIT
"""What the manual needs beside Sphinx itself.

- Man pages. Their sources, which rst2man reads, stand beside what they describe.
  Each becomes a page of the manual too: a file below docs/man, made anew when its
  source changes. The role `man` links to it: :man:`bdus-run(1)`.
- Benchmark results. The directive `bench-results` shows the charts and tables of
  bench/results, or says that there are none.
"""

import html
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx import addnodes

TOP = Path(__file__).resolve().parents[2]
MAN_SOURCES = ("cmdbdus/man/*.rst", "drivers/*/*.rst", "kbdus/*.rst")
MAN_PAGES = TOP / "docs/man"
BENCH_RESULTS = TOP / "bench/results"

# The title, the subtitle, and the fields below them.
HEAD = re.compile(r"=+\n(?P<name>[\w-]+)\n=+\n\n-+\n(?P<summary>.+)\n-+\n\n"
                  r":Manual section: (?P<section>\d)\n(?::.*\n)*")
REFERENCE = re.compile(r"\*\*(?P<name>[\w-]+)\*\*\\\((?P<section>\d)\)")


def make_man_pages(app):
    sources = {path.stem: path for pattern in MAN_SOURCES
               for path in TOP.glob(pattern)}
    MAN_PAGES.mkdir(exist_ok=True)
    for path in MAN_PAGES.glob("*.rst"):
        if path.stem not in sources:
            path.unlink()
    for name, source in sources.items():
        write_if_changed(MAN_PAGES / f"{name}.rst",
                         man_page(source.read_text(), sources))


def man_page(text, known):
    head = HEAD.search(text)
    title = f"{head['name']}({head['section']})"
    body = REFERENCE.sub(lambda match: reference(match, known),
                         text[head.end():])
    return f"{title}\n{'#' * len(title)}\n\n*{head['summary']}*\n{body}"


def reference(match, known):
    """A link if the page is one of ours."""
    if f"{match['name']}.{match['section']}" not in known:
        return match[0]
    return f":man:`{match['name']}({match['section']})`"


def write_if_changed(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def man_role(role, rawtext, text, line, inliner, options=None, content=None):
    name, section = re.fullmatch(r"([\w-]+)\((\d)\)", text).groups()
    link = addnodes.pending_xref(
        "", nodes.literal("", text), refdomain="std", reftype="doc",
        reftarget=f"/man/{name}.{section}", refexplicit=True, refwarn=True,
        refdoc=inliner.document.settings.env.docname)
    return [link], []


class BenchResults(Directive):
    """Tables and charts that `make bench-publish` has left in the tree."""

    def run(self):
        self.state.document.settings.env.note_reread()
        found = []
        for path in sorted(BENCH_RESULTS.glob("*.rst")):
            found += self.tables(path)
        found += [self.chart(path) for path in
                  sorted(BENCH_RESULTS.glob("*.svg"))]
        return found or [nodes.paragraph(text=(
            "There were no results in the tree when this manual was built. "
            "The commands above make them."))]

    def tables(self, path):
        lines = StringList(path.read_text().splitlines(), source=str(path))
        parent = nodes.Element()
        self.state.nested_parse(lines, 0, parent)
        return parent.children

    def chart(self, path):
        """The first text of a chart is its title."""
        title = re.search(r"<text[^>]*>([^<]+)<", path.read_text())
        title = html.unescape(title[1]) if title else path.stem
        figure = nodes.figure()
        figure += nodes.image(uri=f"/../bench/results/{path.name}",
                              alt=f"Chart: {title}. The tables above have its numbers.")
        figure += nodes.caption(text=title)
        return figure


def setup(app):
    app.connect("builder-inited", make_man_pages)
    app.add_role("man", man_role)
    app.add_directive("bench-results", BenchResults)
    return {"parallel_read_safe": True}
