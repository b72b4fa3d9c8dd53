"""The real server, page and avatars on an engine of no weight: `python -m tests.house serve [flags] [--cost s]`."""

import argparse
import sys

from engines import avatar
from realtime.cli import run
from realtime.settings import Settings
from tests.fakes import FakeEngine


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.house")
    serve = parser.add_subparsers(required=True).add_parser("serve")
    Settings.add_arguments(serve)
    serve.add_argument("--cost", type=float, default=0.0, help="seconds that a picture takes")
    parsed = parser.parse_args()
    return run(Settings.load(parsed), FakeEngine(parsed.cost), avatar)


if __name__ == "__main__":
    sys.exit(main())
