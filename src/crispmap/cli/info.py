"""The verb ``info``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispmap.cli.console import print_json, print_line
from crispmap.errors import InputError, LabelError, SceneError

if TYPE_CHECKING:
    from crispmap.raster.files import FileScene
    from crispmap.raster.refs import SceneRef

_VECTOR_SUFFIXES = (".geojson", ".shp", ".fgb", ".kml", ".gml", ".osm", ".pbf", ".parquet", ".geoparquet", ".pq")


def info(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A scene, class map, model, vector or project file; or the address of a raster or vectors.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what a file holds: a scene, a class map, a model, vectors or a project."""
    facts = describe(file)
    if as_json:
        print_json(facts)
    else:
        _print_facts(facts)


def describe(path: Path) -> dict[str, Any]:
    """Return what a file holds, as plain values, with its ``kind`` first.

    Raises:
        CrispmapError: If it is missing, damaged, or of no kind crispmap reads.
    """
    from crispmap.files.address import is_missing, suffix_of, typed

    if _names_assets(typed(path)):
        return _assets_facts(typed(path))
    if is_missing(path):
        raise InputError(f"There is no file {path}.", expected="a file to look at", remedy="Check the path.")
    suffix = suffix_of(path)
    if suffix in (".yaml", ".yml") or (path.is_dir() and suffix != ".gdb"):
        return _project_facts(path)
    if suffix == ".safetensors":
        return _model_facts(path)
    if suffix in _VECTOR_SUFFIXES:
        return _vector_facts(path)
    return _raster_or_vector_facts(path)


def _raster_or_vector_facts(path: Path) -> dict[str, Any]:
    """Return what a file holds whose name tells neither."""
    from crispmap.files.address import is_remote
    from crispmap.raster.refs import SceneRef

    try:
        return _raster_facts(SceneRef.of(path))
    except SceneError as scene_error:
        from crispmap.labels.mask import is_vector_file

        if is_remote(path) and not is_vector_file(path):
            raise
        try:
            return _vector_facts(path)
        except LabelError:
            raise scene_error from None


def _names_assets(text: str) -> bool:
    """Return whether a text is a STAC item with assets of it named, ``item.json#B04``."""
    if "#" not in text:
        return False
    from crispmap.raster.stac import split_assets

    return split_assets(text)[1] is not None


def _assets_facts(text: str) -> dict[str, Any]:
    """Return what the assets named of a STAC item hold together.

    Raises:
        SceneError: If they cannot be read.
        InputError: If there are several items.
    """
    from crispmap.raster.resolve import resolve_scenes

    scenes = resolve_scenes([text])
    if len(scenes) > 1:
        raise InputError(
            f"{text} means {len(scenes)} scenes.",
            expected="one scene",
            remedy=f"Look at them one by one: {', '.join(str(scene) for scene in scenes[:3])}",
        )
    return _raster_facts(scenes[0])


def _raster_facts(ref: SceneRef) -> dict[str, Any]:
    """Return what a raster, or several that make one scene, hold."""
    from crispmap.raster.files import FileScene, open_dataset
    from crispmap.raster.stack import gdal_source
    from crispmap.raster.writer import read_class_schema

    source = gdal_source(ref)
    schema = read_class_schema(source)
    with open_dataset(source) as dataset, FileScene(ref) as scene:
        grid = scene.grid
        facts: dict[str, Any] = {
            "kind": "scene" if schema is None else "class map",
            "path": str(ref),
            "format": dataset.driver,
            "height_px": grid.height,
            "width_px": grid.width,
            "gsd_m": None if grid.crs is None else [round(value, 6) for value in grid.gsd_m()],
            "crs": None if grid.crs is None else _crs_name(grid.crs),
            "bounds": list(grid.bounds),
            "bands": [
                {"name": name, "type": dtype, "nodata": nodata}
                for name, dtype, nodata in zip(
                    _band_names(dataset, scene), dataset.dtypes, dataset.nodatavals, strict=True
                )
            ],
        }
        tags = {key: value for key, value in dataset.tags().items() if key.startswith("CRISPMAP_")}
    if schema is not None:
        facts["classes"] = [{"id": index, "name": c.name, "colour": c.colour} for index, c in enumerate(schema)]
        tags.pop("CRISPMAP_CLASSES", None)
    if tags:
        facts["tags"] = tags
    return facts


def _band_names(dataset: Any, scene: FileScene) -> list[str]:
    """Return what every band of a raster is called: alpha after its colour, the others as a model sees them."""
    image = dict(zip(scene.bands, scene.band_names, strict=True))
    return [image.get(number, colour.name) for number, colour in enumerate(dataset.colorinterp, 1)]


def _crs_name(crs: Any) -> str:
    """Return what people call a coordinate reference system."""
    authority = crs.to_authority()
    return f"{':'.join(authority)} ({crs.name})" if authority else str(crs.name)


def _model_facts(path: Path) -> dict[str, Any]:
    """Return what a model file holds, from its header alone."""
    from crispmap.models.card import CARD_KEY, card_in, opened_model

    with opened_model(path, "numpy") as file:
        metadata = file.metadata() or {}
        sizes = [math.prod(file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118 - no mapping
    facts: dict[str, Any] = {"kind": "model", "path": path, "weights": sum(sizes)}
    if CARD_KEY not in metadata:
        return facts | {"card": None, "metadata": metadata}
    card = card_in(metadata, path)
    return facts | {
        "kind": f"{card.kind} model",
        "architecture": card.architecture,
        "arguments": card.arguments,
        "gsd_m": card.gsd_m,
        "radius_px": card.radius_px,
        "stride_px": card.stride_px,
        "classes": [{"id": index, "name": c.name, "colour": c.colour} for index, c in enumerate(card.schema)],
        "bands": [
            {"name": name, "offset": offset, "scale": scale}
            for name, offset, scale in zip(card.band_names, card.scaling.offset, card.scaling.scale, strict=True)
        ],
        "provenance": card.provenance,
    }


def _vector_facts(path: Path) -> dict[str, Any]:
    """Return what a vector file holds, layer by layer."""
    import pyogrio

    from crispmap.files.address import shown, suffix_of
    from crispmap.files.vector_file import reading, reason_shown, vector_name
    from crispmap.labels.layers import PARQUET_SUFFIXES, drawn_layers

    if suffix_of(path) in PARQUET_SUFFIXES:
        layers = [_parquet_facts(one.loaded, one.columns) for one in drawn_layers(path)]
    else:
        try:
            with reading(path):
                source = vector_name(path)
                layers = [_layer_facts(source, str(name)) for name, _ in pyogrio.list_layers(source)]
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
            raise LabelError(
                f"{shown(path)} cannot be read as a raster or as vectors: {reason_shown(error, path)}",
                expected="a scene, class map, model, vector or project file",
                remedy="Check that the file is whole and of the format its name says.",
            ) from error
    return {"kind": "vectors", "path": shown(path), "layers": layers}


def _layer_facts(source: str, name: str) -> dict[str, Any]:
    """Return what a layer of a vector file holds."""
    import pyogrio

    facts = pyogrio.read_info(source, layer=name, force_feature_count=True, force_total_bounds=True)
    bounds = facts["total_bounds"]
    return {
        "name": name,
        "geometry": facts["geometry_type"],
        "features": int(facts["features"]),
        "crs": facts["crs"],
        "bounds": None if bounds is None or not all(map(math.isfinite, bounds)) else [float(v) for v in bounds],
        "fields": [str(field) for field in facts["fields"]],
    }


def _parquet_facts(frame: Any, columns: tuple[str, ...]) -> dict[str, Any]:
    """Return what a table of features holds."""
    return {
        "name": None,
        "geometry": ", ".join(sorted(frame.geom_type.dropna().unique())),
        "features": len(frame),
        "crs": None if frame.crs is None else _crs_name(frame.crs),
        "bounds": [float(value) for value in frame.total_bounds] if len(frame) else None,
        "fields": list(columns),
    }


def _project_facts(path: Path) -> dict[str, Any]:
    """Return what a project file says; files it names may be missing."""
    from crispmap.files.address import is_address, shown
    from crispmap.project.file import load_project

    project = load_project(path, check_files=False)
    sources = {"scene": project.scene, "labels": project.labels, "reference": project.reference}
    paths = {name: one.path for name, one in sources.items() if one is not None}
    if project.coarse.scores is not None:
        paths["coarse scores"] = project.coarse.scores.path
    coarse = project.coarse.model_dump(exclude_none=True, exclude={"scores"})
    return {
        "kind": "project",
        "path": project.path,
        "name": project.name,
        "seed": project.seed,
        "classes": [{"id": index, "name": c.name, "colour": c.colour} for index, c in enumerate(project.schema)],
        "files": [
            {"for": name, "path": shown(one), "exists": is_address(one) or one.exists()} for name, one in paths.items()
        ],
        "areas": {role: len(pieces) for role, pieces in project.areas.items()},
        "coarse": None if project.coarse.scores is not None else coarse,
        "refiner": None if project.refiner is None else project.refiner.model_dump(exclude_none=True),
        "output_folder": project.output_folder,
    }


def _print_facts(facts: dict[str, Any], indent: str = "") -> None:
    """Print facts as lines a person reads."""
    for key, value in facts.items():
        label = f"{indent}{key.replace('_', ' ')}:"
        if isinstance(value, dict):
            print_line(label if value else f"{label} none")
            _print_facts(value, f"{indent}  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            print_line(label)
            for one in value:
                print_line(f"{indent}  - {', '.join(f'{k} {_text(v)}' for k, v in one.items())}")
        else:
            print_line(f"{label} {_text(value)}")


def _text(value: Any) -> str:
    """Return a fact as text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_text(one) for one in value) or "none"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
