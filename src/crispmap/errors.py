"""The errors a person can cause, as one tree.

    CrispmapError
    ├── InputError            a file or value that cannot be used
    │   ├── SceneError        a raster: missing, unreadable, wrong bands, all nodata
    │   ├── GridError         grids or coordinate systems that do not fit together
    │   ├── LabelError        vectors or masks: no overlap, no CRS, no class found
    │   ├── SchemaError       class definitions that contradict each other
    │   ├── AreaError         regions, dates, maps or samples of areas that contradict each other
    │   ├── ProjectError      a project file: unknown key, wrong type, bad polygon
    │   └── ModelError        a model file: truncated, not ours, newer, wrong bands
    ├── OutputError           a path that exists, cannot be written, or a full disk
    ├── ClusterError          workers or a scheduler that cannot be reached, or are lost
    └── TrainingError         a training that cannot start or has diverged

Every message says what was given, what is expected and the remedy. The command line prints it and exits with
status 2. Warnings a person should see derive from CrispmapWarning. No message shows a password or a signature that an
address holds.
"""

import difflib
import re
from collections.abc import Iterable

_COMPARED_CHARACTERS = 80
_USER = re.compile(r"(?<=:/)(/?)[^/\s@]+(?:@[^/\s@]+)*@")
_SECRET = re.compile(
    r"([?&][\w.~-]*(?:sig|token|secret|key|passw|pwd|auth|credential)[\w.~-]*=)[^&\s'\"<>]*", re.IGNORECASE
)


def without_secrets(text: str) -> str:
    """Return a text with the secrets of addresses in it as ``***``: user and password, signatures, tokens and keys."""
    return _SECRET.sub(r"\1***", _USER.sub(r"\1***@", text))


def number_of(count: int, noun: str) -> str:
    """Return a number with its noun for a message: ``1 class``, ``2 classes``, ``0 bands``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a guess at which known word was meant, as a remedy; empty where none is close."""
    close = difflib.get_close_matches(word[:_COMPARED_CHARACTERS].lower(), list(known), n=1)
    return f"Did you mean {close[0]}?" if close else ""


class CrispmapError(Exception):
    """Root of every error a person can cause and mend.

    Args:
        given: What was given, with the offending value or path.
        expected: What would have been accepted.
        remedy: What to do about it.
    """

    def __init__(self, given: str, *, expected: str = "", remedy: str = "") -> None:
        self.given, self.expected, self.remedy = map(without_secrets, (given, expected, remedy))
        lines = [self.given]
        if expected:
            lines.append(f"Expected: {self.expected}")
        if remedy:
            lines.append(f"Remedy: {self.remedy}")
        super().__init__("\n".join(lines))


class InputError(CrispmapError):
    """A file or value that cannot be used as it is."""


class SceneError(InputError):
    """A raster that is missing, unreadable, has the wrong bands, or holds no valid pixel."""


class GridError(InputError):
    """Grids or coordinate systems that do not fit together."""


class LabelError(InputError):
    """Vectors or masks that do not overlap, have no CRS, or hold no pixel of a class."""


class SchemaError(InputError):
    """Class definitions that contradict each other."""


class AreaError(InputError):
    """Regions, dates, maps or samples that contradict each other, or lack what areas need."""


class ProjectError(InputError):
    """A project file with an unknown key, a wrong type or a bad polygon."""


class ModelError(InputError):
    """A model file that is truncated, not ours, of a newer version, or made for other bands."""


class OutputError(CrispmapError):
    """An output path that exists, cannot be written, or a disk that is full."""


class ClusterError(CrispmapError):
    """Workers or a scheduler that cannot be started or reached, do not fit, or are lost."""


class TrainingError(CrispmapError):
    """A training that cannot start, or that has diverged."""


class CrispmapWarning(UserWarning):
    """Root of the warnings a person should see."""

    def __init__(self, text: str) -> None:
        super().__init__(without_secrets(text))


class GeoreferenceWarning(CrispmapWarning):
    """A raster without CRS or transform: its pixels are taken as the unit of length."""
