"""What is on disk says what it means, and appears whole or not at all."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from depthhub.cli.depth_files import sixteen_bit, write_depth

DEPTH = np.array([[0.5, 1.0, 2.0], [4.0, 8.0, 16.5]], np.float32)
PHOTO = Image.new("RGB", (3, 2), (10, 20, 30))


def test_relative_depth_comes_back_from_a_sixteen_bit_png_with_the_scale_in_its_text_chunk(tmp_path):
    path = tmp_path / "depth.png"
    write_depth(path, DEPTH, photo=PHOTO, kind="png16", is_metric=False, replace=False)
    with Image.open(path) as image:
        scale = json.loads(image.text["depthhub"])
        numbers = np.asarray(image)
    assert numbers.dtype == np.uint16
    assert (numbers.min(), numbers.max()) == (0, 65535)
    assert scale["unit"] == "relative inverse depth"
    np.testing.assert_allclose(scale["offset"] + scale["step"] * numbers, DEPTH, atol=scale["step"] / 2)


def test_metres_become_millimetres_and_what_is_too_far_is_counted(tmp_path):
    depth = np.array([[0.0014, 1.0, 65.535, 80.0]], np.float32)
    numbers, scale = sixteen_bit(depth, is_metric=True)
    assert numbers.tolist() == [[1, 1000, 65535, 65535]]
    assert (scale.unit, scale.offset, scale.step, scale.clipped) == ("metre", 0.0, 0.001, 1)
    assert "1 pixel" in str(scale)


def test_a_flat_depth_has_a_scale_that_gives_it_back():
    numbers, scale = sixteen_bit(np.full((2, 2), 3.25, np.float32), is_metric=False)
    assert np.all(scale.offset + scale.step * numbers == 3.25)


def test_npy_holds_the_models_own_numbers(tmp_path):
    path = tmp_path / "depth.npy"
    write_depth(path, DEPTH, photo=PHOTO, kind="npy", is_metric=False, replace=False)
    loaded = np.load(path)
    assert loaded.dtype == np.float32
    assert np.array_equal(loaded, DEPTH)


def test_side_by_side_shows_the_photograph_at_the_left(tmp_path):
    path = tmp_path / "both.png"
    write_depth(path, DEPTH, photo=PHOTO, kind="side-by-side", is_metric=False, replace=False)
    with Image.open(path) as image:
        assert image.size == (6, 2)
        assert image.getpixel((2, 1)) == (10, 20, 30)
        assert image.getpixel((5, 1)) == (254, 242, 149)


def test_a_write_that_fails_leaves_the_old_picture_and_nothing_else(tmp_path):
    path = tmp_path / "depth.npy"
    path.write_bytes(b"old")
    unwritable = np.array([[lambda: None]], dtype=object)  # numpy cannot pickle a local function
    with pytest.raises(Exception, match="pickle"):
        write_depth(path, unwritable, photo=PHOTO, kind="npy", is_metric=False, replace=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_there_and_what_another_process_is_writing_stays(tmp_path):
    path = tmp_path / "depth.npy"
    part = path.with_name(f".depth.npy.{os.getpid()}.part")
    part.write_bytes(b"of a container in which a process has the same number")
    write_depth(path, DEPTH, photo=PHOTO, kind="npy", is_metric=False, replace=False)
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        write_depth(path, DEPTH, photo=PHOTO, kind="npy", is_metric=False, replace=False)
    assert path.read_bytes() == b"mine"
    assert {*tmp_path.iterdir()} == {part, path}
