"""The journal of an unfinished run: written when it begins, compared when it is resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crispmap.errors import OutputError
from crispmap.files.atomic import write_atomically
from crispmap.raster.targets import sync_folder

NAME = "journal.json"
_FORMAT = 1
_SHOWN = 40  # characters of an entry shown to a person: enough to distinguish two hashes


@dataclass(frozen=True)
class Journal:
    """What an unfinished run depends on."""

    identity: Mapping[str, str]  # all that decides the bytes of its files, by name; long things by hash
    block_px: int  # side of its blocks; the files do not depend on it

    def write(self, folder: Path) -> None:
        """Write the journal durably; raise OutputError or OSError if it cannot be written."""
        content = {"crispmap": _FORMAT, "block_px": self.block_px, "identity": dict(self.identity)}
        write_atomically(folder / NAME, json.dumps(content, indent=1).encode())
        sync_folder(folder)

    @classmethod
    def read(cls, folder: Path) -> Journal:
        """Read the journal in a folder.

        Raises:
            OutputError: If it is missing, damaged, or of another version of crispmap.
        """
        try:
            content = json.loads((folder / NAME).read_bytes())
            version, block_px, identity = content["crispmap"], content["block_px"], content["identity"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _unreadable(folder, f"its journal is missing or damaged ({type(error).__name__})") from error
        if version != _FORMAT:
            raise _unreadable(folder, f"its journal has format {version!r}, that of another version of crispmap")
        texts = isinstance(identity, dict) and all(isinstance(value, str) for value in identity.values())
        if not texts or type(block_px) is not int or block_px < 1:
            raise _unreadable(folder, "its journal is damaged")
        return cls(identity, block_px)

    def differences(self, identity: Mapping[str, str]) -> list[str]:
        """Return a line for every entry in which another identity differs: its value then and now."""
        return [
            f"{name}: {_shown(self.identity.get(name))} then, {_shown(identity.get(name))} now"
            for name in sorted({*self.identity, *identity})
            if self.identity.get(name) != identity.get(name)
        ]


def _unreadable(folder: Path, why: str) -> OutputError:
    return OutputError(
        f"The unfinished run in {folder} cannot be resumed: {why}.",
        expected=f"a journal of format {_FORMAT}",
        remedy="Discard it and start over with restart=True.",
    )


def _shown(value: str | None) -> str:
    if value is None:
        return "nothing"
    return repr(value if len(value) <= _SHOWN else f"{value[: _SHOWN - 1]}…")
