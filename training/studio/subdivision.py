"""Catmull-Clark subdivision as a sparse matrix, and polygons to triangles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from training.studio.assets import Face, Points


@dataclass(frozen=True)
class Corners:
    """A triangle mesh whose vertices are unique (vertex, texture coordinate) pairs: `vertices` and `uvs` index them,
    `triangles` (T, 3) index the pairs."""

    vertices: NDArray[np.int64]
    uvs: NDArray[np.int64]
    triangles: NDArray[np.int32]


def corners(faces: Sequence[Face], face_uvs: Sequence[Face]) -> Corners:
    """Cut polygons into fans of triangles and join equal (vertex, texture coordinate) pairs."""
    fans = [(0, k, k + 1) for k in range(1, max(map(len, faces)) - 1)]
    pairs = [
        (face[corner], uv[corner])
        for face, uv in zip(faces, face_uvs, strict=True)
        for fan in fans[: len(face) - 2]
        for corner in fan
    ]
    unique, inverse = np.unique(np.array(pairs), axis=0, return_inverse=True)
    return Corners(unique[:, 0], unique[:, 1], inverse.reshape(-1, 3).astype(np.int32))


def select(faces: list[Face], face_uvs: list[Face], keep: Callable[[int, Face], bool]) -> tuple[list[Face], list[Face]]:
    """The faces (and their texture coordinates) for which `keep(index, face)` holds."""
    chosen = [index for index, face in enumerate(faces) if keep(index, face)]
    return [faces[index] for index in chosen], [face_uvs[index] for index in chosen]


@dataclass(frozen=True)
class Subdivision:
    """One level of Catmull-Clark. `matrix` (new vertices, old vertices): old vertices first, then one per face, then
    one per edge. Borders follow the cubic B-spline; texture coordinates are interpolated linearly."""

    matrix: sparse.csr_matrix
    uv_matrix: sparse.csr_matrix
    faces: list[Face]
    face_uvs: list[Face]


def _edges(faces: Sequence[Face], first: int) -> dict[tuple[int, int], int]:
    numbers: dict[tuple[int, int], int] = {}
    for face in faces:
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            numbers.setdefault((min(a, b), max(a, b)), first + len(numbers))
    return numbers


def _split(faces: Sequence[Face], edges: dict[tuple[int, int], int], first_face: int) -> list[Face]:
    """Each polygon of n corners becomes n quads: corner, next edge, centre, edge before."""
    quads: list[Face] = []
    for index, face in enumerate(faces):
        middle = [edges[min(a, b), max(a, b)] for a, b in zip(face, face[1:] + face[:1], strict=True)]
        quads += [(corner, middle[k], first_face + index, middle[k - 1]) for k, corner in enumerate(face)]
    return quads


def subdivide(count: int, faces: list[Face], uv_count: int, face_uvs: list[Face]) -> Subdivision:
    """Subdivide a mesh of `count` vertices and `uv_count` texture coordinates once."""
    edges = _edges(faces, count + len(faces))
    size = count + len(faces) + len(edges)
    neighbours: dict[int, list[int]] = {}
    for a, b in edges:
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    faces_of_edge: dict[int, list[Face]] = {}
    faces_of_vertex: dict[int, list[Face]] = {}
    for face in faces:
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            faces_of_edge.setdefault(edges[min(a, b), max(a, b)], []).append(face)
            faces_of_vertex.setdefault(a, []).append(face)
    border: dict[int, list[int]] = {}
    entries: list[tuple[int, int, float]] = []
    for index, face in enumerate(faces):
        entries += [(count + index, vertex, 1 / len(face)) for vertex in face]
    for (a, b), number in edges.items():
        beside = faces_of_edge[number]
        share = 0.25 if len(beside) == 2 else 0.5
        entries += [(number, a, share), (number, b, share)]
        if len(beside) == 2:
            entries += [(number, vertex, 0.25 / len(face)) for face in beside for vertex in face]
        else:
            border.setdefault(a, []).append(b)
            border.setdefault(b, []).append(a)
    for vertex in range(count):
        around = neighbours.get(vertex, [])
        n = len(around)
        if vertex in border or not n:
            ends = border.get(vertex, [])
            entries.append((vertex, vertex, 0.75 if len(ends) == 2 else 1.0))
            entries += [(vertex, end, 0.125) for end in ends if len(ends) == 2]
            continue
        entries.append((vertex, vertex, (n - 3) / n + 1 / n))
        entries += [(vertex, other, 1 / n**2) for other in around]
        entries += [(vertex, o, 1 / (n**2 * len(face))) for face in faces_of_vertex[vertex] for o in face]
    matrix = _matrix(entries, (size, count))

    uv_edges = _edges(face_uvs, uv_count + len(faces))
    uv_entries = [(index, index, 1.0) for index in range(uv_count)]
    for index, face in enumerate(face_uvs):
        uv_entries += [(uv_count + index, corner, 1 / len(face)) for corner in face]
    uv_entries += [(number, corner, 0.5) for edge, number in uv_edges.items() for corner in edge]
    uv_matrix = _matrix(uv_entries, (uv_count + len(faces) + len(uv_edges), uv_count))
    return Subdivision(matrix, uv_matrix, _split(faces, edges, count), _split(face_uvs, uv_edges, uv_count))


def _matrix(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> sparse.csr_matrix:
    rows, columns, values = (np.array(column) for column in zip(*entries, strict=True))
    return sparse.csr_matrix((values, (rows, columns)), shape=shape)


def vertex_normals(vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> Points:
    """Area-weighted unit normals (V, 3)."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    facing = np.cross(b - a, c - a)
    normals = np.stack(
        [np.bincount(triangles.ravel(), np.repeat(facing[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
    )
    unit: Points = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return unit
