from pathlib import Path

import pytest

from realtime.networks import NoNetworks, load_networks
from realtime.settings import Settings


def test_the_compact_networks_draw_face_by_face_on_the_cpu() -> None:
    networks = load_networks(Settings())
    assert networks.buckets == (1,)
    assert networks.engine.drawing.open() is not None


@pytest.mark.parametrize("renderer", ["live_portrait", "face_vid2vid"])
def test_full_size_networks_that_were_not_brought_are_asked_for(renderer: str, tmp_path: Path) -> None:
    with pytest.raises(NoNetworks, match="visavis import"):
        load_networks(Settings(renderer=renderer, models=str(tmp_path)))


def test_a_gpu_that_is_asked_for_and_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(folder: Path) -> None:
        from engines.gpu import NoGpu

        raise NoGpu("there is no NVIDIA GPU 0 to be used")

    monkeypatch.setattr("realtime.networks.TensorRtBackend", missing)
    with pytest.raises(NoNetworks, match="no NVIDIA GPU"):
        load_networks(Settings(device="gpu"))


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of compact"):
        Settings(renderer="ditto")
    with pytest.raises(ValueError, match="choose one of auto"):
        Settings(device="tpu")
