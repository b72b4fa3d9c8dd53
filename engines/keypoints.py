"""Names and groups of the head mesh's keypoints: what `HeadMesh.keypoints` lists, in that order.

A name ends in the side (the model's) and, where there are several, a number; `MIRROR` pairs the sides.
"""

from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


KEYPOINT_NAMES: Final = _words(
    """
    mouth_corner_left mouth_corner_right lip_upper_outer_middle lip_upper_outer_left_0 lip_upper_outer_right_0
    lip_upper_outer_left_1 lip_upper_outer_right_1 lip_upper_outer_left_2 lip_upper_outer_right_2
    lip_lower_outer_middle lip_lower_outer_left_0 lip_lower_outer_right_0 lip_lower_outer_left_1
    lip_lower_outer_right_1 lip_upper_inner_middle lip_upper_inner_left_0 lip_upper_inner_right_0
    lip_upper_inner_left_1 lip_upper_inner_right_1 lip_lower_inner_middle lip_lower_inner_left_0
    lip_lower_inner_right_0 lip_lower_inner_left_1 lip_lower_inner_right_1 lid_left_0 lid_right_0 lid_left_1
    lid_right_1 lid_left_2 lid_right_2 lid_left_3 lid_right_3 lid_left_4 lid_right_4 lid_left_5 lid_right_5
    lid_left_6 lid_right_6 lid_left_7 lid_right_7 iris_left iris_right brow_left_0 brow_right_0 brow_left_1
    brow_right_1 brow_left_2 brow_right_2 nose_tip nose_bridge nose_mid nose_base alar_left alar_right chin
    chin_crease outline_left_0 outline_right_0 outline_left_1 outline_right_1 outline_left_2 outline_right_2
    outline_left_3 outline_right_3 outline_left_4 outline_right_4 crown forehead forehead_left forehead_right
    cheek_left cheek_right cheek_low_left cheek_low_right jowl_left jowl_right neck_left neck_right neck_front
    collar_left collar_right shoulder_left shoulder_right teeth_upper_middle teeth_upper_left teeth_upper_right
    teeth_lower_middle teeth_lower_left teeth_lower_right tongue_tip surface_left_0 surface_right_0 surface_left_1
    surface_right_1 surface_left_2 surface_right_2 surface_left_3 surface_right_3 surface_left_4 surface_right_4
    surface_left_5 surface_right_5 surface_left_6 surface_right_6 surface_left_7 surface_right_7 surface_left_8
    surface_right_8 surface_left_9 surface_right_9 surface_left_10 surface_right_10 surface_left_11 surface_right_11
    surface_left_12 surface_right_12 surface_left_13 surface_right_13 surface_left_14 surface_right_14
    surface_left_15 surface_right_15 surface_left_16 surface_right_16 surface_left_17 surface_right_17
    surface_left_18 surface_right_18 surface_left_19 surface_right_19 surface_left_20 surface_right_20
    surface_left_21 surface_right_21 surface_left_22 surface_right_22 surface_left_23 surface_right_23
    surface_left_24 surface_right_24 surface_left_25 surface_right_25 surface_left_26 surface_right_26
    surface_left_27 surface_right_27 surface_left_28 surface_right_28 surface_left_29 surface_right_29
    surface_left_30 surface_right_30 surface_left_31 surface_right_31
    """
)


def _group(*stems: str) -> tuple[int, ...]:
    return tuple(index for index, name in enumerate(KEYPOINT_NAMES) if name.startswith(stems))


def _mirrored(name: str) -> str:
    swap = {"left": "right", "right": "left"}
    return "_".join(swap.get(word, word) for word in name.split("_"))


MIRROR: Final = tuple(KEYPOINT_NAMES.index(_mirrored(name)) for name in KEYPOINT_NAMES)
"""For each keypoint the index of its mirror image (itself on the middle line)."""

LIPS: Final = _group("mouth_corner", "lip_upper_outer", "lip_lower_outer")
"""The rim of the lips."""
INNER_LIPS: Final = _group("lip_upper_inner", "lip_lower_inner")
"""Where the lips touch when the mouth is shut."""
INTERIOR: Final = _group("teeth", "tongue")
"""Teeth and tongue: hidden while the mouth is shut."""
MOUTH: Final = tuple(sorted((*LIPS, *INNER_LIPS, *INTERIOR, *_group("chin_crease", "nose_base", "jowl"))))
"""Everything around the mouth."""
LIDS: Final = _group("lid")
EYES: Final = tuple(sorted((*LIDS, *_group("iris", "brow", "nose_bridge"))))
"""Lids, irises, brows and the bridge of the nose."""
