"""Scenes as a person types them: files, patterns, addresses, STAC items; each once, under a unique name."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import count, product
from pathlib import Path
from typing import Unpack

from crispmap.errors import SceneError
from crispmap.files.address import fit_name, is_plain_file, is_remote, shown
from crispmap.files.dataset import local_error
from crispmap.raster.refs import SceneChoices, SceneRef
from crispmap.raster.stac import is_item, item_scenes, split_assets

__all__ = ["SceneRef", "resolve_scenes"]

SIDECARS = (".aux.xml", ".ovr", ".msk", ".tfw", ".tifw", ".wld", ".jgw", ".pgw", ".prj", ".qml", ".stac.json")
"""How the names of files end that say something of another file."""
_FOLDERS_IN_NAME = 8


def resolve_scenes(arguments: Sequence[str | Path], **choices: Unpack[SceneChoices]) -> list[SceneRef]:
    """Return the scenes that arguments of a command stand for, each with a unique name for its maps.

    Names differ in more than case. A scene is named after its file; if that is not unique, after its folders too
    (``north-scene``, ``south-scene``), then its suffix (``scene-png``), then by a number in the order of the arguments.
    A scene given twice counts once. Local files exist and are readable; addresses are opened only to read a STAC item.
    Patterns skip sidecar files (``.aux.xml``, ``.ovr``).

    Args:
        arguments: Files; patterns such as ``tiles/*.tif`` (``**`` reaches into folders); addresses GDAL reads
            (``https://…``, ``s3://…``, ``/vsicurl/…``, ``/vsizip/…``); STAC items, local or at a web address, whose
            assets are chosen by default or by name, ``item.json#B04,B03,B02`` (see ``item_scenes``).
        **choices: How all of them are read, as ``open_scene`` takes it.

    Returns:
        The scenes, in the order of the arguments; those of a pattern by name.

    Raises:
        SceneError: If there is no argument, a file is missing, a folder or unreadable, a pattern matches nothing, or a
            STAC item cannot be used.
        GridError: If the assets of an item do not lie on one grid.
    """
    found = [scene for argument in arguments for scene in _scenes_of(str(argument))]
    if not found:
        raise SceneError("No scene is given.", expected="at least one raster", remedy="Give the path of a scene.")
    once: dict[tuple[str, ...], SceneRef] = {}
    for scene in found:
        once.setdefault(_identity(scene), scene)
    return [scene.choosing(**choices) for scene in _distinctly_named(list(once.values()))]


def _scenes_of(argument: str) -> list[SceneRef]:
    """Return the scenes of one argument."""
    if not argument:
        raise SceneError("A scene is given as ''.", expected="a path", remedy="Give the path of a scene.")
    address, assets = split_assets(argument)
    if is_item(address):
        if not _is_pattern(address):
            return item_scenes(address, assets)
        return [scene for file in _matches(address) for scene in item_scenes(file, assets)]
    return [_one(file) for file in (_matches(argument) if _is_pattern(argument) else [argument])]


def _one(file: str) -> SceneRef:
    """Return the scene of one readable file or one address."""
    scene = SceneRef.of(file)
    if (error := local_error(scene.files[0])) is not None:
        raise error
    return scene


def _is_pattern(text: str) -> bool:
    """Return whether a text is a pattern: it has wildcards and is not a file; a pattern of addresses is an error."""
    if not glob.has_magic(text):
        return False
    if is_remote(text):
        if "*" not in text:
            return False  # a query
        raise SceneError(
            f"{shown(text)} is a pattern of addresses.",
            expected="patterns of files, or whole addresses",
            remedy="Write the addresses out, or mount the folder.",
        )
    return is_plain_file(text) and not Path(text).exists()


def _matches(pattern: str) -> list[str]:
    """Return the files that match a pattern, sorted, without folders and sidecars; none is an error."""
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no pattern with a root
    files = [file for file in found if not file.lower().endswith(SIDECARS) and Path(file).is_file()]
    if not files:
        raise SceneError(
            f"No file matches {pattern}.",
            expected="a pattern that matches rasters",
            remedy="Check the folder and the suffix; ** reaches into folders: 'tiles/**/*.tif'.",
        )
    return files


def _identity(scene: SceneRef) -> tuple[str, ...]:
    """Return the key by which two references are the same scene."""
    return tuple(str(Path(file).resolve()) if is_plain_file(file) else file for file in scene.files)


def _distinctly_named(scenes: Sequence[SceneRef]) -> list[SceneRef]:
    """Return the scenes under distinct names: with as few folders as needed, else with a number."""
    names = [scene.name for scene in scenes]
    for folders, suffix in product(range(_FOLDERS_IN_NAME + 1), (False, True)):
        taken = Counter(name.casefold() for name in names)
        for place, scene in enumerate(scenes):
            if taken[names[place].casefold()] > 1:
                names[place] = _longer_name(scene, folders, suffix)
    return [replace(scene, name=name) for scene, name in zip(scenes, _numbered(names), strict=True)]


def _numbered(names: Sequence[str]) -> list[str]:
    """Return distinct names: repeated ones get a number, ``scene-2``."""
    given = {name.casefold() for name in names}
    taken: set[str] = set()
    numbered = []
    for name in names:
        free = (f"{name}-{number}" for number in count(2))
        own = name if name.casefold() not in taken else next(n for n in free if n.casefold() not in taken | given)
        taken.add(own.casefold())
        numbered.append(own)
    return numbered


def _longer_name(scene: SceneRef, folders: int, suffix: bool) -> str:
    """Return a scene's name with some of the folders it is in, and with its suffix."""
    file = scene.files[0]
    path = Path(file).resolve() if is_plain_file(file) else Path(shown(file))
    parts = [part for part in path.parent.parts if part != path.anchor][-folders:] if folders else []
    ending = [path.suffix.lstrip(".")] if suffix and path.suffix else []
    return fit_name("-".join([*parts, scene.name, *ending]))
