"""Do our networks compute what the published ones compute? `python -m build_trt.parity FOLDER`.

The folder holds what the public reference code gave for made-up weights: `index.json` names cases, their inputs and,
for each output, its shape, how it was thinned out, and what it may differ by; `specs/` the weights' recipe (see
`build_trt.recipe`); `<case>.npz` and `images.npz` the arrays. Every case is run in float32 on the CPU; the worst and
the root-mean-square difference of what was kept of an output, and a projection of all of it on noise, are compared.
The exit status is 1 if anything is out.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from build_trt import recipe
from networks import face_vid2vid, live_portrait
from networks.control_talk import ControlTalk
from networks.face_vid2vid import FaceVid2Vid
from networks.head_pose import HeadPose
from networks.live_portrait import Face, LivePortrait
from networks.motion_extractor import Motion

Tensors = dict[str, Tensor]


class Networks(nn.Module):
    """The three families, without weights until a case asks for them."""

    def __init__(self, specs: Path, seed: int) -> None:
        super().__init__()
        self.specs, self.seed = specs, seed
        self.loaded: set[str] = set()
        with torch.device("meta"):
            self.portrait, self.face, self.talk = LivePortrait(), FaceVid2Vid(), ControlTalk()

    def load(self, name: str) -> None:
        """Give the network of `specs/<name>.json` its weights.

        Raises FileNotFoundError or KeyError for an unknown one, RuntimeError if its parameters are not ours.
        """
        if name in self.loaded:
            return
        spec = json.loads((self.specs / f"{name}.json").read_text())
        state = {key: torch.from_numpy(values) for key, values in recipe.state(spec["entries"], self.seed).items()}
        portrait, face = self.portrait, self.face
        networks: dict[str, tuple[nn.Module, ...]] = {
            "lp_F": (portrait.appearance,),
            "lp_M": (portrait.motion,),
            "lp_W": (portrait.warping,),
            "lp_G": (portrait.generator,),
            "lp_stitching": (portrait.stitching,),
            "lp_lip": (portrait.lips,),
            "lp_eye": (portrait.eyes,),
            "fv_kp_detector": (face.detector,),
            "fv_he_estimator": (face.pose,),
            "fv_generator": (face.appearance, face.warping, face.generator),
            "ct_lipControlNet": (self.talk,),
        }
        parts = face_vid2vid.parts(state) if name == "fv_generator" else (state,)
        for network, part in zip(networks[name], parts, strict=True):
            network.load_state_dict(part, assign=True)
            network.eval()
        self.loaded.add(name)


def appearance(networks: Networks, given: Tensors) -> Tensors:
    return {"feature_3d": networks.portrait.appearance(given["image"])}


def motion(networks: Networks, given: Tensors) -> Tensors:
    extracted: Motion = networks.portrait.motion(given["image"])
    return extracted._asdict()


def warping(networks: Networks, given: Tensors) -> Tensors:
    return _deformed(networks.portrait.warping, given)


def _deformed(network: Any, given: Tensors) -> Tensors:
    motion = network.dense_motion_network(given["feature_3d"], given["kp_driving"], given["kp_source"])
    out = network.move(given["feature_3d"], motion.places, motion.occlusion)
    return {"out": out, "deformation": motion.places, "occlusion_map": motion.occlusion, "mask": motion.mask}


def generator(networks: Networks, given: Tensors) -> Tensors:
    return {"image": networks.portrait.generator(given["feature"])}


def retargeting(networks: Networks, given: Tensors) -> Tensors:
    portrait, source, driving = networks.portrait, given["kp_source"], given["kp_driving"]
    return {
        "stitch_raw": portrait.stitching(torch.cat([source.flatten(1), driving.flatten(1)], 1)),
        "stitched": portrait.stitch(source, driving),
        "lip_delta": portrait.lip_offsets(source, given["lip_ratio"]),
        "eye_delta": portrait.eye_offsets(source, given["eye_ratio"]),
    }


def live_portrait_keypoints(_: Networks, given: Tensors) -> Tensors:
    angles = {f"{name}_degrees": live_portrait.degrees(given[name]) for name in ("pitch", "yaw", "roll")}
    face = Face(live_portrait.rotation(*angles.values()), given["exp"], given["t"], given["scale"], given["kp"])
    return {**angles, "rotation": face.rotation, "transformed": live_portrait.keypoints(face)}


def live_portrait_whole(networks: Networks, given: Tensors) -> Tensors:
    portrait = networks.portrait
    extracted = portrait.motion(given["image"])
    source = portrait.source(given["image"])
    first, now = (
        live_portrait.decode(
            Motion(
                **{name: given[f"{name}_{frame}"] for name in ("pitch", "yaw", "roll", "t", "scale")},
                exp=given[f"exp_{frame}"].flatten(1),
                kp=source.face.kp.flatten(1),
            )
        )
        for frame in (0, 1)
    )
    relative = live_portrait.relative(source.face, first, now)
    stitched = portrait.stitch(source.keypoints, relative)
    warped = portrait.warping(source.feature_3d, stitched, source.keypoints)
    angles = {f"source_{name}": live_portrait.degrees(getattr(extracted, name)) for name in ("pitch", "yaw", "roll")}
    return {
        **{name: angle[:, None] for name, angle in angles.items()},
        **{f"source_{name}": getattr(source.face, name) for name in ("kp", "exp", "t", "scale")},
        "kp_source": source.keypoints,
        "kp_relative": relative,
        "kp_absolute": live_portrait.absolute(source.face, now),
        "kp_stitched": stitched,
        "feature_3d": source.feature_3d,
        "warped": warped,
        "image": portrait.generator(warped),
    }


def keypoint_detector(networks: Networks, given: Tensors) -> Tensors:
    detector = networks.face.detector
    return {"down": detector.down(given["image"]), "value": detector(given["image"])}


def head_pose(networks: Networks, given: Tensors) -> Tensors:
    estimated: HeadPose = networks.face.pose(given["image"])
    return estimated._asdict()


def face_vid2vid_generator(networks: Networks, given: Tensors) -> Tensors:
    face = networks.face
    feature_3d = face.appearance(given["image"])
    made = _deformed(face.warping, {**given, "feature_3d": feature_3d})
    return {**made, "feature_3d": feature_3d, "prediction": face.generator(made["out"])}


def face_vid2vid_keypoints(_: Networks, given: Tensors) -> Tensors:
    names = ("pitch", "yaw", "roll")
    angles = {f"{name}_degrees": face_vid2vid.degrees(given[name]) for name in names}
    exp = given["exp"].unflatten(1, (-1, 3))
    pose = face_vid2vid.Pose(face_vid2vid.rotation(*angles.values()), given["t"])
    free = face_vid2vid.Pose(face_vid2vid.rotation(*(given[f"free_{name}"] for name in names)), given["t"][:1])
    return {
        **angles,
        "rotation": pose.rotation,
        "transformed": face_vid2vid.keypoints(given["kp"], pose, exp),
        "free_view": face_vid2vid.keypoints(given["kp"][:1], free, exp[:1]),
    }


def face_vid2vid_whole(networks: Networks, given: Tensors) -> Tensors:
    face = networks.face
    source = face.source(given["source"])
    driving = face_vid2vid.keypoints(source.canonical, *face.motion(given["driving"]))
    return {
        "kp_canonical": source.canonical,
        "kp_source": source.keypoints,
        "kp_driving": driving,
        "prediction": face.frame(source, driving),
    }


def audio_to_expression(networks: Networks, given: Tensors) -> Tensors:
    talk, exp = networks.talk, given["exp"]
    return {
        "embedding": talk.audio_encoder(given["audio"]),
        "one_pass_alpha_1": exp + talk(given["audio"], exp),
        "silence_pass": talk.close(exp, given["silence"]),
        "two_pass_alpha_0.7": talk.speak(exp, given["audio"], given["silence"]),
    }


def control_talk_whole(networks: Networks, given: Tensors) -> Tensors:
    face, talk = networks.face, networks.talk
    source = face.source(given["source"])
    pose, seen = face.motion(given["driving"])
    spoken = talk.speak(seen, given["audio"], given["silence"])
    driving = face_vid2vid.keypoints(source.canonical, pose, spoken)
    return {
        "silence_pass": talk.close(seen, given["silence"]),
        "expression": spoken,
        "kp_canonical": source.canonical,
        "kp_source": source.keypoints,
        "kp_driving": driving,
        "prediction": face.frame(source, driving),
    }


CASES: Mapping[str, Callable[[Networks, Tensors], Tensors]] = {
    "lp_F": appearance,
    "lp_M": motion,
    "lp_W": warping,
    "lp_G": generator,
    "lp_retarget": retargeting,
    "lp_keypoints": live_portrait_keypoints,
    "lp_e2e": live_portrait_whole,
    "fv_kp_detector": keypoint_detector,
    "fv_he_estimator": head_pose,
    "fv_generator": face_vid2vid_generator,
    "fv_keypoints": face_vid2vid_keypoints,
    "fv_e2e": face_vid2vid_whole,
    "ct_lipControlNet": audio_to_expression,
    "ct_e2e": control_talk_whole,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one output of one case is from the reference, and how far it may be."""

    case: str
    output: str
    worst: float
    rms: float
    projection: float
    worst_allowed: float
    rms_allowed: float
    """For the projection too: on noise of deviation 1 it differs by about as much as the output does."""

    @property
    def within(self) -> bool:
        """False for what is not a number, too."""
        return self.worst <= self.worst_allowed and max(self.rms, self.projection) <= self.rms_allowed


def inputs(folder: Path, case: str, wanted: Mapping[str, Any], seed: int) -> Tensors:
    """The inputs of a case: pictures as RGB in 0 to 1, arrays of its file, or noise by the recipe."""
    given = {}
    for name, source in wanted.items():
        if source["from"] == "images":
            pictures = np.load(folder / "images.npz")["images"][source["index"]]
            values = pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255
        elif source["from"] == "recipe":
            values = recipe.tensor(source["name"], source["shape"], source["mean"], source["std"], seed)
        else:
            values = np.load(folder / f"{case}.npz")[f"in.{name}"]
        given[name] = torch.from_numpy(values)
    return given


def difference(case: str, output: str, ours: NDArray[np.float32], kept: NDArray[Any], wanted: Any) -> Difference:
    """Compare all of `ours` with what was `kept` of the reference's output; `wanted` is its entry in the index."""
    if ours.shape != tuple(wanted["shape"]):
        raise ValueError(f"{case} gives {output} of shape {ours.shape}, not {tuple(wanted['shape'])}")
    apart = ours[tuple(slice(None, None, step) for step in wanted["step"])].astype(np.float64) - kept
    projected = (ours * recipe.noise(f"proj.{case}.{output}", ours.shape, 0)).sum() / np.sqrt(ours.size)
    return Difference(
        case,
        output,
        worst=float(np.abs(apart).max()),
        rms=float(np.sqrt(np.square(apart).mean())),
        projection=abs(float(projected) - wanted["proj"]),
        worst_allowed=wanted["tol"],
        rms_allowed=wanted["tol_rms"],
    )


def compare(folder: Path, seed: int | None = None, cases: Collection[str] = ()) -> Iterator[Difference]:
    """Run the cases of a folder, in its order, or only those named; `seed` is the index's unless given.

    Raises ValueError for a case we do not know or an output of another shape, RuntimeError for other parameters.
    """
    index = json.loads((folder / "index.json").read_text())
    seed = index["seed"] if seed is None else seed
    networks = Networks(folder / "specs", seed)
    for case, entry in index["cases"].items():
        if cases and case not in cases:
            continue
        if case not in CASES:
            raise ValueError(f"the case {case} is not one of {', '.join(CASES)}")
        for name in entry["networks"]:
            networks.load(name)
        with torch.inference_mode():
            made = CASES[case](networks, inputs(folder, case, entry["inputs"], seed))
        kept = np.load(folder / f"{case}.npz")
        for output, wanted in entry["outputs"].items():
            yield difference(case, output, made[output].numpy(), kept[f"out.{output}"], wanted)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m build_trt.parity", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, help="of weights and inputs (default: the index's)")
    parser.add_argument("--case", action="append", default=[], help="run only this case; may be given several times")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    began, out, count = time.monotonic(), 0, 0
    print(f"{'case':18}{'output':20}{'worst':>9}{'allowed':>9}{'rms':>9}{'allowed':>9}{'projected':>10}")
    for found in compare(options.folder, options.seed, options.case):
        count, out = count + 1, out + (not found.within)
        print(
            f"{found.case:18}{found.output:20}{found.worst:9.1e}{found.worst_allowed:9.0e}{found.rms:9.1e}"
            f"{found.rms_allowed:9.0e}{found.projection:10.1e}{'' if found.within else '  OUT'}",
            flush=True,
        )
    print(f"{count - out} of {count} outputs within their tolerance, {time.monotonic() - began:.0f} s")
    return 1 if out or not count else 0


if __name__ == "__main__":
    sys.exit(main())
