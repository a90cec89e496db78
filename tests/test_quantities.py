"""Sizes and ages as people write them, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthhub.quantities import parse_age, parse_bytes

SIZES = {
    "0": 0,
    "1": 1,
    "1B": 1,
    "20GB": 20_000_000_000,
    "20gb": 20_000_000_000,
    " 500 MB ": 500_000_000,
    "1.5TiB": 3 * 2**39,
    "0.5kB": 500,
    "1KiB": 1024,
    "2MiB": 2**21,
    "3GiB": 3 * 2**30,
    "1.9999": 1,
    "999999999999999": 999_999_999_999_999,
}
AGES = {"0d": 0, "90d": 7_776_000, "12h": 43_200, "30m": 1800, "2w": 1_209_600, "45s": 45, "1.5 D": 129_600}
NEITHER = ["", " ", "GB", "-1", "-1GB", "+1GB", "1e9", "1,5GB", "1.GB", ".5GB", "1 000", "0x10", "nan", "inf", "1GBB"]
NEITHER += ["1G", "1K", "twenty GB", "1GB 2", "1\n", "\u0661GB", "1" * 16, "1.1234567MB", "1\0GB"]


@pytest.mark.parametrize(("text", "count"), SIZES.items())
def test_a_size_is_a_number_of_bytes(text: str, count: int) -> None:
    assert parse_bytes(text) == count
    assert type(parse_bytes(text)) is int


@pytest.mark.parametrize(("text", "seconds"), AGES.items())
def test_an_age_is_a_number_of_seconds(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds


@pytest.mark.parametrize("text", [text for text in [*NEITHER, "90d", "12h"] if text != "1\n"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write 20GB"):
        parse_bytes(text)


@pytest.mark.parametrize("text", [*NEITHER, "1", "90", "20GB", "1mo", "1y", "90 days"])
def test_what_is_no_age_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not an age; write 90d"):
        parse_age(text)


@given(st.integers(0, 10**15 - 1), st.sampled_from(["", "B", " b"]))
def test_a_number_of_bytes_is_exact(count: int, unit: str) -> None:
    assert parse_bytes(f"{count}{unit}") == count


@given(st.text())
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    for parse in (parse_bytes, parse_age):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert "write" in str(error)  # noqa: PT017  most texts are none
