import argparse
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soundfile", reason="training needs soundfile: pip install visavis[train]")
torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from networks.audio2exp import HISTORY, bias_from_logits  # noqa: E402
from networks.compact_audio import Block  # noqa: E402
from training import fit_audio  # noqa: E402
from training.fit_audio import (  # noqa: E402
    AudioModel,
    Lesson,
    Lessons,
    begin_from,
    closure_loss,
    fit,
    histories,
    load_model,
    losses,
    rate,
    spoken,
)
from training.speech.batches import draw  # noqa: E402
from training.speech.dataset import Speech  # noqa: E402


def loud_means_open(frames: int = 200) -> Speech:
    """Noise that comes and goes; where it is loud, every channel is half active."""
    rng = np.random.default_rng(0)
    loud = (np.arange(frames) // 8) % 2
    pcm = rng.standard_normal((frames, 640)) * np.where(loud, 3000, 5)[:, None]
    lips = np.repeat(loud[:, None] * 128, 9, axis=1).astype(np.uint8)
    return Speech(pcm.astype(np.int16).reshape(-1), lips, np.repeat(loud, 2).astype(np.uint8), np.zeros((0, 2)))


def options(steps: int, workers: int = 0) -> argparse.Namespace:
    return argparse.Namespace(
        steps=steps, items=2, frames=12, seed=1, bfloat16=False, init=None, rate=2e-3, heads_from=0, workers=workers
    )


def lesson(seed: int, items: int, frames: int) -> Lesson:
    return Lessons([loud_means_open()], seed, items, frames)[0]


def test_histories_are_what_came_before() -> None:
    lips = torch.arange(1, 21.0)[None, :, None].expand(1, 20, 9)
    past = histories(lips).reshape(1, 20, HISTORY, 9)[0, :, :, 0]
    assert not past[0].any()
    assert past[3].tolist() == [0.0] * 13 + [1, 2, 3]
    assert past[19].tolist() == list(range(4, 20))


def test_the_rate_warms_up_and_cools_down() -> None:
    rates = [rate(step, 2000) for step in range(2000)]
    assert rates[0] == 0 and max(rates) <= fit_audio.PEAK_RATE
    assert int(np.argmax(rates)) == fit_audio.WARM_UP_STEPS
    assert rates[-1] < 1e-5 * fit_audio.PEAK_RATE
    assert rate(700, 2000, peak=1.0) == pytest.approx(rate(700, 2000) / fit_audio.PEAK_RATE)


def test_closures_may_be_a_frame_off_but_not_missing_or_false() -> None:
    wanted, alike = torch.zeros(1, 20), torch.zeros(1, 20)
    wanted[0, 8] = 1.0
    late, missing, false = torch.roll(wanted, 1, dims=1), torch.zeros(1, 20), wanted.clone()
    false[0, 15] = 0.5
    assert closure_loss(wanted, wanted, alike) == closure_loss(late, wanted, alike) == 0
    assert closure_loss(missing, wanted, alike) > 0.05 and closure_loss(false, wanted, alike) > 0.01
    costs = [closure_loss(false, wanted, torch.where(torch.arange(20) == 15, like, alike)) for like in (0.0, 1.0, 2.0)]
    assert costs[1] > 1.5 * costs[0] and costs[2] > 1.4 * costs[1]


def test_heads_alone_learn_and_speak_in_their_own_context(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AudioModel()
    head = model.audio2exp.head(1)
    torch.nn.init.normal_(head.last.weight)
    heard = torch.randn(2, 20, 192)
    said = spoken(head, heard)
    again = bias_from_logits(head.speak(heard, histories(said)))
    torch.testing.assert_close(again, said, atol=1e-5, rtol=1e-4)
    parts = losses(model, lesson(0, 2, 12), progress=1.0, heads_only=True)
    parts["activation"].backward()
    assert all(weight.grad is None for weight in model.features.parameters())
    assert head.past.weight.grad is not None and head.past.weight.grad.any()


def test_training_begins_from_a_smaller_network(tmp_path: Path) -> None:
    model = AudioModel()
    small = {name: weight for name, weight in model.state_dict().items() if "blocks.8." not in name}
    torch.save({"model": small}, tmp_path / "small.pt")
    deeper = AudioModel()
    begin_from(deeper, tmp_path / "small.pt")
    added = deeper.features.blocks[8]
    assert isinstance(added, Block)
    sound = torch.randn(1, deeper.features.width, 12)
    same, _ = added.eval()(sound, added.depthwise.convolution.weight.new_zeros(1, 192, added.depthwise.context))
    torch.testing.assert_close(same, sound)
    torch.testing.assert_close(deeper.state_dict()["phones.weight"], small["phones.weight"])


def test_an_interrupted_run_ends_like_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = [loud_means_open()]
    monkeypatch.setattr(fit_audio, "CHECKPOINT_STEPS", 2)
    monkeypatch.setattr(fit_audio, "WARM_UP_STEPS", 1)
    for run in ("whole", "broken"):
        (tmp_path / run).mkdir()
    fit(shards, tmp_path / "whole", options(4, workers=1))

    drawn = 0

    def interrupted(*arguments: object) -> object:
        nonlocal drawn
        drawn += 1
        if drawn == 4:
            raise KeyboardInterrupt
        return draw(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(fit_audio, "draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(shards, tmp_path / "broken", options(4))
    fit(shards, tmp_path / "broken", options(4))
    assert drawn == 6, "two steps were done again"

    whole, record = load_model(tmp_path / "whole" / "checkpoint.pt")
    broken, _ = load_model(tmp_path / "broken" / "checkpoint.pt")
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(broken.state_dict()[name], weight, msg=name)
    line = json.loads((tmp_path / "broken" / "log.jsonl").read_text().splitlines()[-1])
    assert line["step"] == record["step"] == 4 and set(line["losses"]) == set(fit_audio.LOSS_WEIGHTS)


def test_training_learns_that_loud_means_open() -> None:
    torch.manual_seed(0)
    model = AudioModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    history = []
    for step in range(12):
        parts = losses(model, lesson(step, 4, 24), progress=0.5)
        (parts["activation"] + parts["phones"]).backward()
        optimizer.step()
        optimizer.zero_grad()
        history.append(float(parts["activation"].detach() + parts["phones"].detach()))
    assert np.mean(history[-3:]) < 0.7 * np.mean(history[:2])
