"""`visavis avatar`: avatars of your own, from a photo or a clip of a few seconds.

    visavis avatar new photo.jpg --name "Aunt Eva"
    visavis avatar new clip.mp4
    visavis avatar list
    visavis avatar delete aunt-eva-3f2a1b

The server offers them beside those that ship. They lie in the folder of the setting `avatar_folder`.
"""

import argparse
import sys
from pathlib import Path

from engines.portrait_pack import AvatarMaker, user_folder
from realtime.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the three commands."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="action")
    new = commands.add_parser("new", help="make an avatar from a photo or a clip of one person, seen from the front")
    new.add_argument("file", type=Path, help="JPEG, PNG or WebP; or MP4, MOV, WebM, MKV or AVI, of which 10 s are used")
    new.add_argument("--name", default="", help="what the avatar is called (default: the file's name)")
    listing = commands.add_parser("list", help="the avatars made so far")
    delete = commands.add_parser("delete", help="remove one for good")
    delete.add_argument("id")
    for command in (new, listing, delete):
        command.add_argument(
            "--avatar-folder", type=str, help="where they lie (default: VISAVIS_AVATAR_FOLDER, or XDG)"
        )


def run(parsed: argparse.Namespace) -> int:
    """Do what was asked and return the exit status: 2 with the reason when it cannot be done."""
    try:
        settings = Settings.load(parsed)
        maker = AvatarMaker(user_folder(settings.avatar_folder), settings.max_uploads)
        if parsed.action == "list":
            print("\n".join(maker.list()) or "none yet: visavis avatar new photo.jpg")
        elif parsed.action == "delete":
            maker.delete(parsed.id)
        else:
            made = maker.create(parsed.file.read_bytes(), parsed.name or parsed.file.stem.replace("_", " "))
            for note in made.notes:
                print(f"visavis: {note}", file=sys.stderr)
            print(f"{made.id}  {maker.folder / made.id}")
        return 0
    except KeyError:
        print(f"visavis: there is no avatar {parsed.id!r} made of a photo or a clip", file=sys.stderr)
    except ValueError as error:  # a picture or portrait that is refused is one
        print(f"visavis: {error}", file=sys.stderr)
    except OSError as error:
        print(f"visavis: {error.filename or 'the disk'}: {error.strerror or error}", file=sys.stderr)
    return 2
