from pathlib import Path

import numpy as np
import pytest

from engines.retouch import RETOUCH, Retouch
from engines.retouching import retouch
from tests.photos import parted_photo, photo


@pytest.mark.parametrize("parted", [False, True])
def test_a_retouch_is_read_as_it_was_written(tmp_path: Path, parted: bool) -> None:
    picture, geometry = parted_photo() if parted else photo()
    made = retouch(picture, geometry)
    made.save(tmp_path)
    read = Retouch.load(tmp_path, len(geometry.mesh.triangles))
    for name in ("teeth", "tongue", "hollow", "cheeks"):
        np.testing.assert_array_equal(getattr(read.mouth, name), getattr(made.mouth, name))
    for name in ("bare", "light", "shine", "left", "top"):
        np.testing.assert_array_equal(getattr(read.eyes.eyeballs, name), getattr(made.eyes.eyeballs, name))
    np.testing.assert_array_equal(read.eyes.lids, made.eyes.lids)
    np.testing.assert_array_equal(read.sealed(picture), made.sealed(picture))
    assert (read.lips is not None) == parted
    assert (tmp_path / RETOUCH).stat().st_size < 200_000


def test_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / RETOUCH, lips=np.zeros(3))
    with pytest.raises(ValueError, match="no retouch"):
        Retouch.load(tmp_path, 9)
