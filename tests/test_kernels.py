"""Every kernel against NumPy or OpenCV: on a GPU where there is one, and on the CPU as plain C++ where it compiles."""

import cv2
import numpy as np
import pytest

from engines.avatar import list_avatars, load_avatar
from engines.kernels import NAMES, SOURCE, compile_kernels
from engines.landmarks import Crop
from engines.scene import FEATHER, Patch, Scene
from tests.kernel_machines import Array, Cpu, Gpu, Machine

ARCHITECTURES = ("sm_75", "sm_80", "sm_89", "sm_90", "sm_120")


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def machine(request: pytest.FixtureRequest) -> Machine:
    if request.param == "cpu":
        try:
            return Cpu()
        except LookupError as error:
            pytest.skip(str(error))
    core = pytest.importorskip("cuda.core", reason="the GPU needs cuda.core: pip install 'visavis[gpu]'")
    try:
        core.Device.get_all_devices()[0]
    except Exception as error:
        pytest.skip(f"there is no GPU: {error}")
    return Gpu()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_kernel_compiles(architecture: str) -> None:
    pytest.importorskip("cuda.core", reason="compiling needs cuda.core: pip install 'visavis[gpu]'")
    pytest.importorskip("cuda.bindings.nvrtc", reason="compiling needs NVRTC: pip install 'visavis[gpu]'")
    code = compile_kernels(architecture)
    assert code.code_type == "cubin" and code.code.startswith(b"\x7fELF")
    assert [name for name in NAMES if b".text." + name.encode() not in code.code] == []


def test_every_kernel_is_known() -> None:
    assert SOURCE.read_text().count("__global__ void") == len(NAMES)


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


SLOTS = np.array([4, -1, 0, 2], np.int32)
ROWS = [0, 2, 3]
"""Rows of a batch of 4 that are somebody's, and (`TAKEN`) whose."""
TAKEN = [4, 0, 2]


def test_rows_are_gathered_from_slots(machine: Machine) -> None:
    table, batch = noise(5, 300, 4), noise(4, 300, 4, seed=1)
    addresses = [machine.put(each) for each in (table, SLOTS, batch)]
    machine.kernels.gather_rows(machine.stream, addresses[0], addresses[1], addresses[2], 4, 4800)
    want = batch.copy()
    want[ROWS] = table[TAKEN]
    np.testing.assert_array_equal(machine.take(addresses[2]), want)


def test_rows_are_scattered_to_slots(machine: Machine) -> None:
    table, batch = noise(5, 300, 4), noise(4, 300, 4, seed=1)
    addresses = [machine.put(each) for each in (table, SLOTS, batch)]
    machine.kernels.scatter_rows(machine.stream, addresses[0], addresses[1], addresses[2], 4, 4800)
    want = table.copy()
    want[TAKEN] = batch[ROWS]
    np.testing.assert_array_equal(machine.take(addresses[0]), want)


def test_rows_that_do_not_fall_on_words_are_refused(machine: Machine) -> None:
    with pytest.raises(ValueError, match="rows of 18 bytes"):
        machine.kernels.gather_rows(machine.stream, 0, 0, 0, 1, 18)


def test_a_ring_keeps_the_past(machine: Machine) -> None:
    """Four sessions push for longer than their rings, and each sees its own past, oldest first."""
    length, width = 16, 9
    size = (length, width)
    rest = noise(width)
    ring, heads = machine.put(noise(5, length, width)), machine.put(np.full(5, 3, np.int32))
    everybody = machine.put(np.arange(5, dtype=np.int32))
    machine.kernels.ring_reset(machine.stream, ring, heads, everybody, machine.put(rest), 5, size)
    slots, past = machine.put(SLOTS), {slot: [rest] * length for slot in range(5)}
    for step in range(length + 5):
        values, chosen = noise(4, 3, width, seed=step), np.array([0, 1, 2, 1], np.int32)
        addresses = machine.put(values), machine.put(chosen)
        machine.kernels.ring_push(machine.stream, ring, heads, slots, *addresses, 4, 3, size)
        for row, slot in zip(ROWS, TAKEN, strict=True):
            past[slot] = [*past[slot][1:], values[row, chosen[row]]]
    history = machine.put(np.zeros((5, length, width), np.float32))
    machine.kernels.ring_window(machine.stream, ring, heads, everybody, history, 5, size)
    np.testing.assert_array_equal(machine.take(history), [past[slot] for slot in range(5)])
    machine.kernels.ring_reset(
        machine.stream, ring, heads, machine.put(np.array([2], np.int32)), machine.put(rest), 1, size
    )
    machine.kernels.ring_window(machine.stream, ring, heads, everybody, history, 5, size)
    past[2] = [rest] * length
    np.testing.assert_array_equal(machine.take(history), [past[slot] for slot in range(5)])


def test_keypoints_go_where_the_moves_put_them(machine: Machine) -> None:
    rows, count, stride = 3, 21, 128
    faces, moves = noise(rows, stride), noise(rows, 13 + 3 * count, seed=1)
    source, driving = (machine.put(np.zeros((rows, count, 3), np.float32)) for _ in range(2))
    both = machine.put(np.zeros((rows, 2, count, 3), np.float32))
    given = machine.put(faces), machine.put(moves)
    machine.kernels.place_keypoints(machine.stream, *given, source, driving, both, rows, count, stride)
    own, here = faces[:, : 6 * count].reshape(rows, 2, count, 3).transpose(1, 0, 2, 3)
    rotation, t, scale = moves[:, :9].reshape(rows, 3, 3), moves[:, 9:12], moves[:, 12]
    there = scale[:, None, None] * (own @ rotation + moves[:, 13:].reshape(rows, count, 3)) + t[:, None]
    np.testing.assert_array_equal(machine.take(source), here)
    np.testing.assert_allclose(machine.take(driving), there, atol=5e-6)
    np.testing.assert_allclose(machine.take(both), np.stack([here, there], 1), atol=5e-6)
    machine.kernels.place_keypoints(machine.stream, *given, source, driving, 0, rows, count, stride)
    np.testing.assert_allclose(machine.take(driving), there, atol=5e-6)


def test_keypoints_are_mended_one_by_one_and_all_together(machine: Machine) -> None:
    driving, offsets = noise(3, 21, 3), noise(3, 65, seed=1)
    mended = machine.put(driving)
    machine.kernels.stitch_keypoints(machine.stream, machine.put(offsets), mended, 3, 21)
    want = driving + offsets[:, :63].reshape(3, 21, 3)
    want[..., :2] += offsets[:, None, 63:]
    np.testing.assert_allclose(machine.take(mended), want, atol=1e-6)


def picture(rows: int, height: int, width: int) -> Array:
    """Every colour, and a little beyond black and white."""
    rng = np.random.default_rng(5)
    return rng.uniform(-0.1, 1.1, (rows, 3, height, width)).astype(np.float32)


def i420(planar: Array) -> Array:
    """What the CPU sends of pictures (rows, 3, height, width)."""
    levels = (planar.clip(0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return np.stack([cv2.cvtColor(each.transpose(1, 2, 0), cv2.COLOR_RGB2YUV_I420) for each in levels])


def test_pictures_become_planes_as_on_the_cpu(machine: Machine) -> None:
    planar = picture(2, 66, 34)
    planes = machine.put(np.zeros((2, 99, 34), np.uint8))
    machine.kernels.i420(machine.stream, machine.put(planar), planes, 2, 66, 34)
    np.testing.assert_array_equal(machine.take(planes), i420(planar))


def test_pictures_are_enlarged_as_on_the_cpu(machine: Machine) -> None:
    small = picture(2, 24, 24)
    for large in (48, 40):
        enlarged = machine.put(np.zeros((2, 3, large, large), np.float32))
        machine.kernels.enlarge(machine.stream, machine.put(small), enlarged, 2, 24, large)
        want = [
            [cv2.resize(plane, (large, large), interpolation=cv2.INTER_CUBIC) for plane in planes] for planes in small
        ]
        np.testing.assert_allclose(machine.take(enlarged), want, atol=2e-5)


def pasted(machine: Machine, planar: Array, patch: Patch) -> Array:
    """Planes of the patch."""
    height, width = patch.photo.shape[:2]
    planes = machine.put(np.zeros((height * 3 // 2, width), np.uint8))
    numbers = 512, FEATHER, patch.samples, height, width
    addresses = machine.put(planar), machine.put(patch.photo), planes
    machine.kernels.paste_back(machine.stream, *addresses, patch.matrix, *numbers)
    return machine.take(planes)


PHOTO = cv2.GaussianBlur(np.random.default_rng(7).integers(0, 256, (360, 640, 3), np.uint8), (0, 0), 6)


@pytest.mark.parametrize(
    "square",
    [Crop(300.0, 170.0, 260.0, 0.1), Crop(320.0, 180.0, 700.0, -0.05), Crop(90.3, 200.7, 130.0, -0.3)],
    ids=["inside", "larger than the photo", "four times smaller"],
)
def test_a_picture_is_laid_back_as_on_the_cpu(machine: Machine, square: Crop) -> None:
    shown, scene = load_avatar(list_avatars()[0]).picture, Scene(PHOTO, square)
    planar = np.ascontiguousarray(shown.transpose(2, 0, 1)).astype(np.float32) / 255
    got, want = scene.around(pasted(machine, planar, scene.patch)), scene.step(shown)
    changed = want != cv2.cvtColor(PHOTO, cv2.COLOR_RGB2YUV_I420)
    off = np.abs(got.astype(int) - want)
    assert got.shape == want.shape == (540, 640) and changed.mean() > 0.05
    assert off[changed].mean() < 0.6 and (off > 8).mean() < 0.002
    assert off.max() <= (1 if scene.patch.samples == 1 else 40), "smaller pictures are filtered otherwise"


def test_around_a_picture_that_is_laid_back_nothing_changes(machine: Machine) -> None:
    square = Crop(300.0, 170.0, 260.0, 0.1)
    scene = Scene(PHOTO, square)
    got = scene.around(pasted(machine, np.zeros((3, 512, 512), np.float32), scene.patch))
    photo = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2YUV_I420)
    x, y = np.meshgrid(np.arange(640), np.arange(360))
    u, v = np.moveaxis(square.to_crop(np.stack([x + 0.5, y + 0.5], -1)), -1, 0)
    depth = 1 - np.maximum(np.abs(u), np.abs(v))
    assert np.array_equal(got[:360][depth < 0], photo[:360][depth < 0])
    assert got[:360][depth > (FEATHER + 1) / 256].max() == 16, "black"


def test_what_is_laid_back_smaller_does_not_flicker(machine: Machine) -> None:
    """Stripes a pixel wide are grey from far away."""
    stripes = np.tile(np.arange(512, dtype=np.float32) % 2, (3, 512, 1))
    scene = Scene(np.full((200, 200, 3), 127, np.uint8), Crop(100.3, 100.8, 120.0, 0.0))
    assert scene.patch.samples == 5
    luma = pasted(machine, stripes, scene.patch)[: scene.patch.photo.shape[0]]
    assert np.abs(luma.astype(int) - 125).max() <= 12
