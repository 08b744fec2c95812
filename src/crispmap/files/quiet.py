"""Warnings silenced while several threads work: the filters belong to the process."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

FILTERS = threading.RLock()
"""Held while the filters are changed: two threads that change and restore them at once would leave wrong ones."""


@contextmanager
def ignoring(category: type[Warning]) -> Iterator[None]:
    """Silence the warnings of a category that the code inside raises; other threads that silence some wait."""
    with FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield
