import numpy as np

from engines.flow import Flow
from engines.unmoved import ASTRAY, keep_unmoved

Y, X = np.mgrid[:512, :512].astype(np.uint32)


def flow(shift: float = 0.0) -> Flow:
    """The cells in rows 40 and 41, columns 30 to 34, came from `shift` pixels above."""
    coarse = np.zeros((64, 64, 2), np.float32)
    coarse[40:42, 30:35, 1] = -shift / 256
    everywhere = np.full((512, 512), 255, np.uint8)
    return Flow(X * 32 | Y * 32 << np.uint32(14), everywhere, everywhere, coarse)


FRAME = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
PAINTED = 255 - FRAME


def test_where_nothing_moves_the_frame_is_kept() -> None:
    assert np.array_equal(keep_unmoved(FRAME, PAINTED, flow()).picture, FRAME)
    assert np.array_equal(keep_unmoved(FRAME, PAINTED, flow(0.1)).picture, FRAME), "trembling is no motion"


def test_what_moved_is_painted_softly() -> None:
    kept = keep_unmoved(FRAME, PAINTED, flow(4.0)).picture
    assert np.array_equal(kept[325:331, 246:274], PAINTED[325:331, 246:274])
    assert np.array_equal(kept[:300], FRAME[:300]) and np.array_equal(kept[:, :200], FRAME[:, :200])
    flat = keep_unmoved(np.zeros_like(FRAME), np.full_like(FRAME, 200), flow(4.0)).picture.astype(int)
    assert np.abs(np.diff(flat[..., 0], axis=0)).max() < 200 / 8, "no edge shows where the one begins"


def test_places_that_cannot_be_true_show_the_frame() -> None:
    astray = flow(4.0)
    astray.place[328, 260] = (260 + ASTRAY + 2) * 32 | 328 * 32 << 14
    kept = keep_unmoved(FRAME, PAINTED, astray).picture
    assert np.array_equal(kept[328, 260], FRAME[328, 260]) and np.array_equal(kept[328, 261], PAINTED[328, 261])
