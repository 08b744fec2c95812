from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.errors import CrispmapError, CrispmapWarning, without_secrets
from crispmap.files.address import (
    file_name,
    fit_name,
    gdal_name,
    is_address,
    is_missing,
    is_plain_file,
    is_remote,
    name_of,
    shown,
    suffix_of,
    typed,
    web_address,
)

READ_THROUGH = {
    "https://host/a.tif": "/vsicurl/https://host/a.tif",
    "http://host:80/a/b.tif?sig=a/b": "/vsicurl/http://host:80/a/b.tif?sig=a/b",
    "s3://bucket/a.tif": "/vsis3/bucket/a.tif",
    "gs://bucket/a.tif": "/vsigs/bucket/a.tif",
    "/vsicurl/https://host/a.tif": "/vsicurl/https://host/a.tif",
    "/vsizip//vsicurl/https://host/a.zip/b.tif": "/vsizip//vsicurl/https://host/a.zip/b.tif",
    "/vsis3/bucket/a.tif": "/vsis3/bucket/a.tif",
}


@pytest.mark.parametrize(("text", "opened"), READ_THROUGH.items())
def test_addresses_survive_being_made_a_path(text: str, opened: str) -> None:
    assert gdal_name(text) == opened
    assert gdal_name(Path(text)) == opened
    assert gdal_name(opened) == opened
    assert typed(text) == typed(Path(text)) == text
    assert is_remote(text)
    assert is_address(text)
    assert is_address(Path(text))
    assert not is_plain_file(text)
    assert not is_missing(text)
    assert suffix_of(text) == suffix_of(Path(text)) == ".tif"


@pytest.mark.parametrize(
    "name", ["scene.tif", "a b/ü.tif", "/data/s.tif", "../s.tif", "https", "vsicurl/a.tif", "s3/a.tif", "a/s3:b.tif"]
)
def test_files_are_left_as_they_are(name: str) -> None:
    assert gdal_name(name) == name
    assert gdal_name(Path(name)) == name
    assert typed(name) == name
    assert not is_remote(name)
    assert not is_address(name)


@pytest.mark.parametrize("name", ["NETCDF:a.nc:red", "GTIFF_DIR:1:a.tif", "/vsimem/a.tif", "<VRTDataset/>"])
def test_what_else_gdal_opens_is_no_plain_file_and_not_remote(name: str) -> None:
    assert gdal_name(name) == name
    assert not is_plain_file(name)
    assert not is_remote(name)


def test_an_archive_keeps_its_place_though_a_path_has_one_slash_less(tmp_path: Path) -> None:
    inside = f"/vsizip/{tmp_path}/a.zip/b.tif"
    assert inside.startswith("/vsizip//")
    assert gdal_name(Path(inside)) == inside
    assert gdal_name("/vsizip/{/x/a.zip}/b.tif") == "/vsizip/{/x/a.zip}/b.tif"


def test_an_archive_here_is_found_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()  # as a folder at the root is called
    assert gdal_name("/vsizip/tmp/a.zip/b.tif") == "/vsizip/tmp/a.zip/b.tif"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("tiles/scene.tif", "scene"),
        ("a.b.tif", "a.b"),
        ("https://host/x/scene%201.tif?sig=a.b/c", "scene 1"),
        ("s3://bucket/x/scene.tif", "scene"),
        ("/vsizip/a.zip/scene.tif", "scene"),
        ("NETCDF:a.nc:red", "NETCDF_a"),
        ("/", "scene"),
        ("...", "scene"),
    ],
)
def test_maps_are_called_after_their_scene(path: str, name: str) -> None:
    assert name_of(path) == name


@given(st.text())
@settings(deadline=None, max_examples=200)
def test_any_text_makes_a_name_a_file_can_have(text: str) -> None:
    name = fit_name(text)
    assert name
    assert len(name.encode()) <= 150
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert name == name.strip(" .")
    assert fit_name(name) == name


def test_messages_keep_the_secret_of_an_address() -> None:
    assert shown("https://host/a.tif?sig=secret") == "https://host/a.tif"
    assert shown("/vsis3/bucket/a.tif?x") == "/vsis3/bucket/a.tif"
    assert shown("what?.tif") == "what?.tif"
    assert file_name("https://host/b/a.tif?sig=secret/x") == "a.tif"
    assert file_name("scenes/what?.tif") == "what?.tif"
    assert web_address("https://host/a.tif?sig=secret") == "https://host/a.tif?sig=secret"
    assert web_address("s3://bucket/a.tif") is None
    assert web_address("a.tif") is None


def test_a_file_is_missing_where_there_is_none(tmp_path: Path) -> None:
    assert is_missing(tmp_path / "a.tif")
    assert not is_missing(tmp_path)
    assert not is_missing("NETCDF:a.nc:red")


@pytest.mark.parametrize("name", ["a.GPKG", "https://host/x/A.gpkg?sig=a.b/c.d", "/vsis3/bucket/a.gpkg"])
def test_a_suffix_is_that_of_the_file(name: str) -> None:
    assert suffix_of(name) == suffix_of(Path(name)) == ".gpkg"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://me:pa:ss@w@host/a.tif?x=1&sig=a%2Fb&y=2", "https://***@host/a.tif?x=1&sig=***&y=2"),
        ("a https:/me:pw@host/a.tif b", "a https:/***@host/a.tif b"),
        (
            "s3://b/a.tif?X-Amz-Signature=abc 'x?access_token=t'",
            "s3://b/a.tif?X-Amz-Signature=*** 'x?access_token=***'",
        ),
        ("tcp://me:pw@10.0.0.1:8786", "tcp://***@10.0.0.1:8786"),
        ("mail a@b.org about /x/y@z.tif?n=1", "mail a@b.org about /x/y@z.tif?n=1"),
    ],
)
def test_secrets_of_addresses_are_masked_in_any_text(text: str, masked: str) -> None:
    assert without_secrets(text) == masked
    assert without_secrets(masked) == masked
    assert str(CrispmapWarning(text)) == CrispmapError(text).given == masked
