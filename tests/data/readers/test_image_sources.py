from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from zip_writer import Entry, write_zip

from tracer1.data.readers.image_sources import ImageSource, open_images
from tracer1.errors import DataError

FILES = {"a.png": b"a" * 300, "coco/train/1.png": b"coco", "sam/train/1.png": b"sam", "sam/images/2.png": b"2"}


def folder(at: Path) -> Path:
    for name, data in FILES.items():
        (at / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (at / "images" / name).write_bytes(data)
    return at / "images"


def archive(at: Path, part_size: int | None = None) -> Path:
    at.mkdir(exist_ok=True)
    write_zip(at / "images.zip", [Entry(name, data) for name, data in FILES.items()], part_size)
    return at / "images.zip"


@pytest.fixture(params=[folder, archive, lambda at: archive(at, 150)], ids=["folder", "zip", "parts"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    build: Callable[[Path], Path] = request.param
    return build(tmp_path)


@pytest.fixture
def images(place: Path) -> ImageSource:
    return open_images(place, limit=1000)


def test_pictures_by_their_names(images: ImageSource) -> None:
    with images:
        assert {name: images.read(name) for name in FILES} == FILES


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("images/a.png", "a.png"),
        ("2.png", "sam/images/2.png"),
        ("data/other/2.png", "sam/images/2.png"),
        ("data/coco/train/1.png", "coco/train/1.png"),
        ("other/sam/train/1.png", "sam/train/1.png"),
    ],
)
def test_folders_may_differ(images: ImageSource, name: str, found: str) -> None:
    assert images.find(name) == found
    assert images.read(name) == FILES[found]


def test_what_is_not_there(images: ImageSource, place: Path) -> None:
    for name in ("b.png", "x" * 5000, "\ud800", "coco", "coco/train"):
        assert images.find(name) is None
    for method in (images.read, images.path):
        with pytest.raises(DataError, match=rf"{place.name}: no file 'b\.png'"):
            method("b.png")


def test_what_may_be_several(images: ImageSource) -> None:
    for name in ("1.png", "train/1.png", "vqa/train/1.png"):
        with pytest.raises(DataError, match=rf"'{name}' may be '(coco|sam)/train/1\.png' or "):
            images.read(name)


@pytest.mark.parametrize(
    "name", ["../images/a.png", "/etc/passwd", "C:/a.png", "..\\a.png", "a.png\0", "", "coco/../a.png"]
)
def test_no_name_leads_out(images: ImageSource, name: str) -> None:
    for method in (images.read, images.path, images.find):
        with pytest.raises(DataError, match="leads out of the folder"):
            method(name)


def test_only_a_folder_has_files(images: ImageSource, place: Path) -> None:
    assert images.path("x/a.png") == (place / "a.png" if place.is_dir() else None)


def test_too_large_is_refused(place: Path) -> None:
    with pytest.raises(DataError, match=r"300 bytes; at most 200"):
        open_images(place, limit=200).read("a.png")


def test_links_of_a_cache_are_followed_and_pipes_are_none(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"png")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").symlink_to(tmp_path / "blob")
    os.mkfifo(tmp_path / "images" / "b.png")
    images = open_images(tmp_path / "images")
    assert images.read("a.png") == b"png"
    with pytest.raises(DataError, match="no file"):
        images.read("b.png")


def test_refused_members_say_why(tmp_path: Path) -> None:
    write_zip(tmp_path / "images.zip", [Entry("a.png", b"a", flags=0x801)])
    with pytest.raises(DataError, match="encrypted"):
        open_images(tmp_path / "images.zip").read("a.png")


def test_the_last_part_is_the_one_to_give(tmp_path: Path) -> None:
    archive(tmp_path, 150)
    with pytest.raises(DataError, match=r"images\.z01: a part of a zip; give its last part, images\.zip"):
        open_images(tmp_path / "images.z01")
    with pytest.raises(DataError, match="cannot be read"):
        open_images(tmp_path / "nothing")
