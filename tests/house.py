"""The real server, page and avatars on an engine of no weight: `python -m tests.house serve [flags]`.

It takes four calls. With an `--avatar-folder` it makes avatars of photos, by a search that knows one face.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from engines import avatar
from engines.landmarks import TRACKED, Face, LandmarkFinder
from engines.portrait_pack import AvatarMaker, Made
from realtime.app import create_app
from realtime.cli import bind, run
from realtime.maker_process import MakerProcess
from realtime.settings import Settings
from tests.fakes import FakeEngine
from tests.portraits import shipped_points


class OneFace(LandmarkFinder):
    """Finds the face of the first avatar that ships in its own picture, and nobody in any other."""

    def __init__(self) -> None:
        self._known = avatar.load_avatar(avatar.list_avatars()[0]).picture

    def find(self, picture: np.ndarray) -> list[Face]:
        same = picture.shape == self._known.shape and np.abs(picture.astype(int) - self._known).mean() < 4
        return [Face(shipped_points(), np.ones(len(TRACKED), np.float32), 1.0)] if same else []


class HouseMaker(AvatarMaker):
    """Makes them in this process."""

    def close(self) -> None:
        pass


class Dawdler(MakerProcess):
    """Takes a minute for every avatar, in the process that the server has for it."""

    def create(self, data: bytes, name: str) -> Made:
        self._work(time.sleep, 60)
        raise AssertionError("a minute is over")


def make_avatars(settings: Settings, dawdle: bool) -> HouseMaker | Dawdler | None:
    if not settings.avatar_folder:
        return None
    if dawdle:
        return Dawdler(Path(settings.avatar_folder), settings.max_uploads)
    maker = HouseMaker(Path(settings.avatar_folder), settings.max_uploads)
    maker.__dict__["_finder"] = OneFace()
    return maker


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.house")
    serve = parser.add_subparsers(required=True).add_parser("serve")
    Settings.add_arguments(serve)
    serve.add_argument("--cost", type=float, default=0.0, help="seconds that a picture takes")
    serve.add_argument("--dawdle", action="store_true", help="take a minute for an avatar")
    parsed = parser.parse_args()
    settings = Settings.load(parsed)
    settings = replace(settings, max_sessions=settings.max_sessions or 4)
    app = create_app(settings, FakeEngine(parsed.cost), avatar, make_avatars(settings, parsed.dawdle))
    return run(app, settings, bind(settings.host, settings.port))


if __name__ == "__main__":
    sys.exit(main())
