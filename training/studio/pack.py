"""Avatar packs: everything that serving needs of one person, in one small folder."""

import json
from dataclasses import asdict
from pathlib import Path

import cv2

from engines.face_geometry import Interior, SourceGeometry
from engines.media import Motion
from training.studio.eyeballs import make_eyeballs
from training.studio.globe import make_globe
from training.studio.head_export import head_mesh
from training.studio.interior import write_interior
from training.studio.scene import Scene

THUMBNAIL_SIZE = 192
PORTRAIT_SAMPLES = 3
"""Samples across a pixel of the portraits."""
LICENCE = "CC0-1.0: drawn by training/studio from MakeHuman's CC0 assets"


def write_pack(scene: Scene, out: Path, meshes_only: bool = False) -> Path:
    """Write `out`/<id>/ with `avatar.json`, `mesh.npz`, `source.png`, `thumbnail.jpg`, `interior.*`, `globe_*` and
    `eyeballs.npz`; returns it. With `meshes_only` the portrait that lies there stays."""
    identity = scene.figure.identity
    folder = out / identity.id
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "name": identity.name,
        "description": identity.description,
        "licence": LICENCE,
        "camera": asdict(scene.camera),
    }
    (folder / "avatar.json").write_text(json.dumps(about, indent=2) + "\n")
    mesh = head_mesh(scene.figure)
    mesh.save(folder / "mesh.npz")
    make_globe(scene, mesh).save(folder)
    write_interior(scene.figure.wardrobe, folder)
    make_eyeballs(scene, SourceGeometry(mesh, scene.camera, Interior.load(folder))).save(folder)
    if meshes_only:
        return folder
    picture = scene.shoot(Motion())[..., ::-1]
    cv2.imwrite(str(folder / "source.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    size = (THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    thumbnail = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / "thumbnail.jpg"), thumbnail, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return folder
