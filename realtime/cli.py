"""The command `visavis`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from engines.workers import Perform, perform_each
from realtime.engine import Avatars, Engine, Maker
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
    asked = (list(arguments) if arguments is not None else sys.argv[1:])[:1]
    if asked == ["render"]:
        render = import_module("realtime.render")  # only who renders pays for it
        render.add_arguments(render_parser)
        render_parser.set_defaults(run=render.run)
    avatar_parser = commands.add_parser("avatar", help="make an avatar of a photo")
    if asked == ["avatar"]:
        avatar_command = import_module("realtime.avatar_command")
        avatar_command.add_arguments(avatar_parser)
        avatar_parser.set_defaults(run=avatar_command.run)
    import_parser = commands.add_parser("import", help="check and convert checkpoints of the full-size networks")
    if asked == ["import"]:
        import_command = import_module("realtime.import_command")
        import_command.add_arguments(import_parser)
        import_parser.set_defaults(run=import_command.run)
    build_parser = commands.add_parser("build", help="compile the networks for this machine's GPU")
    if asked == ["build"]:
        build_command = import_module("realtime.build_command")
        build_command.add_arguments(build_parser)
        build_parser.set_defaults(run=build_command.run)
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
        # The networks take a moment to load: a wrong flag is told without them.
        from engines import avatar
        from engines.portrait_pack import AvatarMaker, user_folder
        from realtime.networks import load_networks

        maker = AvatarMaker(user_folder(settings.avatar_folder), settings.max_uploads)
        networks = load_networks(settings)
        return run(settings, networks.engine, avatar, maker, networks.perform, networks.buckets)
    except (OSError, ValueError) as error:
        print(f"visavis: {error}", file=sys.stderr)
        return 2


def run(
    settings: Settings,
    engine: Engine,
    avatars: Avatars,
    maker: Maker | None = None,
    perform: Perform = perform_each,
    buckets: tuple[int, ...] = (1,),
) -> int:
    """Serve with this engine until Ctrl-C (see `realtime.app.create_app`)."""
    import uvicorn

    from realtime.app import create_app

    app = create_app(settings, engine, avatars, maker, perform=perform, buckets=buckets)
    sys.setswitchinterval(0.001)  # a worker shall not keep the loop, and with it the sound, waiting for the GIL
    config = uvicorn.Config(
        app,
        settings.host,
        settings.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
    )
    scheme = "https" if settings.tls_cert else "http"
    print(f"Visavis on {scheme}://{settings.host}:{settings.port} (Ctrl-C ends it)", flush=True)
    with suppress(KeyboardInterrupt):  # uvicorn has closed by then and hands it on
        uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
