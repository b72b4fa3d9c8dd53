"""Who a head is: the macro mix and sliders that shape the base mesh, and what the head wears."""

from dataclasses import dataclass, field

import numpy as np

from training.studio.assets import Assets, Points

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Identity:
    """One person. `gender` 0 female to 1 male; `age`, `weight` and `muscle` 0 to 1 (age .5 is 25 years, 1 is 90);
    `race` the shares of MakeHuman's caucasian, asian and african meshes; `sliders` name shape targets as
    ``folder/name|negative|positive`` with a weight of -1 to 1. Colours are linear RGB; the `*_recolour` values say how
    far (0 to 1) a colour replaces that of the texture, and `skin_tone`, where given, becomes the mean of the skin.
    `hair_tilt` (degrees of pitch, yaw, roll) moves a fringe out of the eyes.
    `picture_height` (dm), `camera_yaw`, `camera_rise` (radians) and `field_of_view` (degrees) frame the picture as
    `camera.portrait_camera` says; the lights are those of `camera.studio_lights`, the backdrop of `camera.backdrop`."""

    id: str
    gender: float
    age: float
    race: tuple[float, float, float]
    skin: str
    hair: str
    garment: str
    name: str = ""
    description: str = ""
    weight: float = 0.5
    muscle: float = 0.5
    sliders: dict[str, float] = field(default_factory=dict)
    brows: str = "eyebrow001"
    lashes: str = "eyelashes01"
    iris: str = "brown"
    hair_colour: Colour = (0.1, 0.1, 0.1)
    hair_recolour: float = 0.0
    hair_tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)
    hair_mirrored: bool = False
    hair_contrast: float = 2.0
    brow_colour: Colour = (0.03, 0.02, 0.015)
    garment_colour: Colour = (0.1, 0.12, 0.2)
    garment_recolour: float = 0.0
    skin_tone: Colour | None = None
    skin_roughness: float = 0.46
    lip_tint: Colour = (1.0, 1.0, 1.0)
    lip_recolour: float = 0.0
    backdrop: tuple[Colour, Colour] = ((0.62, 0.66, 0.70), (0.30, 0.33, 0.37))
    backdrop_seed: int = 0
    key_light: float = 2.05
    key_side: float = -0.55
    key_warmth: float = 0.06
    fill_light: float = 0.32
    rim_light: float = 0.9
    dome_light: float = 0.46
    picture_height: float = 3.2
    camera_yaw: float = 0.0
    camera_rise: float = 0.0
    field_of_view: float = 17.0


RACES = ("caucasian", "asian", "african")

_SLIDERS = {
    "head/head-age|decr|incr": 0.3,
    "head/head-fat|decr|incr": 0.4,
    "head/head-angle|in|out": 0.3,
    "head/head-scale-vert|decr|incr": 0.35,
    "head/head-scale-horiz|decr|incr": 0.35,
    "head/head-scale-depth|decr|incr": 0.3,
    "forehead/forehead-scale-vert|decr|incr": 0.5,
    "forehead/forehead-trans|backward|forward": 0.4,
    "forehead/forehead-temple|decr|incr": 0.4,
    "eyebrows/eyebrows-angle|down|up": 0.5,
    "eyebrows/eyebrows-trans|down|up": 0.5,
    "chin/chin-height|decr|incr": 0.5,
    "chin/chin-width|decr|incr": 0.6,
    "chin/chin-prominent|decr|incr": 0.5,
    "chin/chin-jaw-drop|decr|incr": 0.4,
    "chin/chin-bones|decr|incr": 0.5,
    "mouth/mouth-scale-horiz|decr|incr": 0.4,
    "mouth/mouth-scale-vert|decr|incr": 0.35,
    "mouth/mouth-upperlip-volume|decr|incr": 0.6,
    "mouth/mouth-lowerlip-volume|decr|incr": 0.6,
    "mouth/mouth-trans|down|up": 0.4,
    "mouth/mouth-angles|down|up": 0.4,
    "mouth/mouth-cupidsbow|decr|incr": 0.6,
    "nose/nose-scale-horiz|decr|incr": 0.5,
    "nose/nose-scale-vert|decr|incr": 0.5,
    "nose/nose-scale-depth|decr|incr": 0.4,
    "nose/nose-hump|decr|incr": 0.5,
    "nose/nose-width1|decr|incr": 0.5,
    "nose/nose-width3|decr|incr": 0.5,
    "nose/nose-point|down|up": 0.6,
    "nose/nose-curve|concave|convex": 0.5,
    "nose/nose-volume|decr|incr": 0.5,
    "nose/nose-base|down|up": 0.4,
    "neck/neck-scale-horiz|decr|incr": 0.3,
    "neck/neck-double|decr|incr": 0.4,
}
"""Spread of each random slider, standard deviation at amount 1."""

_PAIRED_SLIDERS = {
    "cheek/{}-cheek-volume|decr|incr": 0.6,
    "cheek/{}-cheek-bones|decr|incr": 0.6,
    "cheek/{}-cheek-inner|decr|incr": 0.4,
    "cheek/{}-cheek-trans|down|up": 0.5,
    "eyes/{}-eye-scale|decr|incr": 0.4,
    "eyes/{}-eye-height2|decr|incr": 0.5,
    "eyes/{}-eye-corner1|down|up": 0.5,
    "eyes/{}-eye-corner2|down|up": 0.5,
    "eyes/{}-eye-trans|in|out": 0.35,
    "eyes/{}-eye-bag|decr|incr": 0.5,
    "eyes/{}-eye-eyefold|concave|convex": 0.6,
    "ears/{}-ear-scale|decr|incr": 0.4,
    "ears/{}-ear-wing|decr|incr": 0.5,
}


def random_sliders(seed: int, amount: float) -> dict[str, float]:
    """Sliders drawn around 0; beyond an `amount` of about 0.35 people turn into caricatures. Left and right differ a
    little."""
    rng = np.random.default_rng(seed)
    sliders = {}
    for name, spread in _SLIDERS.items():
        sliders[name] = float(np.clip(rng.normal() * spread * amount, -1, 1))
    for name, spread in _PAIRED_SLIDERS.items():
        value = rng.normal() * spread * amount
        for side in "lr":
            sliders[name.format(side)] = float(np.clip(value + rng.normal() * 0.08 * amount / 0.25, -1, 1))
    return sliders


def both_sides(pairs: dict[str, float]) -> dict[str, float]:
    """Sliders named with ``{}`` for the side, given to both."""
    return {name.format(side): weight for name, weight in pairs.items() for side in "lr"}


def macro_weights(identity: Identity) -> dict[str, float]:
    """Weights of the macro targets: the product of the factors in each name."""
    age, gender = identity.age, identity.gender
    if age < 0.5:
        young = max(0.0, (age - 0.1875) * 3.2)
        ages = {"child": max(0.0, min(1.0, 5.333 * age) - young), "young": young}
    else:
        ages = {"young": 2 - 2 * age, "old": 2 * age - 1}

    def split(value: float, noun: str) -> dict[str, float]:
        high, low = max(0.0, 2 * value - 1), max(0.0, 1 - 2 * value)
        return {f"max{noun}": high, f"min{noun}": low, f"average{noun}": 1 - high - low}

    weights: dict[str, float] = {}
    total = sum(identity.race)
    for sex, sex_share in (("male", gender), ("female", 1 - gender)):
        for stage, age_share in ages.items():
            for race, share in zip(RACES, identity.race, strict=True):
                weights[f"macrodetails/{race}-{sex}-{stage}"] = sex_share * age_share * share / total
            for muscle, muscle_share in split(identity.muscle, "muscle").items():
                for weight, weight_share in split(identity.weight, "weight").items():
                    share = sex_share * age_share * muscle_share * weight_share
                    weights[f"macrodetails/universal-{sex}-{stage}-{muscle}-{weight}"] = share
    return {name: share for name, share in weights.items() if share > 1e-6}


def shape(assets: Assets, identity: Identity) -> Points:
    """Base vertices (V, 3) of `identity`, before any expression. Raises `FileNotFoundError` for an unknown slider."""
    vertices = assets.base.vertices.copy()
    weights = macro_weights(identity)
    for slider, value in identity.sliders.items():
        if abs(value) > 1e-6:
            name, negative, positive = slider.split("|")
            weights[f"{name}-{positive if value > 0 else negative}"] = abs(value)
    for name, weight in weights.items():
        index, offsets = assets.target(name)
        vertices[index] += weight * offsets
    return vertices
