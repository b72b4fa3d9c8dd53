"""`python -m tests.serve_fake [flags of visavis serve] [--cost seconds]`: the real server on an engine of no weight."""

import argparse
import sys

from realtime.cli import run
from realtime.settings import Settings
from tests.fakes import FakeAvatars, FakeEngine


def main() -> int:
    parser = argparse.ArgumentParser()
    Settings.add_arguments(parser)
    parser.add_argument("--cost", type=float, default=0.005)
    parsed = parser.parse_args()
    return run(Settings.load(parsed), FakeEngine(parsed.cost), FakeAvatars())


if __name__ == "__main__":
    sys.exit(main())
