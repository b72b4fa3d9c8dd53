import numpy as np
import pytest

from engines.lip_making import sealed_lips
from engines.mouth_making import inner_cheeks, lip_masks
from engines.retouching import retouch
from tests.photos import TEETH, parted_photo, photo


def test_lips_that_touch_stay() -> None:
    picture, geometry = photo()
    assert sealed_lips(picture, geometry, inner_cheeks(geometry.mesh)) is None
    assert retouch(picture, geometry).sealed(picture) is picture


@pytest.mark.parametrize("spill", [0, 3])
def test_nobody_wears_teeth_on_the_lips(spill: int) -> None:
    picture, geometry = parted_photo(spill)
    sealed = retouch(picture, geometry).sealed(picture)
    changed = (sealed != picture).any(2)
    opening, mouth = lip_masks(geometry, inner_cheeks(geometry.mesh))
    assert changed[opening > 0].mean() > 0.98
    far = np.abs(sealed.astype(int) - TEETH).sum(2)
    toothlike = (np.abs(picture.astype(int) - TEETH).sum(2) < 10) & (mouth > 0)
    assert toothlike.sum() > 100 and (far[toothlike] > 60).mean() > 0.97
    assert not changed[mouth == 0].any() or changed[mouth == 0].mean() < 0.002


def test_where_lips_will_meet_it_is_dark() -> None:
    picture, geometry = parted_photo()
    sealed = retouch(picture, geometry).sealed(picture).astype(int)
    opening, mouth = lip_masks(geometry, inner_cheeks(geometry.mesh))
    rim = (mouth > 0) & (opening == 0)
    assert sealed[opening > 0].sum(1).mean() < 0.85 * sealed[rim].sum(1).mean()
