"""Which photographs are meant, where their depth goes, and that no photograph is ever lost."""

import os
from pathlib import Path

import pytest
from PIL import Image

from depthhub.cli.errors import PictureError, UsageError
from depthhub.cli.photos import open_photo, plan
from depthhub.errors import NotFoundError

from .conftest import save_photo


def test_one_photograph_goes_to_the_file_that_was_named(photo, tmp_path):
    assert plan([photo], tmp_path / "out.png", suffix=".png") == [(photo, tmp_path / "out.png")]


def test_one_photograph_goes_into_a_folder_that_exists(photo, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    assert plan([photo], folder, suffix=".png") == [(photo, folder / "photo.png")]


def test_a_folder_gives_its_pictures_in_order_and_nothing_else(tmp_path):
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.png"):
        (folder / name).touch()
    out = tmp_path / "out"
    jobs = plan([folder], out, suffix=".npy")
    assert jobs == [(folder / "a.png", out / "a.npy"), (folder / "b.JPG", out / "b.npy")]


def test_two_photographs_of_one_stem_keep_their_suffixes(tmp_path):
    for name in ("house.jpg", "house.tif", "tree.jpg"):
        (tmp_path / name).touch()
    names = [job.output.name for job in plan([tmp_path], tmp_path / "out", suffix=".png")]
    assert names == ["house.jpg.png", "house.tif.png", "tree.png"]


def test_a_photograph_that_is_named_twice_is_done_once(photo, tmp_path):
    assert len(plan([photo, tmp_path], tmp_path / "out", suffix=".png")) == 1


def test_an_output_never_replaces_a_photograph(tmp_path):
    photo = save_photo(tmp_path / "photo.png")
    with pytest.raises(UsageError, match="one of the photographs"):
        plan([photo], photo, suffix=".png")
    with pytest.raises(UsageError, match="one of the photographs"):
        plan([tmp_path], tmp_path, suffix=".png")


def test_an_output_never_replaces_another_output(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jpg").touch()
    with pytest.raises(UsageError, match="run them apart"):
        plan([tmp_path / "one", tmp_path / "two"], tmp_path / "out", suffix=".png")


def test_what_is_not_there_is_said_before_anything_is_done(photo, tmp_path):
    with pytest.raises(NotFoundError, match="nowhere"):
        plan([photo, tmp_path / "nowhere.jpg"], tmp_path / "out", suffix=".png")


def test_a_folder_without_pictures_is_an_error(tmp_path):
    with pytest.raises(NotFoundError, match="holds no pictures"):
        plan([tmp_path], tmp_path / "out", suffix=".png")


def test_several_photographs_do_not_go_to_one_file(photo, tmp_path):
    other = save_photo(tmp_path / "other.jpg")
    (tmp_path / "out").touch()
    with pytest.raises(UsageError, match="folder"):
        plan([photo, other], tmp_path / "out", suffix=".png")


def test_a_photograph_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    photo = save_photo(tmp_path / "turned.jpg", width=48, height=32, exif=exif)
    assert open_photo(photo).size == (32, 48)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_a_picture_of_any_colours_becomes_rgb(tmp_path, mode):
    path = tmp_path / "picture.tif"
    Image.new(mode, (3, 2)).save(path)
    assert open_photo(path).mode == "RGB"


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n garbage"])
def test_a_file_that_is_no_picture_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "fake.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=r"fake\.png cannot be read as a picture") as caught:
        open_photo(path)
    assert caught.value.path == path


def test_a_truncated_picture_is_an_error(tmp_path):
    whole = save_photo(tmp_path / "whole.jpg", width=200, height=200).read_bytes()
    path = tmp_path / "half.jpg"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError, match=r"half\.jpg"):
        open_photo(path)


def test_a_picture_with_absurdly_many_pixels_is_refused(tmp_path, monkeypatch):
    path = save_photo(tmp_path / "vast.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PictureError, match="too many pixels"):
        open_photo(path)


def test_a_folder_is_not_a_picture():
    with pytest.raises(PictureError):
        open_photo(Path())


@pytest.mark.parametrize("target", ["file", "dangling link"])
def test_an_output_takes_the_place_of_nothing_that_is_there_unless_told(photo, tmp_path, target):
    out = tmp_path / "out"
    out.mkdir()
    if target == "file":
        (out / "photo.png").touch()
    else:
        (out / "photo.png").symlink_to(tmp_path / "nowhere")
    for place in (out, out / "photo.png"):
        with pytest.raises(UsageError, match="--force"):
            plan([photo], place, suffix=".png")
        assert plan([photo], place, suffix=".png", replace=True) == [(photo, out / "photo.png")]


def test_an_output_never_takes_the_place_of_a_folder(photo, tmp_path):
    (tmp_path / "out" / "photo.png").mkdir(parents=True)
    with pytest.raises(UsageError, match="is no file"):
        plan([photo], tmp_path / "out", suffix=".png", replace=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_photograph_and_no_output(photo, tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        plan([pipe], tmp_path / "out.png", suffix=".png")
    with pytest.raises(UsageError, match="is no file"):
        plan([photo], pipe, suffix=".png", replace=True)
