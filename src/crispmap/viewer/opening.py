"""The page opened in a browser, and how long it may be silent."""

from __future__ import annotations

import os
import sys
import webbrowser

PATIENCE_S, FAREWELL_S = 180.0, 8.0
"""How long after the last sign of the page the server ends; and after a farewell, which a reload says too."""


def open_page(url: str) -> bool:
    """Open a page where there is a screen, and return whether that was done.

    A browser of the terminal would take that over.
    """
    has_screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    try:
        return bool(has_screen) and webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False
