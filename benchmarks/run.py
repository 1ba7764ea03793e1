"""Runs benchmarks: `python -m benchmarks.run [NAME ...] [--scale 0.1]`; all of them by default."""

from __future__ import annotations

import argparse
import importlib

from benchmarks.common import Skipped

NAMES = (
    "small",
    "minilm",
    "load",
    "promise",
    "reopen",
    "rows",
    "frontier",
    "filters",
    "damage",
    "budget",
    "grid",
    "tuner",
    "toolkits",
    "service",
    "texts",
    "rebuild",
    "restart",
    "proof",
    "duplicates",
    "hybrid",
    "chinese",
    "quality",
    "documents",
    "passages",
    "ranking",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, help=f"which: {', '.join(NAMES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the data, for a quick look")
    arguments = parser.parse_args()
    for name in arguments.names:
        print(name, flush=True)
        try:
            importlib.import_module(f"benchmarks.{name}").main(arguments.scale)
        except Skipped as reason:
            print(f"  skipped: {reason}")


if __name__ == "__main__":
    main()
