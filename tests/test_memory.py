from pathlib import Path

import numpy as np
import pytest

from engines.memory import LARGE, _data, use_large_pages

MAPS = """\
00400000-00a00000 rw-p 00000000 00:00 0                                  [heap]
01000000-011fffff rw-p 00000000 00:00 0
02100000-02700000 rw-p 00000000 00:00 0
03000000-04000000 rw-p 00000000 fe:00 1234                               /usr/lib/a library.so
05000000-06000000 r--p 00000000 00:00 0
07ffd000-09ffd000 rw-p 00000000 00:00 0                                  [stack]
"""


def test_whole_large_pages_of_plain_memory_are_found() -> None:
    assert list(_data(MAPS)) == [(0x400000, 0xA00000), (0x2200000, 0x2600000)]


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").is_dir(), reason="this system has none")
def test_memory_keeps_its_contents_and_is_asked_for_in_large_pages() -> None:
    memory = np.arange(4 * LARGE, dtype=np.int64)
    use_large_pages()
    np.testing.assert_array_equal(memory, np.arange(len(memory)))
    flags = _flags(memory.ctypes.data + memory.nbytes // 2)
    assert "hg" in flags, "MADV_HUGEPAGE"


def _flags(address: int) -> list[str]:
    """What Linux notes of the memory at an address."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head, *rest = line.split()
        if "-" in head and not head.endswith(":"):
            start, stop = (int(at, 16) for at in head.split("-"))
            inside = start <= address < stop
        elif inside and head == "VmFlags:":
            return rest
    return []
