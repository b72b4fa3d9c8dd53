"""The command `visavis`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from realtime.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `visavis` and return its exit status."""
    parser = argparse.ArgumentParser(prog="visavis", description="Speech in, a talking face out.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    serve_parser = commands.add_parser("serve", help="run the server and its page")
    Settings.add_arguments(serve_parser)
    serve_parser.add_argument("--verbose", action="store_true", help="tell more in the log")
    serve_parser.set_defaults(run=serve)
    render_parser = commands.add_parser("render", help="turn a sound file into a video file")
    if (list(arguments) if arguments is not None else sys.argv[1:])[:1] == ["render"]:
        render = import_module("realtime.render")  # only who renders pays for it
        render.add_arguments(render_parser)
        render_parser.set_defaults(run=render.run)
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except KeyboardInterrupt:
        return 130


def serve(parsed: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    try:
        settings = Settings.load(parsed)
    except ValueError as error:
        print(f"visavis: {error}", file=sys.stderr)
        return 2
    import uvicorn

    from engines import avatar
    from engines.pipeline import Engine
    from realtime.app import create_app

    level = logging.DEBUG if parsed.verbose else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("realtime").setLevel(level)
    try:
        app = create_app(settings, Engine.load(), avatar)
    except ValueError as error:
        print(f"visavis: {error}", file=sys.stderr)
        return 2
    print(f"Visavis on http://{settings.host}:{settings.port} (Ctrl-C ends it)", flush=True)
    uvicorn.run(
        app, host=settings.host, port=settings.port, log_level="warning", access_log=False, timeout_graceful_shutdown=3
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
