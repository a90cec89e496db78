"""The converted file is sound safetensors, aligned, and says what it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from depthhub.checkpoint.containers import OpenCheckpoint
from depthhub.checkpoint.convert import convert
from depthhub.checkpoint.converted import read_converted, write_converted
from depthhub.checkpoint.header import LIMIT, METADATA, build_stated_in, read_header
from depthhub.checkpoint.reading import Checkpoint
from depthhub.checkpoint.recipe import LAYOUT_VERSION, Recipe
from depthhub.errors import CheckpointError
from depthhub.model.config import Build
from depthhub.testing import make_checkpoint
from depthhub.testing.shapes import Size, original_shapes
from depthhub_cache.identity import ContentHash

from .states import read, state_dict

HASH = ContentHash("0123456789abcdef" * 4)
RECIPE = Recipe(Build("v2-metric", 20.0), "float16")


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    out = tmp_path_factory.mktemp("converted") / "out.safetensors"
    with out.open("wb") as file:
        write_converted(file.write, convert(read(tiny), RECIPE), content_hash=HASH)
    return out


def raw_header(path: Path) -> tuple[int, dict[str, object]]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return 8 + length, json.loads(data[8 : 8 + length])


def with_metadata(source: Path, target: Path, text: str | None) -> Path:
    """`source` with other words about itself."""
    start, header = raw_header(source)
    header["__metadata__"] = {} if text is None else {METADATA: text}
    encoded = json.dumps(header).encode()
    target.write_bytes(len(encoded).to_bytes(8, "little") + encoded + source.read_bytes()[start:])
    return target


def test_the_header_says_config_recipe_and_content_hash_and_nothing_of_where_or_when(converted: Path) -> None:
    header = read_header(converted)
    assert header.recipe == RECIPE
    assert header.content_hash == HASH
    assert (header.config.width, header.config.max_depth, header.config.activation) == (128, 20.0, "sigmoid")
    with safe_open(converted, framework="pt") as file:
        metadata = file.metadata()
    assert list(metadata) == [METADATA], "one value"
    facts = json.loads(metadata[METADATA])
    assert set(facts) == {"config", "recipe", "content_hash"}
    assert metadata[METADATA] == json.dumps(facts, sort_keys=True, separators=(",", ":")), "canonical"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_the_data_and_every_tensor_of_whole_cache_lines_begin_on_one(tmp_path: Path, dtype: torch.dtype) -> None:
    """An odd size, so that some tensors are no multiple of 64 bytes; and one tensor of another dtype."""
    size = Size(width=64, blocks=4, reassembly_channels=(3, 5, 7, 9), fusion_channels=10, base_grid=3, head_channels=11)
    state = state_dict(original_shapes(size), dtype)
    never_read = "depth_head.scratch.refinenet4.resConfUnit1.conv1.bias"
    state[never_read] = state[never_read].bfloat16()
    path = tmp_path / "out.safetensors"
    with path.open("wb") as file:
        checkpoint = Checkpoint(Path("some.pth"), "original", state, ())
        write_converted(file.write, convert(checkpoint, Recipe(Build("v2"))), content_hash=HASH)

    start, header = raw_header(path)
    assert start % 64 == 0
    widths = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
    odd = 0
    for name, facts in header.items():
        if name == "__metadata__":
            continue
        begin, end = facts["data_offsets"]  # type: ignore[index]
        whole_lines = (end - begin) % 64 == 0
        odd += not whole_lines
        assert begin % (64 if whole_lines else widths[facts["dtype"]]) == 0, name  # type: ignore[index]
    assert odd > 5, "else this test shows little"
    assert len(read_converted(path)[0]) > 100, "sound for the library that reads it"


def test_a_reader_gets_what_the_model_needs_and_not_what_it_never_reads(converted: Path) -> None:
    tensors, header = read_converted(converted)
    assert header == read_header(converted)
    assert not any(name.startswith("unused.") for name in tensors)
    with safe_open(converted, framework="pt") as file:
        left = set(file.keys()) - set(tensors)
    assert len(left) == 5
    assert all(name.startswith("unused.") for name in left)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}


def stated_in(path: Path) -> Build | None:
    with OpenCheckpoint(path) as opened:
        return build_stated_in(opened)


def test_how_to_build_it_is_stated_by_our_own_files_alone(converted: Path, tiny: Path, tmp_path: Path) -> None:
    assert stated_in(converted) == RECIPE.build
    assert stated_in(tiny) is None
    assert stated_in(make_checkpoint(tmp_path / "other.safetensors")) is None


def test_a_file_of_somebody_else_is_no_converted_file(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "other.safetensors")
    for reader in (read_converted, read_header):
        with pytest.raises(CheckpointError, match="no converted file"):
            reader(path)


def test_another_layout_version_is_refused_with_both_numbers(converted: Path, tmp_path: Path) -> None:
    _, header = raw_header(converted)
    facts = json.loads(header["__metadata__"][METADATA])  # type: ignore[index]
    facts["recipe"]["layout_version"] = LAYOUT_VERSION + 1
    path = with_metadata(converted, tmp_path / "newer.safetensors", json.dumps(facts))
    for reader in (read_converted, read_header, stated_in):
        with pytest.raises(
            CheckpointError, match=f"version {LAYOUT_VERSION + 1}; this depthhub reads {LAYOUT_VERSION}"
        ):
            reader(path)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "{}", '{"config":{},"recipe":{},"content_hash":"00"}', "[" * 100_000], ids=range(6)
)
def test_damaged_words_are_an_error(converted: Path, tmp_path: Path, text: str) -> None:
    path = with_metadata(converted, tmp_path / "damaged.safetensors", text)
    for reader in (read_converted, read_header):
        with pytest.raises(CheckpointError, match="is damaged, or of another version"):
            reader(path)


def test_a_content_hash_that_is_none_is_damage(converted: Path, tmp_path: Path) -> None:
    _, header = raw_header(converted)
    text = header["__metadata__"][METADATA]  # type: ignore[index]
    assert read_header(with_metadata(converted, tmp_path / "same.safetensors", text)).content_hash == HASH
    path = with_metadata(converted, tmp_path / "odd.safetensors", text.replace(HASH, "../../etc"))
    with pytest.raises(CheckpointError, match="content hash"):
        read_header(path)


@pytest.mark.parametrize("kept", [0, 5, 8, 100, -1])
def test_a_converted_file_that_was_cut_short_is_an_error(converted: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(converted.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        read_converted(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        (LIMIT + 1).to_bytes(8, "little") + b"{" * 10,
        (1 << 63).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b'{"a": 1}}',
        (40).to_bytes(8, "little") + b'{"__metadata__": 3}'.ljust(40),
    ],
    ids=range(6),
)
def test_a_header_that_is_none_is_an_error_and_never_a_large_allocation(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError):
        read_header(path)


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    for reader in (read_converted, read_header):
        with pytest.raises(CheckpointError, match="cannot be read"):
            reader(tmp_path / "nothing.safetensors")


def test_what_a_file_says_of_itself_is_read_without_torch(converted: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "import depthhub.checkpoint.converted, depthhub.checkpoint.hints, depthhub.checkpoint.layouts\n"
        "import depthhub.checkpoint.shapes\n"
        "from depthhub.checkpoint.containers import OpenCheckpoint\n"
        "from depthhub.checkpoint.header import build_stated_in, read_header\n"
        "path = Path(sys.argv[1]); read_header(path); build_stated_in(OpenCheckpoint(path))\n"
        "print(sorted({'torch', 'huggingface_hub', 'numpy'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code, str(converted)], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "forge",
    [
        lambda facts: {**facts, "data_offsets": [offset - 64 for offset in facts["data_offsets"]]},
        lambda facts: {**facts, "shape": [-1, *facts["shape"][1:]]},
        lambda facts: {**facts, "shape": [*facts["shape"], 2]},
        lambda facts: {**facts, "data_offsets": facts["data_offsets"][::-1]},
    ],
    ids=["into the header", "any shape", "more than there is", "backwards"],
)
@pytest.mark.parametrize("mapped", [True, False])
def test_a_tensor_that_is_said_to_lie_where_none_can_is_an_error(
    converted: Path, tmp_path: Path, forge: Callable[[dict[str, Any]], dict[str, Any]], mapped: bool
) -> None:
    start, found = raw_header(converted)
    header: dict[str, Any] = dict(found)
    first = min((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"])
    text = json.dumps({**header, first: forge(header[first])}).encode()
    path = tmp_path / "forged.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + converted.read_bytes()[start:])
    with pytest.raises(CheckpointError, match="cannot have the bytes"):
        read_converted(path, mapped=mapped)
