"""Attention of tokens to tokens, as every transformer here has it (arXiv 1706.03762, section 3.2)."""

from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Tokens (B, T, width) look at each other, or at `memory` (B, M, width): (B, T, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        seen = x if memory is None else memory
        q, k, v = self._split(self.q_proj(x)), self._split(self.k_proj(seen)), self._split(self.v_proj(seen))
        mixed: Tensor = self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return mixed

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)
