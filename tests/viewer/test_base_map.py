"""A base map: only where it is asked for, from one server alone, and where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest
from affine import Affine
from rasters_to_view import some_image, write

from crispmap.cli.view import chosen_base_map
from crispmap.errors import InputError
from crispmap.viewer.answers import Answers
from crispmap.viewer.base_map import OPENSTREETMAP, BaseMap
from crispmap.viewer.run import ViewOptions, assemble
from crispmap.viewer.server import ViewServer
from crispmap.viewer.view import facts_of


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write(tmp_path / "image.tif", some_image(40, 40))


def policy(server: ViewServer) -> str:
    server.server_close()
    return server.headers["Content-Security-Policy"]


def test_without_one_the_page_may_ask_nobody_else(image: Path) -> None:
    view = assemble([image])
    assert facts_of(view)["base_map"] is None
    assert "http" not in policy(ViewServer(Answers(view)))


def test_openstreetmap_is_named_and_nobody_else_may_be_asked(image: Path) -> None:
    view = assemble([image], ViewOptions(base_map=chosen_base_map(True, None, None)))
    facts = facts_of(view)["base_map"]
    assert facts["url"] == OPENSTREETMAP
    assert "OpenStreetMap contributors" in facts["credit"]
    assert facts["link"] == "https://www.openstreetmap.org/copyright"
    assert view.base_map is not None
    sources = policy(ViewServer(Answers(view), outside=view.base_map.origin)).split("; ")
    (pictures,) = [one for one in sources if "http" in one]
    assert pictures == "img-src 'self' https://tile.openstreetmap.org blob: data:"


def test_another_has_the_words_that_are_given_or_its_name() -> None:
    url = "https://tiles.example.org:8443/a/{z}/{x}/{y}.png?key=1"
    assert BaseMap(url).origin == "https://tiles.example.org:8443"
    assert "tiles.example.org" in BaseMap(url).facts()["credit"]
    chosen = chosen_base_map(False, url, "© <b>We</b>")
    assert chosen is not None
    assert chosen.facts() == {"url": url, "credit": "© <b>We</b>", "link": ""}


@pytest.mark.parametrize("url", [
    "", "tiles", "https://a.org/{z}/{x}.png", "ftp://a.org/{z}/{x}/{y}", "file:///{z}/{x}/{y}", "https://{z}/{x}/{y}",
    "https://a.org;script-src *;/{z}/{x}/{y}", "https://a.org/{z}/{x}/{y};", "https://a.org /{z}/{x}/{y}",
    "https://user:word@a.org/{z}/{x}/{y}", "https://{s}.a.org/{z}/{x}/{y}", "javascript:/{z}/{x}/{y}",
    "//a/{z}/{x}/{y}", "https://*/{z}/{x}/{y}", "https://a.org/{z}/{x}/{y}\nX: y", "https://[::1/{z}/{x}/{y}",
])  # fmt: skip
def test_what_is_no_address_of_tiles_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        BaseMap(url)


def test_words_without_a_map_are_refused() -> None:
    with pytest.raises(InputError):
        chosen_base_map(False, None, "© We")


@pytest.mark.filterwarnings("ignore::crispmap.errors.GeoreferenceWarning")
def test_without_a_coordinate_system_a_note_says_why_there_is_none(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tif", some_image(40, 40), transform=Affine.identity())
    view = assemble([path], ViewOptions(base_map=BaseMap()))
    assert view.base_map is None
    assert any("base map" in one for one in view.notes)
