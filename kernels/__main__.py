"""`python -m tinygrad_edu.kernels check`: compile every kernel without a GPU, and read the machine code.

It knows of kernels only that check.py finds them.
"""
from __future__ import annotations

import argparse
import sys

from . import check, lower


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tinygrad_edu.kernels", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", description=check.__doc__.split("\n\n")[0], help=(
        "compile every kernel, and fail on stack, spills, or double precision that nobody asked for"))
    checking.add_argument("names", nargs="*", help="only kernels with one of these words in their name or their file's")
    checking.add_argument("--cc", nargs="+", default=list(check.ARCHITECTURES), metavar="SM",
                          help="architectures (default: %(default)s)")
    checking.add_argument("--jobs", type=int, help="processes (default: one per core)")
    given = parser.parse_args(arguments)
    architectures = [cc for cc in given.cc if lower.is_architecture(cc)]      # `--cc 75 80 adam`: adam is a name
    names = given.names + [word for word in given.cc if word not in architectures]
    return check.main(names, architectures or check.ARCHITECTURES, given.jobs)


if __name__ == "__main__":
    sys.exit(main())
