"""Sphinx's settings. Pages ending in .py are scripts with cells (py:percent): they run at build, and fail it with them."""
import re

import tinygrad_edu

project, author, copyright = "tinygrad_edu", "the tinygrad_edu authors", "the tinygrad_edu authors"
version = release = tinygrad_edu.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.viewcode"]
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_render_markdown_format = "myst"
exclude_patterns = ["_build", "jupyter_execute", "conf.py", "draw.py"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autosummary_generate = True
suppress_warnings = ["mystnb.unknown_mime_type"]

html_theme = "furo"
html_title = f"tinygrad_edu {version}"
html_static_path = ["_static"]
html_css_files = ["page.css"]


def as_text(app, what, name, object, options, lines):
    """Docstrings are plain text, written for help() and the source: here their markup is made, not in them."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    lines.clear()
    for paragraph in paragraphs:
        rows = paragraph.split("\n")
        if terms := two_columns(rows):
            for term, text in terms:
                lines += [f"``{term}``", "    " + marked(text)]
            lines += [""]
        elif any(re.search(r"^\s|\S {3,}\S", row) for row in rows):          # a table, or code
            lines += [".. code-block:: text", "", *["    " + row for row in rows], ""]
        else:
            lines += marked(paragraph).split("\n") + [""]


def marked(text):
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*|\\_])", r"\\\1", part) for part in parts[::2]]
    return "``".join(parts)


def two_columns(rows):
    """[term, text] of aligned rows `term   text`, whose texts go on in rows without a term; None for anything else."""
    edge = re.match(r"\S.*? {2,}(?=\S)", rows[0])
    if not edge:
        return None
    column, terms = edge.end(), []
    for row in rows:
        term, text = row[:column], row[column:]
        if not term.endswith(" ") or re.search(r"^ |\S {3,}\S", text):
            return None
        if term.strip():
            terms.append([term.strip(), text])
        else:
            terms[-1][1] += " " + text
    return terms


def setup(app):
    app.connect("autodoc-process-docstring", as_text)
