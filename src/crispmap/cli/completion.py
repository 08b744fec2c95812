"""What the shell completes: names of classes, several separated by commas."""

from __future__ import annotations

from collections.abc import Iterable

import typer


def preset_classes(incomplete: str) -> list[str]:
    """Return the continuations of a list of preset classes."""
    from crispmap.labels.osm import OSM_PRESETS

    return _continued(OSM_PRESETS, incomplete)


def classes_of_map(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the continuations of a list of classes of the map that the command names; none where it cannot be read."""
    from crispmap.errors import CrispmapError
    from crispmap.polygons.class_raster import ALL
    from crispmap.raster.writer import read_class_schema

    # An option whose value is still to come ends the parsing, so that arguments may not have found their names.
    named = ctx.params.get("class_map") or next(iter(ctx.args), "")
    try:
        schema = read_class_schema(named)
    except CrispmapError:
        return []
    return [] if schema is None else _continued([*schema.names, ALL], incomplete)


def _continued(names: Iterable[str], incomplete: str) -> list[str]:
    """Return what is typed with each name in place of its last word that begins so and is not there already."""
    before, comma, word = incomplete.rpartition(",")
    given = before.split(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(word) and name not in given]
