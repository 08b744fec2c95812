"""A map of streets around the scene, from a server elsewhere: only where a person asks for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from crispmap.errors import InputError

OPENSTREETMAP = "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
_CREDITS = {"tile.openstreetmap.org": ("© OpenStreetMap contributors", "https://www.openstreetmap.org/copyright")}
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", re.ASCII)
_PLACES = ("{z}", "{x}", "{y}")


@dataclass(frozen=True)
class BaseMap:
    """Tiles in Web Mercator, numbered as OpenStreetMap does.

    Raises:
        InputError: If the address is none of such tiles.
    """

    url: str = OPENSTREETMAP  # with {z}, {x} and {y}
    credit: str | None = None  # the words their maker asks for; by default those known of it, or its name

    def __post_init__(self) -> None:
        rest = self.url
        for place in _PLACES:
            rest = rest.replace(place, "0")
        plain = "{" not in rest and "}" not in rest and not re.search(r"[\s\"'<>;,\\]", rest)
        if not plain or not all(one in self.url for one in _PLACES) or _ORIGIN.fullmatch(self.origin) is None:
            raise InputError(
                f"The base map is {self.url!r}.", expected=f"an address such as {OPENSTREETMAP}",
                remedy="Write {z}, {x} and {y} for zoom, column and row of a tile, after a plain name of a server.",
            )  # fmt: skip

    @property
    def origin(self) -> str:
        """The server that the page may ask."""
        return "/".join(self.url.split("/")[:3])

    def facts(self) -> dict[str, str]:
        """Return it as plain values."""
        host = self.origin.partition("://")[2]
        words, link = _CREDITS.get(host, (f"Base map: {host}", ""))
        return {"url": self.url, "credit": self.credit or words, "link": link}
