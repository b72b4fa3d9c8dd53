"""MakeHuman's CC0 assets as arrays: base mesh, targets, proxies, skeleton, face poses and textures.

Everything is read from one folder laid out as MakeHuman's `data` folder. Lengths are decimetres, x to the model's
left, y up, z forward; faces are quads; UV origin at the bottom left.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

Points = NDArray[np.float64]
Face = tuple[int, ...]


@dataclass(frozen=True)
class ObjMesh:
    """Vertices (V, 3), texture coordinates (U, 2); per face its vertices, its texture coordinates and its group."""

    vertices: Points
    uvs: Points
    faces: list[Face]
    face_uvs: list[Face]
    face_groups: list[str]


@dataclass(frozen=True)
class Proxy:
    """A mesh bound to the base mesh: vertex = references . base + offset * scale of the identity.

    `references` is sparse (N, base vertices); `offsets` (N, 3); `scales` maps an axis (0, 1, 2) to two base vertices
    and the distance at which an offset has its nominal length.
    """

    mesh: ObjMesh
    references: sparse.csr_matrix
    offsets: Points
    scales: dict[int, tuple[int, int, float]]

    def scaled_offsets(self, base: Points) -> Points:
        """Offsets (N, 3) for an identity whose base vertices are `base`."""
        scale = np.ones(3)
        for axis, (first, second, nominal) in self.scales.items():
            scale[axis] = abs(base[first, axis] - base[second, axis]) / nominal
        return self.offsets * scale


@dataclass(frozen=True)
class Skeleton:
    """Bones in an order with parents first: names, parent index (-1 for none), the base vertices whose mean is the
    bone's head, and skin weights (base vertices, bones), rows summing to 1 (0 where nothing is bound)."""

    names: list[str]
    parents: list[int]
    heads: list[list[int]]
    weights: sparse.csr_matrix

    def joint(self, name: str, base: Points) -> Points:
        """Where the head of bone `name` is (3,) on the base vertices of an identity."""
        joint: Points = base[self.heads[self.names.index(name)]].mean(0)
        return joint


def parse_obj(lines: Iterator[str]) -> ObjMesh:
    """Read a Wavefront mesh of polygons."""
    vertices, uvs = [], []
    faces: list[Face] = []
    face_uvs: list[Face] = []
    groups: list[str] = []
    group = ""
    for line in lines:
        kind, *fields = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in fields[:3]])
        elif kind == "vt":
            uvs.append([float(x) for x in fields[:2]])
        elif kind == "g":
            group = fields[0]
        elif kind == "f":
            corners = [corner.split("/") for corner in fields]
            faces.append(tuple(int(corner[0]) - 1 for corner in corners))
            face_uvs.append(tuple(int(corner[1]) - 1 if len(corner) > 1 and corner[1] else 0 for corner in corners))
            groups.append(group)
    return ObjMesh(np.array(vertices), np.array(uvs or [[0.0, 0.0]]), faces, face_uvs, groups)


def parse_target(text: str) -> tuple[NDArray[np.int64], Points]:
    """Read a morph target: base vertices (n,) and their offsets (n, 3) at weight 1."""
    rows = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    table = np.array(" ".join(rows).split(), np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int64), table[:, 1:]


def parse_mhclo(lines: Iterator[str]) -> tuple[str, list[list[float]], dict[int, tuple[int, int, float]]]:
    """Read a proxy's binding: the name of its mesh, one row `a b c wa wb wc dx dy dz` per vertex, and its scales.

    Header lines may follow the start of the vertex list, so a row is told by its leading number; the vertices that a
    garment would hide are not read (skin stays under clothes).
    """
    name, rows, scales, reading = "", [], {}, False
    for line in lines:
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if fields[0] == "verts":
            reading = True
        elif fields[0] == "delete_verts":
            reading = False
        elif reading and fields[0].lstrip("-").isdigit():
            if len(fields) == 1:
                rows.append([float(fields[0])] * 3 + [1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
            else:
                rows.append([float(x) for x in fields[:9]])
        elif fields[0] in ("x_scale", "y_scale", "z_scale"):
            scales["xyz".index(fields[0][0])] = (int(fields[1]), int(fields[2]), float(fields[3]))
        elif fields[0] == "obj_file":
            name = fields[1]
    return name, rows, scales


class Assets:
    """The assets under `root` (MakeHuman's `data` folder), read when first asked for and kept."""

    def __init__(self, root: Path) -> None:
        if not (root / "3dobjs" / "base.obj").is_file():
            raise FileNotFoundError(f"{root} is not MakeHuman's data folder: 3dobjs/base.obj is missing")
        self.root = root
        self._targets: dict[str, tuple[NDArray[np.int64], Points]] = {}
        self._proxies: dict[str, Proxy] = {}

    @cached_property
    def base(self) -> ObjMesh:
        with (self.root / "3dobjs" / "base.obj").open(encoding="utf8") as lines:
            return parse_obj(lines)

    @cached_property
    def groups(self) -> dict[str, NDArray[np.int64]]:
        """Base vertices of each group (`body`, `helper-l-eye`, `joint-neck`, ...)."""
        members: dict[str, set[int]] = {}
        for face, group in zip(self.base.faces, self.base.face_groups, strict=True):
            members.setdefault(group, set()).update(face)
        return {group: np.array(sorted(vertices)) for group, vertices in members.items()}

    def has_target(self, name: str) -> bool:
        return (self.root / "targets" / f"{name}.target").is_file()

    def target(self, name: str) -> tuple[NDArray[np.int64], Points]:
        """The morph target `targets/<name>.target`: see `parse_target`."""
        if name not in self._targets:
            text = (self.root / "targets" / f"{name}.target").read_text(encoding="utf8", errors="replace")
            self._targets[name] = parse_target(text)
        return self._targets[name]

    def proxy(self, folder: str) -> Proxy:
        """The proxy in `folder`, such as `hair/short02`."""
        if folder not in self._proxies:
            where = self.root / folder
            with (where / f"{where.name}.mhclo").open(encoding="utf8", errors="replace") as lines:
                name, rows, scales = parse_mhclo(lines)
            with (where / name).open(encoding="utf8", errors="replace") as lines:
                mesh = parse_obj(lines)
            table = np.array(rows)
            if len(table) != len(mesh.vertices):
                raise ValueError(f"{where}: {len(table)} bindings for {len(mesh.vertices)} vertices")
            at = (np.repeat(np.arange(len(table)), 3), table[:, :3].astype(int).ravel())
            references = sparse.csr_matrix((table[:, 3:6].ravel(), at), shape=(len(table), len(self.base.vertices)))
            self._proxies[folder] = Proxy(mesh, references, table[:, 6:9], scales)
        return self._proxies[folder]

    @cached_property
    def skeleton(self) -> Skeleton:
        rig = json.loads((self.root / "rigs" / "default.mhskel").read_text())
        bound = json.loads((self.root / "rigs" / "default_weights.mhw").read_text())["weights"]
        names: list[str] = []

        def visit(name: str) -> None:
            if name not in names:
                if rig["bones"][name]["parent"]:
                    visit(rig["bones"][name]["parent"])
                names.append(name)

        for name in rig["bones"]:
            visit(name)
        entries = [(vertex, bone, weight) for bone, name in enumerate(names) for vertex, weight in bound.get(name, [])]
        vertices, bones, weights = (np.array(column) for column in zip(*entries, strict=True))
        matrix = sparse.csr_matrix((weights, (vertices, bones)), shape=(len(self.base.vertices), len(names)))
        total = np.asarray(matrix.sum(1)).ravel()
        matrix = (sparse.diags(np.where(total > 1e-4, 1 / np.maximum(total, 1e-4), 0.0)) @ matrix).tocsr()
        parents = [names.index(rig["bones"][name]["parent"]) if rig["bones"][name]["parent"] else -1 for name in names]
        return Skeleton(names, parents, [rig["joints"][rig["bones"][name]["head"]] for name in names], matrix)

    @cached_property
    def face_poses(self) -> dict[str, dict[str, Points]]:
        """Face pose unit -> bone -> rotation vector (3,) at weight 1, about the bone's head in world axes."""
        names = json.loads((self.root / "poseunits" / "face-poseunits.json").read_text())["framemapping"]
        hierarchy, motion = (self.root / "poseunits" / "face-poseunits.bvh").read_text().split("MOTION")
        bones: list[str] = []
        channels: list[list[str]] = []
        for line in hierarchy.splitlines():
            fields = line.split()
            if fields and fields[0] in ("ROOT", "JOINT"):
                bones.append(fields[1])
            elif fields and fields[0] == "CHANNELS":
                channels.append(fields[2:])
        poses = {}
        for name, line in zip(names, motion.strip().splitlines()[2:], strict=False):
            values = iter(float(x) for x in line.split())
            turns = {}
            for bone, kinds in zip(bones, channels, strict=True):
                turn = np.eye(3)
                for kind in kinds:
                    angle = np.radians(next(values))
                    if kind.endswith("rotation"):
                        turn = turn @ cv2.Rodrigues(angle * np.eye(3)["XYZ".index(kind[0])])[0]
                vector = cv2.Rodrigues(turn)[0].ravel()
                if np.linalg.norm(vector) > 1e-3:
                    turns[bone] = vector
            poses[name] = turns
        return poses

    def texture(self, name: str, largest: int = 2048) -> NDArray[np.uint8]:
        """A picture as uint8 RGBA (h, w, 4), bottom row first, no side longer than `largest`."""
        image = cv2.imread(str(self.root / name), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise FileNotFoundError(f"no picture {self.root / name}")
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGRA)
        elif image.shape[2] == 3:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
        if max(image.shape) > largest:
            image = cv2.resize(image, (largest, largest), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(image[::-1, :, [2, 1, 0, 3]])

    @cached_property
    def skin_mask(self) -> NDArray[np.uint8]:
        """Where the skin's texture shows lips, eyelids and the inside of the mouth: RGBA (2048, 2048, 4)."""
        masks = [self.texture(f"masks/mpfb_{part}.jpg")[..., 0] for part in ("lips", "eyelids", "inside-mouth")]
        masks = [cv2.resize(mask, (2048, 2048)) for mask in masks]
        return np.ascontiguousarray(np.dstack([*masks, np.full_like(masks[0], 255)]))
