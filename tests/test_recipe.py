import zlib
from typing import Any

import numpy as np
import pytest

from build_trt import recipe

NAMES = ("c.weight_orig", "c.weight_u")
ENTRIES: list[dict[str, Any]] = [
    {
        "name": "c.weight_v",
        "shape": [6],
        "dtype": "float32",
        "fill": ["spectral_v", "c.weight_orig", "c.weight_u", 0.3],
    },
    {"name": "c.weight_orig", "shape": [4, 6, 1, 1], "dtype": "float32", "fill": ["normal", 0.0, 0.5]},
    {"name": "c.weight_u", "shape": [4], "dtype": "float32", "fill": ["unit"]},
    {"name": "n.running_var", "shape": [5], "dtype": "float32", "fill": ["abs_normal", 1.0, 0.1]},
    {"name": "n.num_batches_tracked", "shape": [], "dtype": "int64", "fill": ["zeros"]},
    {"name": "down.weight", "shape": [3, 1, 13, 13], "dtype": "float32", "fill": ["blur", 1.5]},
]


def test_values_depend_on_name_and_seed_alone() -> None:
    once = recipe.noise("image", (2, 3), 1)
    assert np.array_equal(once, recipe.noise("image", (2, 3), 1)) and once.dtype == np.float64
    known = recipe.tensor("mlp.0.bias", (128,), 0.0, 0.02, 1)
    assert zlib.crc32(known.tobytes()) == 4153147011, "the same numbers on every machine"
    assert not np.array_equal(once, recipe.noise("image", (2, 3), 2))
    shifted = recipe.tensor("image", (2, 3), 5.0, 0.5, 1)
    assert shifted.dtype == np.float32
    np.testing.assert_allclose(shifted, 5 + 0.5 * once, rtol=1e-6)


def test_every_rule_gives_what_it_says() -> None:
    made = recipe.state(ENTRIES, seed=7)
    assert {name: value.shape for name, value in made.items()} == {e["name"]: tuple(e["shape"]) for e in ENTRIES}
    assert {name: str(value.dtype) for name, value in made.items()} == {e["name"]: e["dtype"] for e in ENTRIES}
    u, v, weight = made["c.weight_u"], made["c.weight_v"], made["c.weight_orig"].reshape(4, 6)
    assert np.linalg.norm(u) == pytest.approx(1) and np.linalg.norm(v) == pytest.approx(1)
    along = weight.T @ u / np.linalg.norm(weight.T @ u)
    assert 0.8 < along @ v < 0.99999, "near what the matrix takes to u, not that itself"
    assert made["n.running_var"].min() >= 1 and made["n.num_batches_tracked"] == 0
    window = made["down.weight"][2, 0]
    assert window.sum() == pytest.approx(1) and np.array_equal(window, window.T)
    assert window[6, 6] / window[6, 7] == pytest.approx(np.exp(1 / 4.5), rel=1e-5)
    assert np.array_equal(made["down.weight"][0], made["down.weight"][1])


def test_the_order_of_entries_does_not_matter_and_unknown_rules_are_refused() -> None:
    forward, backward = recipe.state(ENTRIES, 7), recipe.state(ENTRIES[::-1], 7)
    assert all(np.array_equal(forward[name], backward[name]) for name in forward)
    with pytest.raises(ValueError, match=r"x shall be filled by the rule \['magic'\]"):
        recipe.state([{"name": "x", "shape": [1], "dtype": "float32", "fill": ["magic"]}], 1)
