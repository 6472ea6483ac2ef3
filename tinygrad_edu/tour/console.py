"""A console that tells a story: it prints code with a prompt, runs it, and echoes values as Python does.

Knows Python source, not tensors. What is shown is what runs.
"""
from __future__ import annotations

import ast
import sys
import textwrap


class Console:
    """Runs snippets one after the other in one namespace."""

    def __init__(self, namespace, width=78):
        self.namespace, self.width = namespace, width

    def title(self, text):
        print(f"\n{text}\n{'-' * len(text)}")

    def say(self, text):
        """A paragraph of prose."""
        print(textwrap.fill(" ".join(text.split()), self.width))

    def run(self, source):
        """Show and run each statement of `source`; the value of an expression is printed."""
        source = textwrap.dedent(source).strip("\n")
        print()
        for statement, lines in _statements(source):
            print("\n".join((">>> " if i == 0 else "... ") + line for i, line in enumerate(lines)))
            module = ast.Interactive([statement])
            before, sys.displayhook = sys.displayhook, _echo
            try:
                exec(compile(module, "<tour>", "single"), self.namespace)
            finally:
                sys.displayhook = before
        print()

    def quiet(self, source):
        """Run without showing, for what was shown before."""
        exec(compile(textwrap.dedent(source), "<tour>", "exec"), self.namespace)


def _echo(value):
    """sys.displayhook without the memory of `_`."""
    if value is not None:
        print(repr(value))


def _statements(source):
    """Each top-level statement with its lines of source (a comment belongs to the statement below it)."""
    lines, start = source.split("\n"), 0
    for statement in ast.parse(source).body:
        yield statement, [line for line in lines[start:statement.end_lineno] if line.strip() or start]
        start = statement.end_lineno
