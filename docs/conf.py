"""Sphinx's settings. Pages ending in .py are scripts with cells (py:percent): they run at build, and fail it with them."""
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
html_static_path = []


def as_text(app, what, name, object, options, lines):
    """Docstrings are plain text, written for help() and the source: here their markup is made, not in them."""
    import re
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    lines.clear()
    for paragraph in paragraphs:
        rows = paragraph.split("\n")
        if any(re.search(r"^\s|\S {3,}\S", row) for row in rows):            # aligned columns, or code
            lines += ["::", "", *["    " + row for row in rows], ""]
            continue
        parts = paragraph.split("`")
        parts[::2] = [re.sub(r"([*|\\_])", r"\\\1", text) for text in parts[::2]]
        lines += "``".join(parts).split("\n") + [""]


def setup(app):
    app.connect("autodoc-process-docstring", as_text)
