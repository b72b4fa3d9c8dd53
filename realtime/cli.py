"""The command `visavis`."""

import argparse
import gc
import logging
import socket
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from realtime.settings import Settings
from realtime.version import version

if TYPE_CHECKING:
    from fastapi import FastAPI

_COMMANDS: Final = {
    "render": ("realtime.render", "turn a sound file into a video file"),
    "avatar": ("realtime.avatar_command", "make an avatar of a photo"),
    "import": ("realtime.import_command", "check and convert checkpoints of the full-size networks"),
    "build": ("build_trt.command", "compile the networks for this machine's GPU"),
}
"""Beside `serve`: the module of each, and what it does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `visavis` and return its exit status."""
    parser = argparse.ArgumentParser(prog="visavis", description="Speech in, a talking face out.")
    parser.add_argument("--version", action="version", version=f"visavis {version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    serve_parser = commands.add_parser("serve", help="run the server and its page")
    Settings.add_arguments(serve_parser)
    serve_parser.add_argument("--verbose", action="store_true", help="tell more in the log")
    serve_parser.set_defaults(run=serve)
    asked = (list(arguments) if arguments is not None else sys.argv[1:])[:1]
    for name, (module, about) in _COMMANDS.items():
        command_parser = commands.add_parser(name, help=about)
        if asked == [name]:
            command = import_module(module)  # only who asks for it pays for it
            command.add_arguments(command_parser)
            command_parser.set_defaults(run=command.run)
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except KeyboardInterrupt:
        return 130


def serve(parsed: argparse.Namespace) -> int:
    """Load the networks and serve until Ctrl-C."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("realtime").setLevel(logging.DEBUG if parsed.verbose else logging.INFO)
    try:
        settings = Settings.load(parsed)
        # The networks take a moment to load: a wrong flag, or a port that is taken, is told without them.
        if settings.tls_cert:
            check_certificate(settings.tls_cert, settings.tls_key)
        with bind(settings.host, settings.port) as door:
            print("Getting ready: a few seconds, or a minute after an update", flush=True)
            from engines import avatar
            from engines.portrait_pack import user_folder
            from realtime.app import create_app
            from realtime.maker_process import MakerProcess
            from realtime.networks import load_networks

            maker = MakerProcess(user_folder(settings.avatar_folder), settings.max_uploads)
            networks = load_networks(settings)
            perform, buckets = networks.perform, networks.buckets
            app = create_app(settings, networks.engine, avatar, maker, perform=perform, buckets=buckets)
            return run(app, settings, door)
    except (OSError, ValueError) as error:
        print(f"visavis: {error}", file=sys.stderr)
        return 2


def check_certificate(certificate: str, key: str) -> None:
    """Raises `ValueError` unless these files hold a certificate and the key that belongs to it, in PEM."""
    for file in (certificate, key):
        if not Path(file).is_file():
            raise ValueError(f"there is no file {file}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        reason = error.reason or "neither is in PEM"
        raise ValueError(f"{certificate} and {key} are no certificate with its key: {reason}") from error


def bind(host: str, port: int) -> socket.socket:
    """A socket with this address (any free port for 0), on which nobody listens yet. Raises `OSError`, which says why
    not."""
    door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
    except OSError as error:
        door.close()
        raise OSError(f"{host}:{port} cannot be listened on: {error.strerror}") from error
    return door


def run(app: "FastAPI", settings: Settings, door: socket.socket) -> int:
    """Serve the application at a bound `door` until Ctrl-C."""
    import uvicorn

    from engines.memory import use_large_pages
    from realtime.server import Server

    sys.setswitchinterval(0.001)  # a worker shall not keep the loop, and with it the sound, waiting for the GIL
    gc.collect()
    gc.freeze()  # nor shall a look through all that is loaded, which takes 60 ms
    use_large_pages()
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
    )
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{scheme}://{host}:{door.getsockname()[1]}"
    server = Server(
        config, ready=lambda: print(f"Visavis on {address} (Ctrl-C ends it)", flush=True), ending=app.state.stop
    )
    with suppress(KeyboardInterrupt):  # uvicorn has closed by then and hands it on
        server.run([door])
    return 0


if __name__ == "__main__":
    sys.exit(main())
