"""Whether the picture data of a JPEG make sense to their last byte (ITU-T T.81, annexes B and F).

Decoders paint on over damage as well as they can. But after a damaged byte codes are read at wrong places, and then the
picture's last block does not end where the data do. Nothing is painted here: the codes are only followed.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.compiled import compiled

_FRAME, _TABLES, _INTERVAL, _SCAN = 0xC0, 0xC4, 0xDD, 0xDA
_OTHER_FRAMES: Final = frozenset(range(0xC1, 0xD0)) - {0xC4, 0xC8, 0xCC}
_RESTARTS: Final = frozenset(range(0xD0, 0xD8))
_MARKER: Final = re.compile(rb"\xff+[\x01-\xfe]")
_SPARE: Final = 4
"""Bytes behind a last block that do no harm: some encoders pad."""
_LOOK: Final = 16
"""Bits in the longest code."""


@dataclass
class _Header:
    """What stands before the picture data: the sampling of the components by their names; the codes by class and
    number, as `_codes` has them; how many units lie between restart markers."""

    width: int = 0
    height: int = 0
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
    codes: dict[int, NDArray[np.uint16]] = field(default_factory=dict)
    interval: int = 0


def is_whole(jpeg: bytes) -> bool | None:
    """Whether every block of a baseline JPEG can be read and the last one ends where its data do. None for other kinds
    (progressive, arithmetic, several scans), and where the header cannot be followed."""
    header, at = _Header(), 2
    try:
        while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
            kind, size = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
            if kind == 0xFF:  # padding
                at += 1
                continue
            body, at = jpeg[at + 4 : at + 2 + size], at + 2 + size
            if kind in _OTHER_FRAMES:
                return None
            if kind == _SCAN:
                return _follow(header, body, jpeg, at)
            _read_segment(header, kind, body)
    except (IndexError, KeyError, ZeroDivisionError):
        pass
    return None


def _read_segment(header: _Header, kind: int, body: bytes) -> None:
    if kind == _FRAME:
        header.height, header.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        named = (body[6 + 3 * n : 9 + 3 * n] for n in range(body[5]))
        header.sampling = {name: (shape >> 4, shape & 15) for name, shape, _ in named}
    elif kind == _INTERVAL:
        header.interval = int.from_bytes(body[:2], "big")
    elif kind == _TABLES:
        while body:
            counts = body[1:17]
            header.codes[body[0]] = _codes(counts, body[17 : 17 + sum(counts)])
            body = body[17 + sum(counts) :]


def _codes(counts: bytes, values: bytes) -> NDArray[np.uint16]:
    """What the next 16 bits begin with, (65536,): the length of its code * 256 + its value; 0 for none."""
    found, code, value = np.zeros(1 << _LOOK, np.uint16), 0, 0
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            first = code << (_LOOK - length)
            found[first : first + (1 << (_LOOK - length))] = length << 8 | values[value]
            code, value = code + 1, value + 1
        code <<= 1
    return found


def _follow(header: _Header, scan: bytes, jpeg: bytes, at: int) -> bool | None:
    count = scan[0]
    if count != len(header.sampling):
        return None  # more scans follow
    tables, blocks = [], []
    for name, chosen in zip(scan[1 : 1 + 2 * count : 2], scan[2 : 2 + 2 * count : 2], strict=True):
        across, down = header.sampling[name] if count > 1 else (1, 1)
        tables.append((header.codes[chosen >> 4], header.codes[0x10 | chosen & 15]))
        blocks.append(across * down)
    widest, highest = (max(sides) for sides in zip(*header.sampling.values(), strict=True)) if count > 1 else (1, 1)
    units = -(-header.width // (8 * widest)) * -(-header.height // (8 * highest))
    interval = header.interval or units
    pieces = _pieces(jpeg, at)
    if len(pieces) != -(-units // interval):
        return False
    codes = np.array(tables)
    return all(
        _ends(np.frombuffer(piece + bytes(4), np.uint8), codes, np.array(blocks), min(interval, units - n * interval))
        for n, piece in enumerate(pieces)
    )


def _pieces(jpeg: bytes, at: int) -> list[bytes]:
    """The data from `at` on between restart markers, as they were before zeros were stuffed in."""
    pieces = []
    for marker in _MARKER.finditer(jpeg, at):
        pieces.append(jpeg[at : marker.start()].replace(b"\xff\x00", b"\xff"))
        at = marker.end()
        if jpeg[at - 1] not in _RESTARTS:
            return pieces
    return [*pieces, jpeg[at:].replace(b"\xff\x00", b"\xff")]  # the end was forgotten


@compiled()
def _ends(data: Any, codes: Any, blocks: Any, units: int) -> bool:
    """Whether `units` of so many `blocks` of each component end where `data` do, behind which are four bytes more.
    `codes` uint16 (components, 2, 65536): for the first coefficient and for the others."""
    bits, at = 8 * (len(data) - 4), 0
    for _ in range(units):
        for component in range(len(blocks)):
            for _ in range(blocks[component]):
                coefficient = 0
                while coefficient < 64:
                    if at > bits:
                        return False
                    byte = at >> 3
                    word = np.int64(data[byte]) << 16 | np.int64(data[byte + 1]) << 8 | np.int64(data[byte + 2])
                    found = codes[component, min(coefficient, 1), (word >> (8 - (at & 7))) & 0xFFFF]
                    length, run, size = found >> 8, (found >> 4) & 15, found & 15
                    if length == 0:
                        return False
                    at += length + size
                    if coefficient == 0:
                        coefficient = 1
                    elif size == 0 and run < 15:
                        break
                    else:
                        coefficient += run + 1
                        if coefficient > 64:
                            return False
    return 0 <= bits - at < 8 * (_SPARE + 1)
