"""The cast: four people who ship, those who only teach the renderer, and two whom it never sees."""

from typing import Any

import numpy as np

from training.studio.identity import Colour, Identity, both_sides, random_sliders

_FEMALE, _MALE = "young_lightskinned_female_diffuse", "young_lightskinned_male_diffuse"

SHIPPED: tuple[Identity, ...] = (
    Identity(
        "mira",
        gender=0.0,
        age=0.46,
        race=(0.68, 0.2, 0.12),
        skin=_FEMALE + "3",
        hair="ponytail01",
        garment="female_casualsuit01",
        name="Mira",
        description="A young woman with pinned-up brown hair and a blue top.",
        weight=0.40,
        sliders={
            "head/head-fat|decr|incr": -0.2,
            "mouth/mouth-lowerlip-volume|decr|incr": 0.25,
            "mouth/mouth-upperlip-volume|decr|incr": 0.25,
            "chin/chin-width|decr|incr": -0.25,
            "mouth/mouth-angles|down|up": 0.2,
            "nose/nose-scale-horiz|decr|incr": -0.15,
        }
        | both_sides({"eyes/{}-eye-scale|decr|incr": 0.2, "cheek/{}-cheek-bones|decr|incr": 0.3}),
        lashes="eyelashes02",
        iris="brownlight",
        garment_colour=(0.02, 0.07, 0.12),
        garment_recolour=1.0,
        brow_colour=(0.045, 0.025, 0.015),
        lip_tint=(1.0, 0.78, 0.78),
        lip_recolour=0.7,
        backdrop=((0.66, 0.69, 0.72), (0.33, 0.36, 0.40)),
        key_light=1.85,
    ),
    Identity(
        "jonas",
        gender=1.0,
        age=0.55,
        race=(0.7, 0.1, 0.2),
        skin=_MALE + "2",
        hair="short02",
        garment="male_elegantsuit01",
        name="Jonas",
        description="A man in his thirties with short brown hair and a dark suit.",
        muscle=0.6,
        sliders=random_sliders(43, 0.22)
        | {
            "head/head-fat|decr|incr": -0.25,
            "chin/chin-prominent|decr|incr": 0.2,
            "mouth/mouth-angles|down|up": 0.25,
            "eyebrows/eyebrows-trans|down|up": 0.4,
            "eyebrows/eyebrows-angle|down|up": 0.25,
        },
        brows="eyebrow012",
        lashes="eyelashes02",
        iris="brownlight",
        picture_height=3.35,
        backdrop=((0.60, 0.60, 0.58), (0.26, 0.25, 0.26)),
        key_side=0.55,
    ),
    Identity(
        "amara",
        gender=0.0,
        age=0.45,
        race=(0.35, 0.0, 0.65),
        skin="young_darkskinned_female_diffuse",
        hair="ponytail01",
        garment="female_elegantsuit01",
        name="Amara",
        description="A young dark-skinned woman with short hair and a striped blouse.",
        sliders=random_sliders(3, 0.2)
        | {"mouth/mouth-angles|down|up": 0.25}
        | both_sides({"cheek/{}-cheek-bones|decr|incr": 0.3}),
        brows="eyebrow006",
        lashes="eyelashes03",
        hair_colour=(0.02, 0.014, 0.01),
        hair_recolour=0.8,
        lip_tint=(0.9, 0.45, 0.45),
        lip_recolour=0.6,
        skin_roughness=0.55,
        backdrop=((0.72, 0.62, 0.52), (0.34, 0.27, 0.23)),
        key_light=1.5,
    ),
    Identity(
        "ruth",
        gender=0.0,
        age=0.68,
        race=(0.9, 0.1, 0.0),
        skin="old_lightskinned_female_diffuse",
        hair="short02",
        garment="female_sportsuit01",
        name="Ruth",
        description="An elderly woman with short grey hair and a plum jersey.",
        weight=0.55,
        sliders=random_sliders(55, 0.2) | {"mouth/mouth-angles|down|up": 0.3},
        brows="eyebrow006",
        lashes="eyelashes01",
        iris="grey",
        hair_colour=(0.42, 0.41, 0.40),
        hair_recolour=0.9,
        hair_contrast=5.0,
        picture_height=3.35,
        garment_colour=(0.10, 0.03, 0.06),
        garment_recolour=1.0,
        brow_colour=(0.2, 0.17, 0.15),
        backdrop=((0.66, 0.64, 0.68), (0.33, 0.31, 0.36)),
        key_light=1.8,
    ),
)


def _extra(
    name: str,
    seed: int,
    gender: float,
    age: float,
    race: tuple[float, float, float],
    skin: str,
    hair: str,
    garment: str,
    **look: Any,
) -> Identity:
    """Someone with random sliders; the set (backdrop, light, framing) varies with the seed."""
    rng = np.random.default_rng(1000 + seed)
    inner = rng.uniform(0.35, 0.8) * rng.uniform(0.9, 1.1, 3)
    dark = "dark" in skin
    defaults: dict[str, Any] = {
        "sliders": random_sliders(seed, 0.25),
        "weight": float(rng.uniform(0.38, 0.6)),
        "backdrop": (tuple(inner), tuple(inner * rng.uniform(0.45, 0.7))),
        "key_light": float(rng.uniform(1.35, 1.6) if dark else rng.uniform(1.65, 2.05)),
        "key_side": float(rng.choice((-1, 1)) * rng.uniform(0.4, 0.7)),
        "picture_height": float(rng.uniform(3.1, 3.4)),
        "skin_roughness": 0.54 if dark else 0.46,
        "camera_yaw": float(rng.uniform(-0.06, 0.06)),
    }
    return Identity(name, gender, age, race, skin, hair, garment, **(defaults | look))


_DARK_F, _DARK_M = "young_darkskinned_female_diffuse", "young_darkskinned_male_diffuse"
_MID_F, _MID_M = "middleage_lightskinned_female_diffuse", "middleage_lightskinned_male_diffuse"
_MID_DARK_F, _MID_DARK_M = "middleage_darkskinned_female_diffuse", "middleage_darkskinned_male_diffuse"
_OLD_F, _OLD_M = "old_lightskinned_female_diffuse", "old_lightskinned_male_diffuse"
_SUIT_F, _TEE_F, _JERSEY_F = "female_elegantsuit01", "female_casualsuit01", "female_sportsuit01"
_SUIT_M, _TEE_M, _SHIRT_M = "male_elegantsuit01", "male_casualsuit04", "male_casualsuit06"


def _dyed(garment: Colour, hair: Colour | None = None) -> dict[str, Any]:
    dye: dict[str, Any] = {"garment_colour": garment, "garment_recolour": 0.9}
    if hair is not None:
        dye |= {"hair_colour": hair, "hair_recolour": 0.85}
    return dye


_LONG = {"brows": "eyebrow001", "lashes": "eyelashes02"}
_ROSE = {"lip_tint": (1.0, 0.72, 0.72), "lip_recolour": 0.6}
_BERRY = {"lip_tint": (0.9, 0.48, 0.48), "lip_recolour": 0.55}
_BLACK, _GREY, _BLOND, _RED = (0.02, 0.015, 0.012), (0.3, 0.29, 0.28), (0.42, 0.30, 0.14), (0.20, 0.06, 0.025)

# fmt: off
TRAINING: tuple[Identity, ...] = (
    _extra("t00", 1, 0.0, 0.42, (0.65, 0.2, 0.15), _FEMALE, "long01", _TEE_F, iris="bluegreen", **_LONG, **_ROSE,
           **_dyed((0.02, 0.06, 0.09))),
    _extra("t01", 6, 1.0, 0.72, (0.1, 0.0, 0.9), _MID_DARK_M, "short01", _SUIT_M, brows="eyebrow012",
           hair_colour=_BLACK, hair_recolour=0.6),
    _extra("t02", 21, 0.0, 0.5, (0.2, 0.8, 0.0), _FEMALE + "2", "short04", _TEE_F, **_LONG, **_ROSE,
           **_dyed((0.3, 0.05, 0.05))),
    _extra("t03", 22, 1.0, 0.45, (0.9, 0.1, 0.0), _MALE, "short01", _SHIRT_M, brows="eyebrow010", iris="lightblue",
           **_dyed((0.05, 0.1, 0.2), (0.25, 0.16, 0.07))),
    _extra("t04", 23, 0.0, 0.6, (0.6, 0.0, 0.4), _MID_F, "braid01", _JERSEY_F, brows="eyebrow006", lashes="eyelashes03",
           iris="green", **_dyed((0.05, 0.12, 0.06))),
    _extra("t05", 24, 1.0, 0.66, (0.5, 0.5, 0.0), _MID_M + "2", "short02", _TEE_M, brows="eyebrow012",
           **_dyed((0.2, 0.2, 0.22), (0.05, 0.05, 0.05))),
    _extra("t06", 25, 0.0, 0.48, (0.2, 0.2, 0.6), _MID_DARK_F, "afro01", _SUIT_F, **_LONG, **_BERRY,
           hair_colour=_BLACK, hair_recolour=0.8),
    _extra("t07", 26, 1.0, 0.5, (0.4, 0.3, 0.3), _MALE + "3", "short04", _SUIT_M, brows="eyebrow009",
           iris="brownlight"),
    _extra("t08", 55, 0.0, 0.78, (1.0, 0.0, 0.0), _OLD_F, "ponytail01", _JERSEY_F, brows="eyebrow006",
           lashes="eyelashes04", iris="lightblue", brow_colour=(0.2, 0.17, 0.15), **_dyed((0.10, 0.03, 0.06), _GREY)),
    _extra("t09", 61, 1.0, 0.8, (0.9, 0.1, 0.0), _OLD_M, "short02", _SHIRT_M, brows="eyebrow012", iris="grey",
           brow_colour=(0.18, 0.16, 0.14), **_dyed((0.12, 0.14, 0.18), (0.4, 0.39, 0.38))),
    _extra("t10", 62, 0.0, 0.46, (0.1, 0.0, 0.9), _DARK_F, "ponytail01", _TEE_F, brows="eyebrow006",
           lashes="eyelashes03", **_BERRY, **_dyed((0.35, 0.22, 0.03), _BLACK)),
    _extra("t11", 63, 1.0, 0.48, (0.1, 0.1, 0.8), _DARK_M, "afro01", _TEE_M, brows="eyebrow009",
           **_dyed((0.35, 0.35, 0.33), _BLACK)),
    _extra("t12", 64, 0.0, 0.44, (0.9, 0.05, 0.05), _FEMALE + "3", "long01", _SUIT_F, iris="blue", **_LONG, **_ROSE,
           hair_colour=_BLOND, hair_recolour=0.8, brow_colour=(0.16, 0.10, 0.05)),
    _extra("t13", 65, 1.0, 0.42, (0.3, 0.7, 0.0), _MALE + "2", "short02", _SUIT_M, brows="eyebrow010",
           hair_colour=_BLACK, hair_recolour=0.8),
    _extra("t14", 66, 0.0, 0.56, (0.5, 0.2, 0.3), _MID_F + "2", "short02", _JERSEY_F, iris="green", **_LONG, **_ROSE,
           **_dyed((0.05, 0.05, 0.2), _RED), brow_colour=(0.10, 0.04, 0.02)),
    _extra("t15", 67, 1.0, 0.6, (0.8, 0.1, 0.1), _MID_M, "short01", _TEE_M, brows="eyebrow002", iris="deepblue",
           **_dyed((0.05, 0.16, 0.12), (0.12, 0.08, 0.05))),
    _extra("t16", 68, 0.0, 0.5, (0.1, 0.8, 0.1), _FEMALE, "braid01", _SUIT_F, **_LONG, **_ROSE),
    _extra("t17", 69, 1.0, 0.55, (0.2, 0.1, 0.7), _MID_DARK_M, "short04", _SHIRT_M, brows="eyebrow004",
           **_dyed((0.25, 0.04, 0.05), _BLACK)),
    _extra("t18", 70, 0.0, 0.7, (0.3, 0.1, 0.6), "old_darkskinned_female_diffuse", "ponytail01", _SUIT_F,
           brows="eyebrow006", **_BERRY, hair_colour=_GREY, hair_recolour=0.8),
    _extra("t19", 71, 1.0, 0.46, (0.7, 0.0, 0.3), _MALE + "3", "short02", _SHIRT_M, brows="eyebrow012", iris="green",
           **_dyed((0.3, 0.28, 0.22), _BLOND), brow_colour=(0.14, 0.09, 0.05)),
    _extra("t20", 72, 0.0, 0.47, (0.5, 0.5, 0.0), _FEMALE + "2", "ponytail01", _TEE_F, iris="brownlight", **_LONG,
           **_ROSE, **_dyed((0.4, 0.38, 0.36), (0.06, 0.035, 0.02))),
    _extra("t21", 73, 1.0, 0.7, (0.2, 0.0, 0.8), "old_darkskinned_male_diffuse", "short01", _TEE_M, brows="eyebrow009",
           **_dyed((0.08, 0.1, 0.3), (0.12, 0.12, 0.12))),
)

HELD_OUT: tuple[Identity, ...] = (
    _extra("h0", 31, 0.0, 0.52, (0.8, 0.2, 0.0), _MID_F + "2", "short02", _TEE_F, iris="bluegreen", **_LONG, **_ROSE,
           **_dyed((0.12, 0.14, 0.2), (0.16, 0.07, 0.03))),
    _extra("h1", 4, 1.0, 0.48, (0.25, 0.75, 0.0), _MALE + "3", "short04", _TEE_M, brows="eyebrow010",
           **_dyed((0.07, 0.08, 0.085))),
)
# fmt: on
