"""The journal of an unfinished run: written when it begins, compared when it is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PositiveInt, StringConstraints

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
        content = _Content(crispmap=_FORMAT, block_px=self.block_px, identity=dict(self.identity))
        write_atomically(folder / NAME, content.model_dump_json(indent=1).encode())
        sync_folder(folder)

    @classmethod
    def read(cls, folder: Path) -> Journal:
        """Read the journal in a folder.

        Raises:
            OutputError: If it is missing, damaged, or of another version of crispmap.
        """
        try:
            content = _Content.model_validate_json((folder / NAME).read_bytes())
        except (OSError, ValueError) as error:
            raise _unreadable(folder, f"its journal is missing or damaged ({type(error).__name__})") from error
        if content.crispmap != _FORMAT:
            other = f"its journal has format {content.crispmap}, that of another version of crispmap"
            raise _unreadable(folder, other)
        return cls(content.identity, content.block_px)

    def differences(self, identity: Mapping[str, str]) -> list[str]:
        """Return a line for every entry in which another identity differs: its value then and now."""
        return [
            f"{name}: {_shown(self.identity.get(name))} then, {_shown(identity.get(name))} now"
            for name in sorted({*self.identity, *identity})
            if self.identity.get(name) != identity.get(name)
        ]


_Name = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]  # some are file names


class _Content(BaseModel):
    """A journal as it is written."""

    model_config = ConfigDict(strict=True)

    crispmap: int
    block_px: PositiveInt
    identity: dict[_Name, str]


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
