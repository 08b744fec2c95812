"""Scenes as a person types them: files, patterns, addresses, STAC items; each told once, under a name of its own."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import count, product
from pathlib import Path

from crispmap.errors import SceneError
from crispmap.files.address import fit_name, is_plain_file, is_remote, shown
from crispmap.files.dataset import local_trouble
from crispmap.raster.refs import SceneRef
from crispmap.raster.stac import is_item, item_scenes, split_assets

__all__ = ["SceneRef", "resolve_scenes"]

_SIDECARS = (".aux.xml", ".ovr", ".msk", ".tfw", ".tifw", ".wld", ".jgw", ".pgw", ".prj")
_FOLDERS_IN_NAME = 8


def resolve_scenes(
    arguments: Sequence[str | Path], *, bands: Sequence[int] | None = None, assume_gsd_m: float | None = None
) -> list[SceneRef]:
    """Return the scenes that arguments of a command mean, each with a name of its own to call its maps by.

    No two names are equal, also where a file system takes no notice of capitals. A scene is called after its file;
    scenes of one file name in several folders after their folders too (``north-scene``, ``south-scene``); scenes of
    one name and several suffixes after their suffix too (``scene-png``); where all that is equal, by a number in the
    order of the arguments. A scene given twice counts once. Local files are there and can be read; addresses are tried
    only where a STAC item must be read. Files that lie beside rasters (``.aux.xml``, ``.ovr``) are left out of what a
    pattern finds.

    Args:
        arguments: Files; patterns such as ``tiles/*.tif`` (``**`` reaches into folders); addresses GDAL reads
            (``https://…``, ``s3://…``, ``/vsicurl/…``, ``/vsizip/…``); STAC items, local or at a web address, whose
            assets are chosen by default or by name, ``item.json#B04,B03,B02`` (see ``item_scenes``).
        bands: Band numbers, 1-based, of every scene.
        assume_gsd_m: Side of a pixel in metres, for scenes without georeference.

    Returns:
        The scenes, in the order of the arguments; those of a pattern by name.

    Raises:
        SceneError: If there is no argument, a file is missing, a folder or may not be read, a pattern finds nothing,
            or a STAC item cannot be used.
        GridError: If the assets of an item do not lie on one grid.
    """
    found = [scene for argument in arguments for scene in _scenes_of(str(argument))]
    if not found:
        raise SceneError("No scene is given.", expected="at least one raster", remedy="Give the path of a scene.")
    once: dict[tuple[str, ...], SceneRef] = {}
    for scene in found:
        once.setdefault(_identity(scene), scene)
    return [scene.choosing(bands, assume_gsd_m) for scene in _told_apart(list(once.values()))]


def _scenes_of(argument: str) -> list[SceneRef]:
    """Return the scenes one argument means."""
    if not argument:
        raise SceneError("A scene is given as ''.", expected="a path", remedy="Give the path of a scene.")
    address, assets = split_assets(argument)
    if is_item(address):
        if not _is_pattern(address):
            return item_scenes(address, assets)
        return [scene for file in _matches(address) for scene in item_scenes(file, assets)]
    return [_one(file) for file in (_matches(argument) if _is_pattern(argument) else [argument])]


def _one(file: str) -> SceneRef:
    """Return the scene of one file that is there, or of one address.

    Raises:
        SceneError: If it is a folder, missing, or may not be read.
    """
    scene = SceneRef.of(file)
    trouble = local_trouble(scene.files[0])
    if trouble is not None:
        raise trouble
    return scene


def _is_pattern(text: str) -> bool:
    """Return whether a text is a pattern: it has wildcards, and no file is called like that.

    Raises:
        SceneError: If it is a pattern of addresses.
    """
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
    """Return the files a pattern finds, by name, without folders and without what lies beside rasters.

    Raises:
        SceneError: If there is none.
    """
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no pattern with a root
    files = [file for file in found if not file.lower().endswith(_SIDECARS) and Path(file).is_file()]
    if not files:
        raise SceneError(
            f"No file is called like {pattern}.",
            expected="a pattern that finds rasters",
            remedy="Check the folder and the suffix; ** reaches into folders: 'tiles/**/*.tif'.",
        )
    return files


def _identity(scene: SceneRef) -> tuple[str, ...]:
    """Return what two scenes have in common that are one."""
    return tuple(str(Path(file).resolve()) if is_plain_file(file) else file for file in scene.files)


def _told_apart(scenes: Sequence[SceneRef]) -> list[SceneRef]:
    """Return the scenes under names that differ: with as few folders as do, else with a number."""
    names = [scene.name for scene in scenes]
    for folders, suffix in product(range(_FOLDERS_IN_NAME + 1), (False, True)):
        taken = Counter(name.casefold() for name in names)
        for place, scene in enumerate(scenes):
            if taken[names[place].casefold()] > 1:
                names[place] = _longer_name(scene, folders, suffix)
    return [replace(scene, name=name) for scene, name in zip(scenes, _numbered(names), strict=True)]


def _numbered(names: Sequence[str]) -> list[str]:
    """Return names that differ: those that stand there before already get a number, ``scene-2``."""
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
