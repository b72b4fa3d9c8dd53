"""Fewer triangles for the same shape: half-edge collapses in the order of their quadric error.

A collapse moves a vertex onto a neighbour, so what is left is a subset of the vertices and everything bound to a
vertex (deltas, skin weights, texture coordinates) stays as it was. Garland and Heckbert, "Surface Simplification Using
Quadric Error Metrics" (1997).
"""

import heapq

import numpy as np
from numpy.typing import NDArray

from training.studio.assets import Points

BORDER_WEIGHT = 10.0
"""How much dearer it is to move an open border than a surface."""
LARGEST_TURN = 0.3
"""Cosine between a triangle's normals before and after a collapse below which the collapse would fold it."""


def decimate(vertices: Points, triangles: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """About `count` triangles in place of `triangles` (T, 3) over `vertices` (V, 3); more where any further collapse
    would fold one."""
    faces = {index: (int(a), int(b), int(c)) for index, (a, b, c) in enumerate(triangles)}
    beside: dict[int, set[int]] = {}
    for index, face in faces.items():
        for vertex in face:
            beside.setdefault(vertex, set()).add(index)
    quadrics = _quadrics(vertices, triangles)
    homogeneous = np.hstack([vertices, np.ones((len(vertices), 1))])

    def error(gone: int, kept: int) -> float:
        at = homogeneous[kept]
        return float(at @ (quadrics[gone] + quadrics[kept]) @ at)

    def neighbours(vertex: int) -> set[int]:
        return {other for index in beside[vertex] for other in faces[index]} - {vertex}

    def normal(face: tuple[int, ...]) -> Points:
        a, b, c = vertices[list(face)]
        across: Points = np.cross(b - a, c - a)
        return across

    def folds(gone: int, kept: int) -> bool:
        if len(neighbours(gone) & neighbours(kept)) > 2:
            return True
        for index in beside[gone]:
            if kept not in faces[index]:
                before, after = normal(faces[index]), normal(tuple(kept if v == gone else v for v in faces[index]))
                if float(before @ after) <= LARGEST_TURN * float(np.linalg.norm(before) * np.linalg.norm(after)):
                    return True
        return False

    queue: list[tuple[float, int, int]] = []
    for vertex in beside:
        queue += [(error(vertex, other), vertex, other) for other in neighbours(vertex)]
    heapq.heapify(queue)
    while queue and len(faces) > count:
        cost, gone, kept = heapq.heappop(queue)
        if gone not in beside or kept not in neighbours(gone):
            continue
        now = error(gone, kept)
        if now > cost * 1.0001 + 1e-12:
            heapq.heappush(queue, (now, gone, kept))
            continue
        if folds(gone, kept):
            continue
        for index in beside.pop(gone):
            if kept in faces[index]:
                for vertex in set(faces.pop(index)) - {gone}:
                    beside[vertex].discard(index)
            else:
                a, b, c = (kept if vertex == gone else vertex for vertex in faces[index])
                faces[index] = (a, b, c)
                beside[kept].add(index)
        quadrics[kept] += quadrics[gone]
        for other in neighbours(kept):
            heapq.heappush(queue, (error(kept, other), kept, other))
            heapq.heappush(queue, (error(other, kept), other, kept))
    return np.array([faces[index] for index in sorted(faces)], np.int64)


def _quadrics(vertices: Points, triangles: NDArray[np.int64]) -> Points:
    """Per vertex (V, 4, 4): the squared distance of a homogeneous point to the planes around it, each weighted by its
    triangle's area; an open border adds the plane through it, square to its triangle."""
    quadrics = np.zeros((len(vertices), 4, 4))

    def add(members: list[int], normal: Points, at: Points, weight: float) -> None:
        plane = np.append(normal, -normal @ at)
        quadrics[members] += weight * np.outer(plane, plane)

    edges: dict[tuple[int, int], list[Points]] = {}
    for face in triangles.tolist():
        p, q, r = vertices[face]
        normal = np.cross(q - p, r - p)
        length = max(float(np.linalg.norm(normal)), 1e-12)
        add(face, normal / length, p, length / 2)
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            edges.setdefault((min(a, b), max(a, b)), []).append(normal / length)
    for (a, b), normals in edges.items():
        if len(normals) == 1:
            across = np.cross(normals[0], vertices[b] - vertices[a])
            length = max(float(np.linalg.norm(across)), 1e-12)
            add([a, b], across / length, vertices[a], BORDER_WEIGHT * length * length)
    return quadrics
