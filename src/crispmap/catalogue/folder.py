"""A static catalogue of a folder: an item for each class map and each model, and the catalogue that lists them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crispmap.catalogue.fields import STAC_VERSION, Item
from crispmap.catalogue.map_item import MODEL_TAGS, ItemDates, map_item
from crispmap.catalogue.model_item import SHA256, model_item
from crispmap.errors import InputError, ModelError, SceneError
from crispmap.files.atomic import write_atomically
from crispmap.models.describe import describe_model
from crispmap.raster.targets import check_target
from crispmap.raster.writer import read_class_schema

CATALOGUE = "catalog.json"
ITEM_SUFFIX = ".stac.json"
_MAPS, _MODELS = (".tif", ".tiff"), (".safetensors",)
_JSON = "application/json"


@dataclass(frozen=True)
class WrittenCatalogue:
    """What a catalogue holds."""

    path: Path  # the catalogue
    maps: tuple[Path, ...]  # the items of maps
    models: tuple[Path, ...]  # the items of models
    left_out: tuple[tuple[Path, str], ...]  # rasters and models that have no item, and why

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files written, the catalogue first."""
        return self.path, *self.maps, *self.models


def item_of_file(path: str | Path, dates: ItemDates | None = None) -> Item:
    """Return the item of a class map or a model, without links.

    Raises:
        AreaError, ModelError, SceneError: As ``map_item`` and ``model_item``.
    """
    path = Path(path)
    return model_item(path) if path.suffix.lower() in _MODELS else map_item(path, dates)


def write_catalogue(folder: str | Path, *, dates: ItemDates | None = None, force: bool = False) -> WrittenCatalogue:
    """Write an item beside each class map and model in a folder and those below it, and the catalogue of all.

    All names in it are relative, so that the folder may move. An item of a map links those of the models that made it,
    where they are in the folder. Hidden files and folders are passed over.

    Args:
        dates: Where dates of maps are; see ``map_item``.
        force: Whether existing files may be replaced.

    Raises:
        AreaError: If a date asked for is missing or can be read in two ways.
        InputError: If it is no folder, or holds neither map nor model.
        OutputError: If a file exists and ``force`` is not given, or cannot be written.
    """
    home = Path(folder)
    if not home.is_dir():
        raise InputError(
            f"{home} is not a folder.", expected="a folder of class maps and models", remedy="Check the path."
        )
    items, left_out = _items(home, dates)
    if not items:
        raise InputError(
            f"{home} holds neither class map nor model.", expected="class maps (.tif) or models (.safetensors)",
            remedy="Name the folder that predict wrote to.",
        )  # fmt: skip
    targets = {path: path.with_name(path.name + ITEM_SUFFIX) for path in items}
    for target in (home / CATALOGUE, *targets.values()):
        check_target(target, force=force)
    _name(home, items)
    _link(home, items, targets)
    for path, item in items.items():
        write_atomically(targets[path], _text(item))
    write_atomically(home / CATALOGUE, _text(_catalogue(home, targets)))
    maps, models = (
        [targets[one] for one in items if (one.suffix.lower() in _MODELS) == kind] for kind in (False, True)
    )
    return WrittenCatalogue(home / CATALOGUE, tuple(maps), tuple(models), tuple(left_out))


def _items(home: Path, dates: ItemDates | None) -> tuple[dict[Path, Item], list[tuple[Path, str]]]:
    """Return the item of every map and model of a folder, and what has none and why."""
    items: dict[Path, Item] = {}
    left_out: list[tuple[Path, str]] = []
    for path in _files(home):
        try:
            if path.suffix.lower() in _MODELS and describe_model(path).card is None:
                left_out.append((path, "a model of another tool"))
            elif path.suffix.lower() in _MAPS and read_class_schema(path) is None:
                left_out.append((path, "not a class map"))
            else:
                items[path] = item_of_file(path, dates)
        except (ModelError, SceneError) as error:
            left_out.append((path, error.given))
    return items, left_out


def _files(home: Path) -> Iterator[Path]:
    """Yield the rasters and models of a folder and those below it, in the order of their names."""
    for root, folders, names in os.walk(home):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in (*_MAPS, *_MODELS):
                yield Path(root, name)


def _name(home: Path, items: dict[Path, Item]) -> None:
    """Give every item an id of its own: its path in the folder, without suffix where that suffices."""

    def id_of(path: Path) -> str:
        return "-".join(path.relative_to(home).parts)

    bare = {path: id_of(path.with_suffix("")) for path in items}
    for path, item in items.items():
        alone = list(bare.values()).count(bare[path]) == 1
        item["id"] = bare[path] if alone else id_of(path)


def _link(home: Path, items: dict[Path, Item], targets: dict[Path, Path]) -> None:
    """Link every item with the catalogue, and those of maps with those of the models that made them."""
    models = {item["properties"][SHA256]: path for path, item in items.items() if SHA256 in item["properties"]}
    for path, item in items.items():
        up = {"href": _relative(home / CATALOGUE, path), "type": _JSON}
        item["links"] = [{"rel": rel, **up} for rel in ("root", "parent")]
        for role, tag in MODEL_TAGS.items():
            made_by = models.get(item["properties"].get(tag.lower().replace("_", ":", 1)))
            if made_by is not None:
                to = {"href": _relative(targets[made_by], path), "type": "application/geo+json", "title": role}
                item["links"].append({"rel": "derived_from", **to})


def _catalogue(home: Path, targets: dict[Path, Path]) -> dict[str, Any]:
    name = home.resolve().name or "maps"
    links = [{"rel": "root", "href": f"./{CATALOGUE}", "type": _JSON}] + [
        {"rel": "item", "href": _relative(target, home / CATALOGUE), "type": "application/geo+json"}
        for target in targets.values()
    ]
    return {
        "type": "Catalog", "stac_version": STAC_VERSION, "id": name, "title": name,
        "description": f"Class maps and models in the folder {name}, by crispmap.", "links": links,
    }  # fmt: skip


def _relative(target: Path, of: Path) -> str:
    """Return how a file is named from beside another."""
    name = Path(os.path.relpath(target, of.parent)).as_posix()
    return name if name.startswith("../") else f"./{name}"


def _text(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
