"""People by their number: several hundred identities as different as the assets allow, for the renderer to learn from.

Sex, age, mixture of races, face shape, skin, eyes, brows, hair, clothes, light, lens and backdrop all come from one
seed.
"""

import colorsys

import numpy as np

from training.studio.identity import Colour, Identity, random_sliders

_SKINS = {
    "female": (
        "young_lightskinned_female_diffuse",
        "young_lightskinned_female_diffuse2",
        "young_lightskinned_female_diffuse3",
        "middleage_lightskinned_female_diffuse",
        "middleage_lightskinned_female_diffuse2",
        "old_lightskinned_female_diffuse",
        "young_darkskinned_female_diffuse",
        "middleage_darkskinned_female_diffuse",
        "old_darkskinned_female_diffuse",
    ),
    "male": (
        "young_lightskinned_male_diffuse",
        "young_lightskinned_male_diffuse2",
        "young_lightskinned_male_diffuse3",
        "middleage_lightskinned_male_diffuse",
        "middleage_lightskinned_male_diffuse2",
        "old_lightskinned_male_diffuse",
        "young_darkskinned_male_diffuse",
        "middleage_darkskinned_male_diffuse",
        "old_darkskinned_male_diffuse",
    ),
}
_HAIR = {
    "female": ("ponytail01", "long01", "braid01", "afro01", "short01", "short02", "short03", "short04", "bob02"),
    "male": ("short01", "short02", "short03", "short04", "afro01", "ponytail01"),
}
_FRINGED = ("braid01", "bob02", "short03")
"""Styles whose fringe covers an eye unless the hair is tilted back."""
_GARMENTS = {
    "female": ("female_casualsuit01", "female_elegantsuit01", "female_sportsuit01", "male_casualsuit04"),
    "male": ("male_casualsuit04", "male_casualsuit06", "male_elegantsuit01", "female_sportsuit01"),
}
_IRISES = ("blue", "bluegreen", "brown", "brownlight", "deepblue", "green", "grey", "ice", "lightblue")
_HAIR_COLOURS: tuple[Colour, ...] = (
    (0.015, 0.012, 0.010),
    (0.04, 0.025, 0.015),
    (0.10, 0.05, 0.025),
    (0.20, 0.06, 0.025),
    (0.25, 0.16, 0.07),
    (0.42, 0.30, 0.14),
)
_GREY: Colour = (0.38, 0.37, 0.36)
_TONES = np.array(
    [(0.07, 0.038, 0.024), (0.17, 0.09, 0.055), (0.34, 0.19, 0.12), (0.55, 0.34, 0.235), (0.76, 0.47, 0.34)]
)
"""A scale of skins, mean of the face in linear RGB, dark to light."""


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = (float(value) for value in np.clip(values, 0.0, 1.0))
    return red, green, blue


def skin_tone(lightness: float) -> Colour:
    """The tone at `lightness` (0 darkest to 1 lightest) on the scale of skins, linear RGB."""
    steps = np.linspace(0, 1, len(_TONES))
    return _colour(np.array([np.interp(lightness, steps, _TONES[:, channel]) for channel in range(3)]))


def passer_by(seed: int) -> Identity:
    """The identity that `seed` stands for, named ``p`` and its number."""
    rng = np.random.default_rng([seed, 0x5D10])

    def one_of(choices: tuple[str, ...]) -> str:
        return choices[rng.integers(len(choices))]

    sex = "female" if rng.random() < 0.5 else "male"
    gender = float(rng.uniform(0, 0.2) if sex == "female" else rng.uniform(0.8, 1))
    age = float(0.36 + 0.5 * rng.beta(1.2, 1.8))
    race = rng.dirichlet((0.6, 0.6, 0.6))
    stages = ("young",) if age < 0.52 else ("young", "middleage") if age < 0.68 else ("middleage", "old")
    shade = "dark" if race[2] > 0.5 else "light"
    skins = tuple(skin for skin in _SKINS[sex] if skin.startswith(stages) and shade in skin)
    lightness = float(np.clip(0.8 - 0.75 * race[2] + rng.normal(0, 0.12), 0, 1))
    toned = rng.random() < 0.7
    grey = rng.random() < np.clip((age - 0.6) * 4, 0, 1)
    darkest = 3 if race[0] < 0.5 else len(_HAIR_COLOURS)
    dye = _GREY if grey else _HAIR_COLOURS[rng.integers(darkest)]
    hair = np.array(dye) * rng.uniform(0.7, 1.3)
    cloth = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.9), rng.uniform(0.02, 0.5))
    wall = rng.uniform(0.2, 0.85) * rng.uniform(0.85, 1.15, 3)
    style = one_of(_HAIR[sex])
    bright = lightness if toned else (0.15 if shade == "dark" else 0.85)
    return Identity(
        f"p{seed:04d}",
        gender,
        age,
        (float(race[0]), float(race[1]), float(race[2])),
        skin=one_of(skins),
        hair=style,
        garment=one_of(_GARMENTS[sex]),
        weight=float(rng.uniform(0.35, 0.7)),
        muscle=float(rng.uniform(0.35, 0.65)),
        sliders=random_sliders(int(rng.integers(1 << 31)), float(rng.uniform(0.15, 0.33))),
        brows=f"eyebrow{rng.integers(1, 13):03d}",
        lashes=f"eyelashes{rng.integers(1, 5):02d}",
        iris=one_of(_IRISES if race[0] > 0.6 else ("brown", "brownlight")),
        hair_colour=_colour(hair),
        hair_recolour=float(rng.uniform(0.6, 0.9)),
        hair_tilt=(float(rng.uniform(-16, -6) if style in _FRINGED else rng.normal(0, 2)), 0.0, 0.0),
        hair_mirrored=bool(rng.random() < 0.5),
        hair_contrast=float(4.5 if grey else rng.uniform(1.6, 2.6)),
        brow_colour=_colour(np.minimum(hair, 0.2) * 0.5),
        garment_colour=_colour(np.array(cloth)),
        garment_recolour=0.0 if rng.random() < 0.25 else float(rng.uniform(0.7, 1)),
        skin_tone=skin_tone(lightness) if toned else None,
        skin_roughness=float(rng.uniform(0.4, 0.58)),
        lip_tint=_colour(np.array([1.0, 0.72, 0.72]) * rng.uniform(0.6, 1)),
        lip_recolour=float(rng.uniform(0, 0.8)) if sex == "female" else 0.0,
        backdrop=(_colour(wall), _colour(wall * rng.uniform(0.35, 0.9))),
        backdrop_seed=int(rng.integers(1, 1 << 31)) if rng.random() < 0.6 else 0,
        key_light=float(rng.uniform(1.6, 2.1) - 0.45 * bright + 0.2),
        key_side=float(rng.choice((-1, 1)) * rng.uniform(0.15, 0.9)),
        key_warmth=float(rng.uniform(-0.06, 0.16)),
        fill_light=float(rng.uniform(0.15, 0.7)),
        rim_light=float(rng.uniform(0.1, 1.0)),
        dome_light=float(rng.uniform(0.35, 0.7)),
        picture_height=float(rng.uniform(2.8, 3.6)),
        camera_yaw=float(rng.uniform(-0.1, 0.1)),
        camera_rise=float(rng.uniform(-0.06, 0.06)),
        field_of_view=float(rng.uniform(11, 30)),
    )
