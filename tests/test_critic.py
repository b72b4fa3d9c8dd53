import torch

from training.critic import Critic, Critics, painter_loss


def test_a_critic_learns_to_tell_the_drawn_from_the_true_and_asks_for_the_true() -> None:
    torch.manual_seed(0)
    true = {"mouth": torch.rand(4, 3, 32, 32)}
    drawn = {"mouth": torch.nn.functional.avg_pool2d(true["mouth"], 3, 1, 1).requires_grad_()}
    critics = Critics(("mouth",), rate=2e-3)
    doubts = [critics.learn(drawn, true)[1] for _ in range(40)]
    assert doubts[-1] < 0.7 * doubts[0]
    assert drawn["mouth"].grad is None, "the critic's own step leaves the painter alone"
    loss, _ = critics.learn(drawn, true)
    loss.backward()
    assert drawn["mouth"].grad is not None and drawn["mouth"].grad.abs().sum() > 0


def test_verdicts_are_on_patches_and_the_truth_has_no_distance_from_itself() -> None:
    critic = Critic()
    picture = torch.rand(2, 3, 112, 112)
    assert critic(picture)[-1].shape == (2, 1, 28, 28)
    critic.eval()  # frozen spectral norms
    matched = painter_loss(critic, picture, picture, matching=10.0)
    assert torch.allclose(matched, -critic(picture)[-1].mean(), atol=1e-5)
