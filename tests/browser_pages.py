"""Pages in Chromium, as it comes with Debian (``make browser``): opened, watched, and looked over by axe-core."""

from __future__ import annotations

import gzip
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_AXE = Path(__file__).parent / "viewer" / "axe" / "axe.min.js.gz"  # version 4.14.1, as it comes from its authors

_OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = true; });"
_MOST_LOADS = 5


class Watched:
    """A page and whatever goes wrong on it."""

    def __init__(self, browser: Any, url: str, width: int = 1400, height: int = 900, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda one: self.problems.append(one.text))
        self.page.on("pageerror", lambda one: self.problems.append(str(one)))
        self.page.on("request", lambda one: self.asked.append(one.url))
        self.page.on("response", lambda one: one.status >= 400 and self.problems.append(f"{one.status} {one.url}"))
        self.page.goto(url, wait_until="load")
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_timeout(400)
        if not self.evaluated("Boolean(document.querySelector('#run-section:not([hidden])'))"):
            self.page.wait_for_load_state("networkidle")  # a run that is followed is asked for all the time
        self.page.wait_for_timeout(200)

    def until(self, condition: str) -> None:
        """Wait until an expression of the page is true, however busy the machine is."""
        for _ in range(300):  # the page's own policy forbids the driver's way of waiting, which evaluates text
            if self.evaluated(condition):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(condition)

    def until_text(self, selector: str, pattern: str) -> None:
        """Wait until an element has a text."""
        self.until(f"new RegExp({json.dumps(pattern)}).test(document.querySelector({json.dumps(selector)}).innerText)")

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def serious(self) -> list[tuple[str, list[str]]]:
        """What axe-core finds that keeps people out; the page is loaded again, for it lets no script in but its own."""
        session = self.context.new_cdp_session(self.page)
        session.send("Page.setBypassCSP", {"enabled": True})
        self.page.reload(wait_until="load")
        self.settle()
        found = self.evaluated(f"async () => {{ {_OPEN_ALL} {_axe()}; return await axe.run(); }}")["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        return [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in serious]

    def evaluated(self, expression: str) -> Any:
        """Return what an expression gives in the page; again where the page loaded itself anew meanwhile."""
        from playwright.sync_api import Error

        for _ in range(_MOST_LOADS):
            with suppress(Error):
                return self.page.evaluate(expression)
            self.page.wait_for_timeout(500)
        return self.page.evaluate(expression)


def _axe() -> str:
    return gzip.decompress(_AXE.read_bytes()).decode()
