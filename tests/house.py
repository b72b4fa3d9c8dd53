"""A server with the real page and avatars and a fake engine: `python -m tests.house serve --port 8000`."""

import argparse
import sys

import uvicorn

from engines import avatar
from realtime.app import create_app
from realtime.settings import Settings
from tests.fakes import FakeEngine


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.house")
    commands = parser.add_subparsers(required=True)
    Settings.add_arguments(commands.add_parser("serve"))
    settings = Settings.load(parser.parse_args())
    app = create_app(settings, FakeEngine(), avatar)
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="warning", timeout_graceful_shutdown=3)
    return 0


if __name__ == "__main__":
    sys.exit(main())
