"""Contracts of the full-size networks, and which network of a family each is the contract of.

LivePortrait and face-vid2vid share their extractor, warping and generator; only sizes and weights differ.
"""

from collections.abc import Iterator
from typing import Final

from torch import nn

from build_trt.contracts import Contract, Tensor
from networks import appearance, control_talk, keypoint_detector, motion_extractor, realtalk, warping
from networks.appearance import SOURCE_SIZE
from networks.control_talk import ControlTalk
from networks.face_vid2vid import FaceVid2Vid
from networks.live_portrait import LivePortrait
from networks.realtalk import AudioToExpression, ExpressionToFace

_VOLUME: Final = (1, appearance.FEATURES, appearance.DEPTH, appearance.CELLS, appearance.CELLS)
_FLAT: Final = (1, warping.CHANNELS, appearance.CELLS, appearance.CELLS)
_BINS: Final = 66
"""Classes that an angle is told in."""
_WITHIN: Final = (-0.8, 0.8)
"""Where keypoints are; the picture's edges are at -1 and 1."""


def _picture(name: str, size: int = SOURCE_SIZE) -> Tensor:
    return Tensor(name, (1, 3, size, size), span=(0, 1))


def _keypoints(name: str, count: int) -> Tensor:
    return Tensor(name, (1, count, 3), span=_WITHIN)


def extractor(family: str) -> Contract:
    """Once per avatar: picture, RGB in [0, 1] -> volume of features."""
    return Contract(f"{family}_appearance", (_picture("picture"),), (Tensor("volume", _VOLUME),))


def warper(family: str, count: int) -> Contract:
    """Per frame: the volume, and where its keypoints shall be and are -> flat features."""
    inputs = (Tensor("volume", _VOLUME, span=(-2, 2)), _keypoints("driving", count), _keypoints("source", count))
    return Contract(f"{family}_warping", inputs, (Tensor("features", _FLAT),))


def generator(family: str, size: int) -> Contract:
    """Per frame: flat features -> picture, RGB in [0, 1]."""
    features = Tensor("features", _FLAT, span=(-2, 2))
    return Contract(f"{family}_generator", (features,), (_picture("picture", size),))


def live_portrait_motion() -> Contract:
    """A picture, RGB in [0, 1] -> its motion: bins of the angles, and keypoints as rows of 63."""
    count = 3 * motion_extractor.KEYPOINTS
    widths = {"pitch": _BINS, "yaw": _BINS, "roll": _BINS, "t": 3, "exp": count, "scale": 1, "kp": count}
    outputs = tuple(Tensor(name, (1, width)) for name, width in widths.items())
    return Contract("live_portrait_motion", (_picture("picture"),), outputs)


def live_portrait_offsets(name: str, extra: int, outputs: int) -> Contract:
    """Source's keypoints and `extra` numbers -> offsets (see `networks.stitching`)."""
    count = 3 * motion_extractor.KEYPOINTS
    given = Tensor("given", (1, count + extra), span=_WITHIN)
    return Contract(f"live_portrait_{name}", (given,), (Tensor("offsets", (1, outputs)),))


def face_vid2vid_detector() -> Contract:
    """Once per avatar: picture, RGB in [0, 1] -> keypoints without pose and expression."""
    canonical = _keypoints("canonical", keypoint_detector.KEYPOINTS)
    return Contract("face_vid2vid_detector", (_picture("picture"),), (canonical,))


def face_vid2vid_pose() -> Contract:
    """A picture, RGB in [0, 1] -> bins of the angles, translation, expression as a row of 45."""
    widths = {"yaw": _BINS, "pitch": _BINS, "roll": _BINS, "t": 3, "exp": 3 * keypoint_detector.KEYPOINTS}
    outputs = tuple(Tensor(name, (1, width)) for name, width in widths.items())
    return Contract("face_vid2vid_pose", (_picture("picture"),), outputs)


def control_talk_audio2exp() -> Contract:
    """Per frame: 18 features of HuBERT-large and an expression -> the bias on it."""
    heard = Tensor("audio", (1, control_talk.WINDOW, control_talk.FEATURES), span=(-1, 1))
    exp = Tensor("exp", (1, keypoint_detector.KEYPOINTS, 3), span=(-0.1, 0.1))
    return Contract("control_talk", (heard, exp), (Tensor("bias", exp.shape),))


def realtalk_audio2exp() -> Contract:
    """Per sixteen frames: 32 features of a speech network, the shape of the face and its past expressions -> the next
    ones."""
    heard = Tensor("audio", (1, realtalk.AUDIO, control_talk.FEATURES), span=(-1, 1))
    expressions = (1, realtalk.HISTORY, realtalk.EXPRESSION)
    inputs = (heard, Tensor("shape", (1, realtalk.SHAPE), span=(-1, 1)), Tensor("history", expressions, span=(-1, 1)))
    spoken = Tensor("expressions", (1, realtalk.SPOKEN, realtalk.EXPRESSION))
    return Contract("realtalk_audio2exp", inputs, (spoken,))


def realtalk_renderer() -> Contract:
    """Per frame: the source and what of it stays, a reference for the texture, coefficients -> picture."""
    keep = Tensor("keep", (1, 1, realtalk.PICTURE, realtalk.PICTURE), span=(0, 1))
    count = realtalk.SHAPE + realtalk.EXPRESSION + realtalk.POSE
    pictures = (_picture(name, realtalk.PICTURE) for name in ("source", "reference", "picture"))
    source, reference, picture = pictures
    coefficients = Tensor("coefficients", (1, count), span=(-1, 1))
    return Contract("realtalk_renderer", (source, keep, reference, coefficients), (picture,))


def live_portrait(family: LivePortrait) -> Iterator[tuple[Contract, nn.Module]]:
    """Every network of LivePortrait with its contract."""
    count = motion_extractor.KEYPOINTS
    yield extractor("live_portrait"), family.appearance
    yield live_portrait_motion(), family.motion
    yield warper("live_portrait", count), family.warping
    yield generator("live_portrait", 2 * SOURCE_SIZE), family.generator
    yield live_portrait_offsets("stitching", 3 * count, 3 * count + 2), family.stitching
    yield live_portrait_offsets("lips", 2, 3 * count), family.lips
    yield live_portrait_offsets("eyes", 3, 3 * count), family.eyes


def face_vid2vid(family: FaceVid2Vid) -> Iterator[tuple[Contract, nn.Module]]:
    """Every network of face-vid2vid with its contract."""
    yield face_vid2vid_detector(), family.detector
    yield face_vid2vid_pose(), family.pose
    yield extractor("face_vid2vid"), family.appearance
    yield warper("face_vid2vid", keypoint_detector.KEYPOINTS), family.warping
    yield generator("face_vid2vid", SOURCE_SIZE), family.generator


def audio2exp(network: ControlTalk) -> Iterator[tuple[Contract, nn.Module]]:
    """ControlTalk's network with its contract."""
    yield control_talk_audio2exp(), network


def real_talk(speaker: AudioToExpression, renderer: ExpressionToFace) -> Iterator[tuple[Contract, nn.Module]]:
    """Both networks of RealTalk with their contracts."""
    yield realtalk_audio2exp(), speaker
    yield realtalk_renderer(), renderer
