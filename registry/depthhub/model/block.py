"""One transformer block of the image encoder: attention, then a feed-forward, each scaled and added."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from .config import Mlp
from .layers import LayerNorm, Linear, unfilled


class Block(nn.Module):
    """A pre-norm block of ViT with LayerScale (Touvron et al. 2021, arXiv:2103.17239; the authors'
    `dinov2_layers/block.py`). B x N x F -> B x N x F.

    `scale_attn` and `scale_mlp` weigh each feature of the two branches before they are added.
    """

    def __init__(self, width: int, heads: int, mlp: Mlp, mlp_width: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(width)
        self.attn = Attention(width, heads)
        self.scale_attn = unfilled(width)
        self.norm2 = LayerNorm(width)
        self.mlp = SwiGLU(width, mlp_width) if mlp == "swiglu" else FeedForward(width, mlp_width)
        self.scale_mlp = unfilled(width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.scale_attn * self.attn(self.norm1(tokens))
        out: Tensor = tokens + self.scale_mlp * self.mlp(self.norm2(tokens))
        return out


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762; `dinov2_layers/attention.py`).

    Queries, keys and values are one projection, in this order. B x N x F -> B x N x F.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.proj = Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, count, 3, self.heads, width // self.heads)
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each B x heads x N x F / heads
        mixed = scaled_dot_product_attention(queries, keys, values)
        projected: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, count, width))
        return projected


class FeedForward(nn.Module):
    """The feed-forward of ViT: linear, GELU, linear (`dinov2_layers/mlp.py`). B x N x F -> B x N x F."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(Linear(width, hidden), nn.GELU(), Linear(hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.layers(tokens)
        return out


class SwiGLU(nn.Module):
    """The gated feed-forward of the giant encoder (Shazeer 2020, arXiv:2002.05202; the authors'
    `dinov2_layers/swiglu_ffn.py`). B x N x F -> B x N x F.

    One projection makes gate and content, in this order, hence twice the hidden width.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.inner_linear_doubled = Linear(width, 2 * hidden)
        self.outer_linear = Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        gate, content = self.inner_linear_doubled(tokens).chunk(2, dim=-1)
        out: Tensor = self.outer_linear(silu(gate) * content)
        return out
