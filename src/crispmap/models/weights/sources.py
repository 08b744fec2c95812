"""Where the weights of an encoder come from, by name. Importing it loads no torch."""

from __future__ import annotations

import difflib
from pathlib import Path

NAMES = ("random", "imagenet-lite0", "imagenet")
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def checked_weights(value: str, folder: Path | None) -> str:
    """Return weights as given: a name of ``NAMES``, or a file, counted from a folder.

    Raises:
        ValueError: If it is neither.
    """
    if value in NAMES:
        return value
    try:
        path = Path(folder or ".") / Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError(f"weights is {value!r}: {error}") from error
    if path.suffix.lower() in SUFFIXES:
        return str(path)
    near = difflib.get_close_matches(value, NAMES, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"weights is {value!r}, which is none of {', '.join(NAMES)}, nor a {', '.join(SUFFIXES)}{hint}")
