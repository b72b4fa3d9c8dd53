"""The studio's commands: `sheet`, `frames` and `pack`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2

from engines.media import FRAME_SIZE
from training.studio.assets import Assets
from training.studio.cast import HELD_OUT, SHIPPED
from training.studio.crowd import passer_by
from training.studio.figure import Wardrobe
from training.studio.frames import schedule, write_frames, write_meshes
from training.studio.identity import Identity
from training.studio.pack import PORTRAIT_SAMPLES, write_pack
from training.studio.rasterizer import Rasterizer
from training.studio.sampler import states
from training.studio.scene import Scene
from training.studio.sheet import cast_sheet, contact_sheet

CAST = {identity.id: identity for identity in (*SHIPPED, *HELD_OUT)}


def _identity(name: str) -> Identity:
    """Someone of the cast by name, or ``p17``: the passer-by of that number."""
    if name in CAST:
        return CAST[name]
    if name[:1] == "p" and name[1:].isdigit():
        return passer_by(int(name[1:]))
    raise argparse.ArgumentTypeError(f"{name} is neither of {', '.join(CAST)} nor a passer-by such as p17")


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is no number of heads")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.studio", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sheet = commands.add_parser("sheet", help="the cast at rest, or one identity in all fixed states")
    sheet.add_argument("--identity", type=_identity, help="one of the cast, or a passer-by such as p17")
    sheet.add_argument("--crowd", type=_count, default=0, help="so many passers-by instead of the cast")
    sheet.add_argument("--crop", action="store_true", help="the face only, at full detail")
    sheet.add_argument("picture", type=Path)
    frames = commands.add_parser("frames", help="labelled frames to train the renderer on; resumes")
    frames.add_argument("--out", type=Path, required=True)
    frames.add_argument("--seed", type=int, default=0)
    frames.add_argument("--identities", type=_count, default=0, help="passers-by beside the cast")
    frames.add_argument("--worker", type=int, default=0, help="which of the workers this is, from 0")
    frames.add_argument("--workers", type=int, default=1)
    pack = commands.add_parser("pack", help="the avatar packs that ship")
    pack.add_argument("--out", type=Path, required=True, help="engines/assets/avatars")
    for command in (frames, pack):
        command.add_argument("--meshes-only", action="store_true", help="renew what goes with pictures that stay")
    for command in (sheet, frames, pack):
        command.add_argument("--assets", type=Path, required=True, help="MakeHuman's data folder")
    asked = parser.parse_args(arguments)
    try:
        assets = Assets(asked.assets)
    except FileNotFoundError as error:
        parser.error(str(error))
    if asked.command == "sheet" and not (cv2.haveImageWriter(asked.picture.name) and asked.picture.parent.is_dir()):
        parser.error(f"{asked.picture} cannot be written: name a PNG or JPEG file in a folder that exists")

    if asked.command == "frames" and asked.meshes_only:
        write_meshes(asked.assets, asked.out, asked.identities)
        return
    if asked.command == "frames":
        write_frames(asked.assets, asked.out, schedule(asked.identities), asked.seed, asked.worker, asked.workers)
        return
    wardrobe = Wardrobe(assets)
    if asked.command == "pack":
        rasterizer = Rasterizer(FRAME_SIZE, supersampling=PORTRAIT_SAMPLES)
        for identity in SHIPPED:
            print(write_pack(Scene(wardrobe, rasterizer, identity), asked.out, asked.meshes_only))
        return
    if asked.identity is not None:
        scene = Scene(wardrobe, Rasterizer(FRAME_SIZE), asked.identity)
        picture = contact_sheet(scene, states(), crop=asked.crop)
    else:
        shown = [passer_by(number) for number in range(asked.crowd)] or list(CAST.values())
        picture = cast_sheet(wardrobe, Rasterizer(FRAME_SIZE // 2), shown)
    cv2.imwrite(str(asked.picture), picture[..., ::-1])


if __name__ == "__main__":
    main()
