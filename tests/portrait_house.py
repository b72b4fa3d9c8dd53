"""The real server and page, an engine of no weight, and avatars made of photos by a search that knows one face:
`python -m tests.portrait_house serve --avatar-folder DIR [flags]`."""

import argparse
import sys
from pathlib import Path

import numpy as np

from engines import avatar
from engines.landmarks import TRACKED, Face, LandmarkFinder
from engines.portrait_pack import AvatarMaker
from realtime.cli import run
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.portrait_house")
    Settings.add_arguments(parser.add_subparsers(required=True).add_parser("serve"))
    settings = Settings.load(parser.parse_args())
    maker = AvatarMaker(Path(settings.avatar_folder), settings.max_uploads)
    maker.__dict__["_finder"] = OneFace()
    return run(settings, FakeEngine(), avatar, maker)


if __name__ == "__main__":
    sys.exit(main())
