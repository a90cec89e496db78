"""From a file to the converted file: the same numbers, the same bytes wherever it is made, and little memory."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from depthhub.checkpoint.cast import cast
from depthhub.checkpoint.convert import convert, sizes_of
from depthhub.checkpoint.converted import CHUNK, read_converted, write_converted
from depthhub.checkpoint.reading import Checkpoint
from depthhub.checkpoint.recipe import Dtype, Recipe
from depthhub.checkpoint.rules import invert
from depthhub.errors import CheckpointError, UnknownKeysError
from depthhub.model.config import Build
from depthhub.model.dpt import DPT
from depthhub.testing import make_checkpoint
from depthhub.testing.shapes import Size
from depthhub_cache.identity import ContentHash

from .states import golden_shapes, read, same_bits, state_dict

HASH = ContentHash("0123456789abcdef" * 4)
V2 = Recipe(Build("v2"))


def converted_bytes(path: Path, recipe: Recipe = V2) -> bytes:
    out = io.BytesIO()
    write_converted(out.write, convert(read(path), recipe), content_hash=HASH)
    return out.getvalue()


def converted_file(checkpoint: Checkpoint, out: Path, recipe: Recipe = V2) -> Path:
    with out.open("wb") as file:
        write_converted(file.write, convert(checkpoint, recipe), content_hash=HASH)
    return out


def in_memory(tensors: Mapping[str, Tensor]) -> Checkpoint:
    return Checkpoint(Path("some.pth"), "original", dict(tensors), ())


@pytest.mark.parametrize(
    ("encoder", "container"), [("tiny", "pth"), ("tiny", "legacy"), ("tiny-swiglu", "safetensors")]
)
def test_a_file_converted_and_inverted_is_the_original_state_dict(tmp_path: Path, encoder: str, container: str) -> None:
    checkpoint = read(make_checkpoint(tmp_path / "weights", encoder=encoder, container=container))  # type: ignore[arg-type]
    restored = invert(load_file(converted_file(checkpoint, tmp_path / "out.safetensors")), path=tmp_path)
    assert restored.keys() == checkpoint.tensors.keys()
    assert all(same_bits(restored[key], tensor) for key, tensor in checkpoint.tensors.items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_the_process_told_its_processor_of_the_smallest_numbers_changes_no_byte(
    tmp_path: Path, dtype: Dtype
) -> None:
    """Nor what torch's other threads were told when they began: they are not told again."""
    small = {key: tensor * 1e-45 for key, tensor in state_dict(golden_shapes("v2-tiny"), torch.float64).items()}
    assert max(tensor.numel() for tensor in small.values()) > 1 << 15, "else one thread would do it all"
    torch.save(small, path := tmp_path / "small.pth")
    code = """
import hashlib, sys, torch
from pathlib import Path
from tests.checkpoint.test_convert import converted_bytes
from depthhub.checkpoint.recipe import Recipe
from depthhub.model.config import Build
for told in map(int, sys.argv[3]):
    torch.set_flush_denormal(bool(told))
    torch.ones(1 << 20).mul_(2)  # the other threads begin now
print(hashlib.sha256(converted_bytes(Path(sys.argv[1]), Recipe(Build("v2"), sys.argv[2]))).hexdigest())
"""
    root = Path(__file__).parents[2]
    answers = [
        subprocess.run(
            [sys.executable, "-c", code, str(path), dtype, told], cwd=root, capture_output=True, text=True, check=True
        ).stdout
        for told in ("0", "1", "10", "01")
    ]
    assert len(answers[0].strip()) == 64
    assert set(answers) == {answers[0]}
    expected = {name: converted.to(getattr(torch, dtype)) for name, converted in small.items()}
    (tmp_path / "out").write_bytes(content := converted_bytes(path, Recipe(Build("v2"), dtype)))
    assert hashlib.sha256(content).hexdigest() == answers[0].strip()
    restored = invert(load_file(tmp_path / "out"), path=tmp_path)
    assert all(same_bits(restored[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("container", ["pth", "safetensors"])
def test_weights_that_were_never_written_are_refused(tmp_path: Path, container: str) -> None:
    path = make_checkpoint(tmp_path / "weights", container=container)  # type: ignore[arg-type]
    if container == "pth":
        state = read(path).tensors
        with torch.serialization.skip_data():
            torch.save({"model": state}, path := tmp_path / "skipped.pth")
    else:
        start = 8 + int.from_bytes(path.read_bytes()[:8], "little")
        path.write_bytes(path.read_bytes()[:start] + bytes(path.stat().st_size - start))
    with pytest.raises(CheckpointError, match=r"numbers of 67 of its 67 matrices are 0 \(.*Download or copy it again"):
        converted_bytes(path)


def hardly_written(number: float, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """All zeros, but for the last number of every matrix."""
    state = {key: torch.zeros_like(tensor) for key, tensor in state_dict(golden_shapes("v2-tiny"), dtype).items()}
    for tensor in state.values():
        if tensor.dim() > 1:
            tensor.view(-1)[-1] = number
    return state


@pytest.mark.parametrize("number", [1e-45, -1e-45, float("nan")])
def test_one_number_is_enough_of_a_matrix(number: float) -> None:
    assert convert(in_memory(hardly_written(number)), V2).config.width == 128


@pytest.mark.parametrize("layout", ["original", "transformers"])
def test_a_matrix_that_was_never_written_is_named(tmp_path: Path, layout: str) -> None:
    """The rest of it is there, as after a download into a file that had its size from the first."""
    checkpoint = read(make_checkpoint(tmp_path / "weights.safetensors", layout=layout))  # type: ignore[arg-type]
    name = {
        "original": "pretrained.blocks.3.attn.qkv.weight",
        "transformers": "backbone.encoder.layer.3.attention.attention.value.weight",
    }[layout]
    blank = replace(checkpoint, tensors={**checkpoint.tensors, name: torch.zeros_like(checkpoint.tensors[name])})
    with pytest.raises(CheckpointError, match=r"1 of its \d+ matrices are 0 \(pretrained.blocks.3.attn.qkv.weight\)"):
        convert(blank, V2)


def test_what_takes_no_part_in_a_model_may_be_zero() -> None:
    state = hardly_written(1)
    for name in ("pretrained.mask_token", "depth_head.scratch.refinenet4.resConfUnit1.conv1.weight"):
        state[name].zero_()
    assert convert(in_memory(state), V2).config.width == 128


@pytest.mark.parametrize(
    "how",
    [
        {"container": "legacy"},
        {"container": "safetensors"},
        {"wrapper": "state_dict", "beside": {"epoch": 3}},
        {"prefix": "module."},
        {"layout": "distill"},
        {"layout": "transformers", "container": "safetensors"},
    ],
    ids=str,
)
def test_the_same_weights_give_the_same_bytes_however_they_are_packed(tmp_path: Path, how: dict[str, object]) -> None:
    encoder = "tiny-swiglu" if "layout" in how else "tiny"
    plain = make_checkpoint(tmp_path / "plain.pth", encoder=encoder)
    other = make_checkpoint(tmp_path / "other.pth", encoder=encoder, **how)  # type: ignore[arg-type]
    assert converted_bytes(other) == converted_bytes(plain)


def test_a_converted_file_converts_to_itself(tmp_path: Path, tiny: Path) -> None:
    out = converted_file(read(tiny), tmp_path / "out.safetensors")
    again = read(out)
    assert again.layout == "depthhub"
    assert converted_bytes(out) == out.read_bytes()


def test_the_order_of_the_original_does_not_reach_the_bytes(tiny: Path) -> None:
    tensors = read(tiny).tensors
    backwards = dict(reversed(tensors.items()))
    one, other = io.BytesIO(), io.BytesIO()
    write_converted(one.write, convert(in_memory(tensors), V2), content_hash=HASH)
    write_converted(other.write, convert(in_memory(backwards), V2), content_hash=HASH)
    assert one.getvalue() == other.getvalue()


def test_the_bytes_are_those_of_this_layout_version() -> None:
    """Keys name these bytes. Where this fails, what is in people's caches is no longer what we make:
    raise LAYOUT_VERSION, then put the new digest here."""
    digest = hashlib.sha256()
    write_converted(digest.update, convert(in_memory(state_dict(golden_shapes("v2-tiny"))), V2), content_hash=HASH)
    assert digest.hexdigest() == PINNED


PINNED = "576f991013ede9a0d889449b62d162108473fcd38b59a8859c40e407fb8a604b"


@pytest.mark.parametrize("encoder", ["tiny", "tiny-swiglu"])
@pytest.mark.parametrize("layout", ["original", "distill", "transformers"])
def test_the_names_and_shapes_are_those_of_the_model(tmp_path: Path, encoder: str, layout: str) -> None:
    checkpoint = read(make_checkpoint(tmp_path / "weights.pth", encoder=encoder, layout=layout))  # type: ignore[arg-type]
    tensors, header = read_converted(converted_file(checkpoint, tmp_path / "out.safetensors"))
    wanted = {name: tuple(tensor.shape) for name, tensor in DPT(header.config).state_dict().items()}
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == wanted


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_recipe_may_cast(tmp_path: Path, dtype: str) -> None:
    stored = torch.float16 if dtype == "float32" else torch.float32
    original = {key: tensor / 7 for key, tensor in state_dict(golden_shapes("v2-tiny"), stored).items()}
    out = converted_file(in_memory(original), tmp_path / "out.safetensors", Recipe(Build("v2"), dtype))  # type: ignore[arg-type]
    restored = invert(load_file(out), path=out)
    wanted = getattr(torch, dtype)
    assert all(same_bits(restored[key], tensor.to(wanted)) for key, tensor in original.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_without_a_cast_the_files_own_dtype_stays(tmp_path: Path, dtype: torch.dtype) -> None:
    original = state_dict(golden_shapes("v2-tiny"), dtype)
    tensors, _ = read_converted(converted_file(in_memory(original), tmp_path / "out.safetensors"))
    assert {tensor.dtype for tensor in tensors.values()} == {dtype}


def test_tensors_that_do_not_lie_in_order_are_written_in_order(tmp_path: Path) -> None:
    original = state_dict(golden_shapes("v2-tiny"))
    turned = {key: t.mT.contiguous().mT if t.dim() == 2 else t for key, t in original.items()}
    assert not turned["pretrained.blocks.0.mlp.fc1.weight"].is_contiguous()
    restored = invert(load_file(converted_file(in_memory(turned), tmp_path / "out.safetensors")), path=tmp_path)
    assert all(same_bits(restored[key], tensor) for key, tensor in original.items())


def test_a_mixture_of_dtypes_needs_a_word_from_the_caller() -> None:
    original = state_dict(golden_shapes("v2-tiny"))
    original["pretrained.norm.weight"] = original["pretrained.norm.weight"].half()
    with pytest.raises(CheckpointError, match="177 of float32, 1 of float16"):
        convert(in_memory(original), V2)
    convert(in_memory(original), Recipe(Build("v2"), "float32"))


def test_what_inference_never_reads_may_be_of_another_dtype(tmp_path: Path) -> None:
    original = state_dict(golden_shapes("v2-tiny"))
    original["pretrained.mask_token"] = original["pretrained.mask_token"].half()
    restored = invert(load_file(converted_file(in_memory(original), tmp_path / "out.safetensors")), path=tmp_path)
    assert all(same_bits(restored[key], tensor) for key, tensor in original.items())


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float8_e4m3fn, torch.bool])
def test_quantised_weights_are_refused(dtype: torch.dtype) -> None:
    original = state_dict(golden_shapes("v2-tiny"))
    original["pretrained.norm.weight"] = torch.zeros(128).to(dtype)
    with pytest.raises(CheckpointError, match="quantised"):
        convert(in_memory(original), Recipe(Build("v2"), "float32"))


def test_a_port_without_what_inference_never_reads_converts(tmp_path: Path) -> None:
    checkpoint = read(make_checkpoint(tmp_path / "port.safetensors", layout="transformers"))
    unread = ("backbone.embeddings.mask_token", "neck.fusion_stage.layers.0.residual_layer1.")
    lean = {name: tensor for name, tensor in checkpoint.tensors.items() if not name.startswith(unread)}
    assert len(lean) == len(checkpoint.tensors) - 5
    converted = convert(Checkpoint(checkpoint.path, "transformers", lean, ()), V2)
    assert not any(name.startswith("unused.") for name in converted.weights)


def test_an_unknown_name_in_a_port_is_reported_under_its_own_name(tmp_path: Path) -> None:
    checkpoint = read(make_checkpoint(tmp_path / "port.safetensors", layout="transformers"))
    more = {**checkpoint.tensors, "backbone.embeddings.surprise": torch.zeros(1)}
    with pytest.raises(UnknownKeysError) as caught:
        convert(Checkpoint(checkpoint.path, "transformers", more, ()), V2)
    assert caught.value.unexpected == ("backbone.embeddings.surprise",)


def test_a_port_without_a_query_is_reported(tmp_path: Path) -> None:
    checkpoint = read(make_checkpoint(tmp_path / "port.safetensors", layout="transformers"))
    query = "backbone.encoder.layer.2.attention.attention.query.weight"
    del checkpoint.tensors[query]
    with pytest.raises(UnknownKeysError) as caught:
        convert(checkpoint, V2)
    assert caught.value.missing == (query,)


@pytest.mark.parametrize("layout", ["original", "distill", "transformers"])
def test_the_size_is_told_of_any_layout(tmp_path: Path, layout: str) -> None:
    sizes = sizes_of(read(make_checkpoint(tmp_path / "weights.pth", layout=layout)))  # type: ignore[arg-type]
    assert (sizes.width, sizes.blocks, sizes.base_grid) == (128, 8, (16, 16))


def test_bytes_are_handed_on_in_small_parts_with_progress(tmp_path: Path) -> None:
    """A tensor of 16 MB among them."""
    path = tmp_path / "weights.pth"
    torch.save(state_dict({**golden_shapes("v2-tiny"), "pretrained.pos_embed": (1, 1 + 180**2, 128)}), path)
    parts: list[int] = []
    seen: list[tuple[int, int]] = []
    write_converted(
        lambda data: parts.append(len(data)),
        convert(in_memory(torch.load(path)), V2),
        content_hash=HASH,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert max(parts) == CHUNK
    assert [done for done, _ in seen] == [sum(parts[: i + 1]) for i in range(len(parts))]
    assert {total for _, total in seen} == {sum(parts)}


ELSEWHERE = """
import hashlib, re, sys, threading, time
from pathlib import Path
from depthhub.checkpoint.convert import convert
from depthhub.checkpoint.converted import write_converted
from depthhub.checkpoint.recipe import Recipe
from depthhub.model.config import Build
from tests.checkpoint.states import read

def private():
    status = Path("/proc/self/status")
    return int(re.search(r"RssAnon:\\s+(\\d+)", status.read_text())[1]) * 1024 if status.exists() else 0

digest, before, peak = hashlib.sha256(), private(), [0]
def write(data):
    digest.update(data)
    peak.append(private())

write_converted(write, convert(read(Path(sys.argv[1])), Recipe(Build("v2"))), content_hash=sys.argv[2])
print(digest.hexdigest(), max(peak) - before)
"""


@pytest.mark.parametrize(("container", "layout"), [("pth", "original"), ("safetensors", "transformers")])
def test_another_process_makes_the_same_bytes_in_a_fraction_of_the_files_memory(
    tmp_path: Path, container: str, layout: str
) -> None:
    encoder = Size(width=384, blocks=4, reassembly_channels=(48, 96, 192, 384), fusion_channels=64)
    path = make_checkpoint(tmp_path / "weights", encoder=encoder, container=container, layout=layout)  # type: ignore[arg-type]
    size = path.stat().st_size
    assert size > 40_000_000
    answer = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(path), HASH],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "7", "LC_ALL": "C", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    digest = hashlib.sha256()
    write_converted(digest.update, convert(read(path), V2), content_hash=HASH)
    assert answer[0] == digest.hexdigest()
    assert int(answer[1]) < size / 10, "bytes of private memory"


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_a_sign_that_a_view_left_for_later_is_not_lost(tmp_path: Path, dtype: Dtype | None) -> None:
    tensors = state_dict(golden_shapes("v2-tiny"))
    written = converted_file(in_memory(tensors), tmp_path / "plain", Recipe(Build("v2"), dtype)).read_bytes()
    lazy = {key: tensor.neg()._neg_view() for key, tensor in tensors.items()}  # type: ignore[operator]
    torch.save(lazy, tmp_path / "lazy.pth")
    assert all(tensor.is_neg() for tensor in torch.load(tmp_path / "lazy.pth").values()), "the case that is tested"
    assert (
        converted_file(read(tmp_path / "lazy.pth"), tmp_path / "lazy", Recipe(Build("v2"), dtype)).read_bytes()
        == written
    )


@pytest.mark.parametrize(("stored", "dtype"), [(torch.float32, "float16"), (torch.float64, "float32")])
def test_a_cast_that_would_make_a_number_infinite_is_refused_by_the_tensors_name(
    tmp_path: Path, stored: torch.dtype, dtype: str
) -> None:
    tensors = hardly_written(1, stored)
    bias = "pretrained.blocks.3.attn.proj.bias"
    largest = torch.finfo(getattr(torch, dtype)).max
    tensors[bias][:] = torch.tensor([largest, -largest]).repeat(64)
    tensors["pretrained.norm.bias"][0] = float("inf")
    recipe = Recipe(Build("v2"), dtype)  # type: ignore[arg-type]
    converted_file(in_memory(tensors), tmp_path / "out", recipe)  # all that is finite stays so

    tensors[bias][5] = -2 * largest
    with pytest.raises(CheckpointError, match=rf"1 of the 128 numbers of {bias} are too large for {dtype}") as caught:
        converted_file(in_memory(tensors), tmp_path / "out", recipe)
    assert caught.value.path == Path("some.pth")
    assert ("bfloat16" in str(caught.value)) == (dtype == "float16")
    if dtype == "float16":
        converted_file(in_memory(tensors), tmp_path / "out", Recipe(Build("v2"), "bfloat16"))


UPWARD = {"x86_64": 0x800, "AMD64": 0x800, "aarch64": 0x400000, "arm64": 0x400000}.get(platform.machine())


@pytest.mark.skipif(UPWARD is None or os.name == "nt", reason="how this processor is told to round is not known here")
def test_a_process_that_rounds_otherwise_casts_nothing(tmp_path: Path, tiny: Path) -> None:
    code = """
import ctypes, sys
from pathlib import Path
from depthhub.checkpoint.recipe import Recipe
from depthhub.errors import CheckpointError
from depthhub.model.config import Build
from tests.checkpoint.test_convert import converted_bytes
converted_bytes(Path(sys.argv[1]), Recipe(Build("v2"), "float16"))
assert ctypes.CDLL(None).fesetround(int(sys.argv[2])) == 0
converted_bytes(Path(sys.argv[1]))  # nothing is rounded
try:
    converted_bytes(Path(sys.argv[1]), Recipe(Build("v2"), "float16"))
except CheckpointError as error:
    print(error)
"""
    run = [sys.executable, "-c", code, str(tiny), str(UPWARD)]
    found = subprocess.run(run, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert "round up or down" in found.stdout


def test_what_is_no_number_has_the_same_bits_after_every_cast() -> None:
    """Which sign and payload it keeps is for each kind of processor to say."""
    odd = torch.tensor([0x7FF4000000000001, -0x000BFFFFFFFFFFFF, 0x3FF0000000000000]).view(torch.float64)
    for dtype, bits in ((torch.float32, 0x7FC00000), (torch.float16, 0x7E00), (torch.bfloat16, 0x7FC0)):
        made, lost = cast(odd, dtype, path=Path("x"))
        whole = torch.int32 if dtype == torch.float32 else torch.int16
        assert made.view(whole).tolist()[:2] == [bits, bits]
        assert made[2] == 1
        assert lost == 0
