"""A view assembled of what a person gives: rasters, the folder of a run, or a project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crispmap.errors import GridError, InputError, number_of
from crispmap.files.address import file_name, shown
from crispmap.viewer.errors_layer import KINDS, ErrorSource
from crispmap.viewer.found import FoundRaster, layers_of, look_at
from crispmap.viewer.layers import Layer, class_painter
from crispmap.viewer.pyramid import Pyramid
from crispmap.viewer.view import View

PROJECT_FILE = "project.yaml"
_RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".png", ".jpg", ".jpeg", ".img")
VECTORS = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".gml", ".parquet")
_FIRST = ("image", "classes", "amount", "errors")  # the order of layers on the page, by kind


def is_project(path: Path) -> bool:
    """Return whether a path is that of a project file, or of a folder that holds one."""
    return path.suffix.lower() in (".yaml", ".yml") or (path.is_dir() and (path / PROJECT_FILE).is_file())


def view_of_rasters(paths: Sequence[Path], *, bands: Sequence[int] = (), reference: Path | None = None) -> View:
    """Return the view of rasters; the pixels are those of the first image, or of the first raster.

    Args:
        paths: Rasters, or a folder of them; vectors that were aligned, whose moves are shown as arrows.
        bands: The bands of images to show.
        reference: The class map that the others are held against.

    Raises:
        InputError: If nothing or nothing but vectors is given, or a folder holds no raster.
        LabelError: If vectors do not say what was moved.
        SceneError: If one of them cannot be read.
        GridError: If one cannot be laid over the others.
    """
    aligned = [path for path in paths if path.suffix.lower() in VECTORS]
    if aligned and len(aligned) == len(paths):
        raise InputError(
            f"Only vectors are given: {', '.join(map(str, aligned))}.", expected="an image or a map that they lie on",
            remedy=f"Name it before them: crispmap view scene.tif {aligned[0]}",
        )  # fmt: skip
    found = _looked_at([path for path in paths if path not in aligned], bands)
    base = next((one for one in found if one.shows_ground), found[0])
    view = View(title_of(paths), Pyramid(base.grid))
    add_rasters(view, found, strict=len(paths) > 1 or not paths[0].is_dir())
    for path in aligned:
        from crispmap.viewer.moves import arrows_of  # which reads vectors

        view.arrows += arrows_of(path, base.grid)
    if reference is not None:
        one = look_at(reference)
        (layer,) = layers_of(one, view.pyramid, f"{name_of(reference)} (reference)", view.new_id)
        if layer.kind != "classes":
            raise InputError(
                f"{reference} is no class map.", expected="the raster of a reference",
                remedy="Draw vectors first: crispmap rasterize.",
            )  # fmt: skip
        add_errors(view, layer)
        view.layers.append(layer)
    in_order(view)
    return view


def _looked_at(paths: Sequence[Path], bands: Sequence[int]) -> list[FoundRaster]:
    if not paths:
        raise InputError("Nothing is given.", expected="rasters, a folder of maps, or a project",
                         remedy="Name them: crispmap view scene.tif map.tif")  # fmt: skip
    files = [file for path in paths for file in (_in_folder(path) if path.is_dir() else [path])]
    once = list(dict.fromkeys(files))
    return [look_at(path, bands if _may_choose(path, bands) else ()) for path in once]


def _may_choose(path: Path, bands: Sequence[int]) -> bool:
    """Return whether chosen bands are meant for a raster: an image of several."""
    found = look_at(path) if bands else None
    return found is not None and found.kind == "image" and len(found.bands) > 1


def _in_folder(folder: Path) -> list[Path]:
    """Return the rasters of a folder; those of no other suffix are looked for."""
    found = sorted(one for one in folder.iterdir() if one.suffix.lower() in _RASTERS and not one.name.startswith("."))
    if not found:
        raise InputError(
            f"{folder} holds neither a project nor rasters.", expected=f"{PROJECT_FILE}, or maps as {_RASTERS[0]}",
            remedy="Give the folder of a project or of its results, or the rasters themselves.",
        )  # fmt: skip
    return found


def add_rasters(view: View, found: Sequence[FoundRaster], *, strict: bool) -> None:
    """Add the layers of rasters to a view.

    Args:
        strict: Whether a raster that cannot be laid over the others is an error; else a note names it.
    """
    names = names_of([one.path for one in found])
    for one, name in zip(found, names, strict=True):
        if one.file.is_slow_far_out:
            view.notes.append(f"{name} has no overviews: the first view reads all of it. gdaladdo adds some.")
        try:
            view.layers += layers_of(one, view.pyramid, name, view.new_id)
        except GridError as error:
            if strict:
                raise
            view.notes.append(f"{name} is left out: {error.given}")


def add_errors(view: View, reference: Layer) -> None:
    """Add to a view, for each of its class maps with the classes of a reference, where it differs from that."""
    names = [one.name for one in reference.classes]
    for layer in list(view.layers):
        if layer.kind != "classes" or layer is reference or layer.id in view.steps or layer.growth is not None:
            continue
        if [one.name for one in layer.classes] != names:
            view.notes.append(f"{layer.name} has other classes than the reference: no errors are shown of it.")
            continue
        source = ErrorSource(layer.source, reference.source)
        view.layers.append(
            Layer(view.new_id(), f"errors of {layer.name}", "errors", source,
                  class_painter({one.value: one.colour for one in KINDS}), (*layer.files, *reference.files), KINDS)
        )  # fmt: skip


def in_order(view: View) -> None:
    """Put images first, then maps, amounts and errors."""
    view.layers.sort(key=lambda one: _FIRST.index(one.kind))


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: its own without suffix, with its folder where two would be called the same."""
    stems = [name_of(path) for path in paths]
    return [
        stem if stems.count(stem) == 1 else f"{path.parent.name}/{file_name(path)}"
        for stem, path in zip(stems, paths, strict=True)
    ]


def name_of(path: Path) -> str:
    """Return the name of a file without its suffix."""
    return Path(file_name(path)).stem or shown(path)


def title_of(paths: Sequence[Path]) -> str:
    """Return what a page of files is called."""
    first = paths[0].resolve().name if paths[0].is_dir() else file_name(paths[0])
    return first if len(paths) == 1 else f"{first} and {number_of(len(paths) - 1, 'other')}"
