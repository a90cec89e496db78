"""An equivalent of the authors' V2 model, made from its keys and shapes alone, so that no foreign code is needed.

The same layers of torch.nn under the same names, initialised as theirs are (torch's defaults for the head; for the
encoder torch's defaults first, then `trunc_normal_`, as DINOv2 does), and the same computation step by step: attention
in three steps, where the authors' falls back to where xformers is missing. Its outputs are the authors' (tests/bench).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, relu

Shapes = Mapping[str, Sequence[int]]

_TAPS = {12: (2, 5, 8, 11), 24: (4, 11, 17, 23), 40: (9, 19, 29, 39)}
_OFFSET = 0.1


class OriginalModel(nn.Module):
    """V2, relative depth. B x 3 x H x W -> B x H x W. Encoders with SwiGLU can be built and loaded, not run."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        for name in dict.fromkeys(key.removesuffix(".weight").removesuffix(".bias") for key in shapes):
            self._add(name, shapes)
        self.patch_size = shapes["pretrained.patch_embed.proj.weight"][-1]
        self.grid = round((shapes["pretrained.pos_embed"][1] - 1) ** 0.5)
        blocks = len(self.get_submodule("pretrained.blocks")._modules)
        self.taps = _TAPS.get(blocks) or tuple(blocks * quarter // 4 - 1 for quarter in (1, 2, 3, 4))

    def _add(self, name: str, shapes: Shapes) -> None:
        parent: nn.Module = self
        *folders, leaf = name.split(".")
        for folder in folders:
            if folder not in parent._modules:
                parent.add_module(folder, nn.Module())
            parent = parent.get_submodule(folder)
        weight = shapes.get(f"{name}.weight")
        if weight is None:
            parent.register_parameter(leaf, nn.Parameter(torch.empty(*shapes[name]).normal_(std=0.02)))
        else:
            parent.add_module(leaf, _layer(name, weight, bias=f"{name}.bias" in shapes))

    def forward(self, pixels: Tensor) -> Tensor:
        rows, columns = pixels.shape[-2] // self.patch_size, pixels.shape[-1] // self.patch_size
        head = self.get_submodule("depth_head")
        maps = []
        for stage, tokens in enumerate(self._tapped(pixels, rows, columns)):
            image = tokens.transpose(1, 2).reshape(tokens.shape[0], -1, rows, columns)
            image = head.get_submodule(f"projects.{stage}")(image)
            maps.append(head.get_submodule(f"resize_layers.{stage}")(image) if stage != 2 else image)
        maps = [head.get_submodule(f"scratch.layer{stage + 1}_rn")(image) for stage, image in enumerate(maps)]
        fused = None
        for number in (4, 3, 2, 1):
            size = maps[number - 2].shape[-2:] if number > 1 else [2 * side for side in maps[0].shape[-2:]]
            fused = _fuse(head.get_submodule(f"scratch.refinenet{number}"), maps[number - 1], fused, size)
        out = head.get_submodule("scratch.output_conv1")(fused)
        out = interpolate(out, pixels.shape[-2:], mode="bilinear", align_corners=True)
        out = relu(head.get_submodule("scratch.output_conv2.0")(out))
        return relu(head.get_submodule("scratch.output_conv2.2")(out)).squeeze(1)

    def _tapped(self, pixels: Tensor, rows: int, columns: int) -> Iterator[Tensor]:
        encoder = self.get_submodule("pretrained")
        tokens = encoder.get_submodule("patch_embed.proj")(pixels).flatten(2).transpose(1, 2)
        cls_token = encoder.get_parameter("cls_token").expand(tokens.shape[0], -1, -1)
        tokens = torch.cat((cls_token, tokens), dim=1) + self._positions(rows, columns)
        for number, block in enumerate(encoder.get_submodule("blocks").children()):
            tokens = _block(block, tokens)
            if number in self.taps:
                yield encoder.get_submodule("norm")(tokens)[:, 1:]

    def _positions(self, rows: int, columns: int) -> Tensor:
        stored = self.get_parameter("pretrained.pos_embed")
        if rows == columns == self.grid:
            return stored
        planes = stored[:, 1:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        scale = ((rows + _OFFSET) / self.grid, (columns + _OFFSET) / self.grid)
        planes = interpolate(planes, scale_factor=scale, mode="bicubic")
        return torch.cat((stored[:, :1], planes.flatten(2).transpose(1, 2)), dim=1)


def _block(block: nn.Module, tokens: Tensor) -> Tensor:
    attended = _attention(block.get_submodule("attn"), block.get_submodule("norm1")(tokens))
    tokens = tokens + attended * block.get_parameter("ls1.gamma")
    hidden = gelu(block.get_submodule("mlp.fc1")(block.get_submodule("norm2")(tokens)))
    out: Tensor = tokens + block.get_submodule("mlp.fc2")(hidden) * block.get_parameter("ls2.gamma")
    return out


def _attention(attention: nn.Module, tokens: Tensor) -> Tensor:
    batch, count, width = tokens.shape
    qkv = attention.get_submodule("qkv")(tokens).reshape(batch, count, 3, width // 64, 64).permute(2, 0, 3, 1, 4)
    weights = (qkv[0] * 64**-0.5 @ qkv[1].transpose(-2, -1)).softmax(dim=-1)
    mixed = (weights @ qkv[2]).transpose(1, 2).reshape(batch, count, width)
    out: Tensor = attention.get_submodule("proj")(mixed)
    return out


def _fuse(block: nn.Module, image: Tensor, deeper: Tensor | None, size: Sequence[int]) -> Tensor:
    fused = image if deeper is None else deeper + _unit(block.get_submodule("resConfUnit1"), image)
    fused = _unit(block.get_submodule("resConfUnit2"), fused)
    fused = interpolate(fused, tuple(size), mode="bilinear", align_corners=True)
    out: Tensor = block.get_submodule("out_conv")(fused)
    return out


def _unit(unit: nn.Module, image: Tensor) -> Tensor:
    hidden = unit.get_submodule("conv1")(relu(image))
    out: Tensor = unit.get_submodule("conv2")(relu(hidden)) + image
    return out


def _layer(name: str, weight: Sequence[int], *, bias: bool) -> nn.Module:
    if len(weight) == 1:
        return nn.LayerNorm(weight[0], eps=1e-6)
    if len(weight) == 2:
        linear = nn.Linear(weight[1], weight[0], bias=bias)
        nn.init.trunc_normal_(linear.weight, std=0.02)
        return linear
    kernel = weight[2]
    if name.endswith(("resize_layers.0", "resize_layers.1")):
        return nn.ConvTranspose2d(weight[0], weight[1], kernel, stride=kernel, bias=bias)
    stride = 2 if name.endswith("resize_layers.3") else kernel if name.endswith("patch_embed.proj") else 1
    padding = 1 if kernel == 3 else 0
    return nn.Conv2d(weight[1], weight[0], kernel, stride=stride, padding=padding, bias=bias)
