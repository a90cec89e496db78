"""`predict`: depth pictures of photographs, with a real model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import depthhub as library
from depthhub.cli.colour_map import coloured
from depthhub.cli.photos import open_photo
from depthhub_cache.owner import Owner

from .conftest import save_photo

METRIC = ("--family", "v2-metric", "--max-depth", "80")


@pytest.fixture
def predict(depthhub, tiny):
    """`predict(image, ..., "-o", out)` with a small model, V2 unless another family is given."""

    def run(*argv):
        family = () if "--family" in argv else ("--family", "v2")
        return depthhub("predict", *argv, "-m", tiny, *family, "--input-size", "28")

    return run


def depth_of(photo, tiny, **options):
    model = library.from_pretrained(tiny, **options)
    return model.infer(open_photo(photo), input_size=28).numpy()


def test_a_photograph_becomes_a_coloured_picture_of_its_size(predict, photo, tiny, tmp_path):
    out = tmp_path / "new" / "depth.png"
    outcome = predict(photo, "-o", out)
    assert (outcome.code, outcome.out) == (0, f"{out}\n")
    with Image.open(out) as picture:
        assert np.array_equal(np.asarray(picture), coloured(depth_of(photo, tiny, family="v2"), is_metric=False))


def test_metric_depth_is_turned_round_for_the_picture(predict, photo, tiny, tmp_path):
    out = tmp_path / "depth.png"
    assert predict(photo, "-o", out, *METRIC).code == 0
    depth = depth_of(photo, tiny, family="v2-metric", max_depth=80)
    with Image.open(out) as picture:
        assert np.array_equal(np.asarray(picture), coloured(depth, is_metric=True))


def test_side_by_side_is_twice_as_wide(predict, photo, tmp_path):
    out = tmp_path / "both.png"
    assert predict(photo, "-o", out, "--side-by-side").code == 0
    with Image.open(out) as both, Image.open(photo) as original:
        assert both.size == (96, 32)
        assert np.array_equal(np.asarray(both)[:, :48], np.asarray(original))


def test_a_photograph_held_on_its_side_gets_upright_depth(predict, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = save_photo(tmp_path / "turned.jpg", exif=exif)
    assert predict(photo, "-o", tmp_path / "depth.png").code == 0
    with Image.open(tmp_path / "depth.png") as picture:
        assert picture.size == (32, 48)


def test_raw_relative_depth_says_its_scale_in_the_file_on_stderr_and_in_json(predict, photo, tiny, tmp_path):
    out = tmp_path / "depth.png"
    outcome = predict(photo, "-o", out, "--raw", "--json")
    (result,) = outcome.json
    with Image.open(out) as picture:
        numbers, written = np.asarray(picture), json.loads(picture.text["depthhub"])
    assert numbers.dtype == np.uint16
    assert written == result["scale"]
    assert "relative inverse depth = " in outcome.err
    depth = depth_of(photo, tiny, family="v2")
    np.testing.assert_allclose(written["offset"] + written["step"] * numbers, depth, atol=written["step"])


def test_raw_metric_depth_is_in_millimetres(predict, photo, tiny, tmp_path):
    out = tmp_path / "depth.png"
    outcome = predict(photo, "-o", out, "--raw", *METRIC)
    assert "millimetres" in outcome.err
    depth = depth_of(photo, tiny, family="v2-metric", max_depth=80)
    with Image.open(out) as picture:
        expected = np.rint(depth.astype(np.float64) * 1000).clip(0, 65535)
        np.testing.assert_allclose(np.asarray(picture), expected, atol=1)


def test_npy_holds_the_models_own_numbers(predict, photo, tiny, tmp_path):
    out = tmp_path / "depth.npy"
    assert predict(photo, "-o", out).code == 0
    assert np.array_equal(np.load(out), depth_of(photo, tiny, family="v2"))


def test_a_folder_becomes_a_folder_with_progress(predict, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.jpg", "b.png"):
        save_photo(folder / name)
    out = tmp_path / "out"
    outcome = predict(folder, "-o", out, "--format", "npy")
    assert outcome.code == 0
    assert outcome.out.split() == [str(out / "a.npy"), str(out / "b.npy")]
    assert "[2/2] b.png" in outcome.err


def test_a_file_that_is_no_picture_is_reported_and_the_others_go_on(predict, tmp_path):
    bad, good = tmp_path / "bad.jpg", save_photo(tmp_path / "good.jpg")
    bad.write_text("not a picture")
    outcome = predict(bad, good, "-o", tmp_path / "out", "--json")
    failed, done = outcome.json
    assert outcome.code == 1
    assert (failed["image"], failed["error"]["type"]) == (str(bad), "PictureError")
    assert done["output"] == str(tmp_path / "out" / "good.png")
    assert (tmp_path / "out" / "good.png").exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_appears_after_the_plan_stays_unless_told(predict, tmp_path, monkeypatch, force):
    photos = [save_photo(tmp_path / "a.jpg"), save_photo(tmp_path / "b.jpg")]
    out = tmp_path / "out"
    infer = library.DepthModel.infer

    def slow(*args, **options):
        if not out.exists():
            out.mkdir()
            (out / "a.png").write_bytes(b"mine")
        return infer(*args, **options)

    monkeypatch.setattr(library.DepthModel, "infer", slow)
    outcome = predict(*photos, "-o", out, *(["--force"] if force else []))
    assert outcome.code == (0 if force else 2)
    assert ("a.png appeared meanwhile; --force" in outcome.err) == (not force)
    assert ((out / "a.png").read_bytes() == b"mine") == (not force)
    assert (out / "b.png").exists(), "the others go on"


def test_what_a_killed_run_left_in_the_output_folder_goes_once(predict, photo, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    left, notes = out / f".depthhub-{Owner.current()._replace(started=1).unique_name()}.part", out / ".notes.part"
    for path in (left, notes):
        path.write_bytes(b"half")
    assert predict(photo, "-o", out).code == 0
    assert {*out.iterdir()} == {notes, out / "photo.png"}


@pytest.mark.parametrize(
    ("out", "options", "said"),
    [
        ("depth.jpg", [], "should end in .png"),
        ("depth", [], "should end in .png"),
        ("depth.png", ["--format", "npy"], "should end in .npy"),
        ("depth.npy", ["--side-by-side"], "--side-by-side"),
        ("depth.png", ["--side-by-side", "--raw"], "not allowed with"),
        ("depth.png", ["--device", "warp"], "--device warp"),
        ("depth.png", ["--device", "meta"], "--device meta"),
        ("depth.png", ["--input-size", "0"], "pixels"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_the_model_is_loaded(
    depthhub, photo, tmp_path, out, options, said
):
    outcome = depthhub("predict", photo, "-o", tmp_path / out, *options, "-m", "owner/repo/never-asked.pth")
    assert outcome.code == 2
    assert said in outcome.err


def test_several_photographs_do_not_go_to_one_file(predict, photo, tmp_path):
    outcome = predict(photo, save_photo(tmp_path / "other.jpg"), "-o", tmp_path / "out.png")
    assert outcome.code == 2
    assert "folder" in outcome.err


def test_a_photograph_that_is_not_there_is_said_before_the_model_is_loaded(depthhub, tmp_path):
    outcome = depthhub("predict", tmp_path / "no.jpg", "-o", tmp_path / "x.png", "-m", "owner/repo/never-asked.pth")
    assert outcome.code == 3
    assert "no.jpg" in outcome.err


def test_depth_that_is_not_a_number_is_an_error_and_no_picture(predict, photo, tmp_path, monkeypatch):
    import torch

    from depthhub.depth_model import DepthModel

    monkeypatch.setattr(DepthModel, "infer", lambda *_, **__: torch.full((32, 48), float("nan")))
    outcome = predict(photo, "-o", tmp_path / "depth.png")
    assert outcome.code == 1
    assert "not numbers" in outcome.err
    assert not (tmp_path / "depth.png").exists()


@pytest.mark.parametrize("bits", [np.uint16, np.int32, np.float32])
def test_a_depth_map_is_not_taken_for_a_photograph(predict, tmp_path, bits):
    path = tmp_path / "depth-of-before.tif"
    Image.fromarray(np.full((4, 4), 3000, bits)).save(path)
    outcome = predict(path, "-o", tmp_path / "out.png")
    assert outcome.code == 1
    assert "8 bits" in outcome.err


def test_a_photograph_that_is_in_the_folder_already_is_not_lost(depthhub, predict, tmp_path):
    photo, other = save_photo(tmp_path / "house.jpg"), save_photo(tmp_path / "house.png")
    before = other.read_bytes()
    outcome = depthhub("predict", photo, "-o", tmp_path, "-m", "owner/repo/never-asked.pth")
    assert outcome.code == 2
    assert "house.png is there already; --force" in outcome.err
    assert other.read_bytes() == before
    assert predict(photo, "-o", tmp_path, "--force").code == 0
    assert other.read_bytes() != before


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("not enough memory: you tried\nmore"), OSError("no disk")]
)
def test_a_failure_at_one_photograph_is_reported_and_the_others_go_on(predict, tmp_path, monkeypatch, error):
    from depthhub.depth_model import DepthModel

    infer = DepthModel.infer

    def failing(model, photo, **options):
        if photo.width == 50:
            raise error
        return infer(model, photo, **options)

    monkeypatch.setattr(DepthModel, "infer", failing)
    photos = [save_photo(tmp_path / f"{width}.jpg", width=width) for width in (48, 50, 52)]
    outcome = predict(*photos, "-o", tmp_path / "out", "--json")
    assert outcome.code == (8 if isinstance(error, OSError) else 1)
    assert ["error" in result for result in outcome.json] == [False, True, False]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["48.png", "52.png"]
    assert (str(error).partition("\n")[0] or "not enough memory") in outcome.err


def test_a_photograph_that_the_model_would_see_vastly_enlarged_is_refused(predict, tmp_path, monkeypatch):
    from depthhub.depth_model import DepthModel

    monkeypatch.setattr(DepthModel, "infer", lambda *_, **__: pytest.fail("the model was asked"))
    strip = save_photo(tmp_path / "strip.png", width=100_000, height=1)
    outcome = predict(strip, "-o", tmp_path / "depth.png", "--json")
    assert outcome.code == 1
    assert outcome.json[0]["error"]["type"] == "PictureError"
    assert "2800000 x 28" in outcome.err


def test_a_slip_of_ours_at_a_photograph_keeps_its_traceback(predict, photo, tmp_path, monkeypatch):
    from depthhub.depth_model import DepthModel

    monkeypatch.setattr(DepthModel, "infer", lambda *_: None)
    with pytest.raises(TypeError):
        predict(photo, "-o", tmp_path / "depth.png")
