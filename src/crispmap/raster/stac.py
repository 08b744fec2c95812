"""Scenes from STAC items: JSON files that name the rasters of a scene (https://stacspec.org)."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urljoin, urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from crispmap.errors import GridError, SceneError
from crispmap.files.address import fit_name, gdal_name, is_plain_file, reaches_network_only, shown, web_address
from crispmap.files.dataset import open_dataset
from crispmap.raster.refs import SceneRef
from crispmap.raster.stack import check_one_grid

_SUFFIXES = (".json", ".geojson")
_RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".png", ".jpg", ".jpeg", ".nc", ".h5", ".hdf", ".zarr")
_RASTER_MEDIA = ("image/", "application/x-hdf", "application/netcdf", "application/x-netcdf", "application/vnd.zarr")
_ROLES = ("data", "visual")
_PAUSES_S = (0.5, 1.0)
_TIMEOUT_S = 30
_LARGEST = 64_000_000
_ANY: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]+$")]


def split_assets(text: str) -> tuple[str, tuple[str, ...] | None]:
    """Return an item and the assets chosen from it: ``item.json#B04,B03`` gives ``item.json`` and two names.

    Anything else, and a file with a ``#`` in its name, is returned unchanged, with None.
    """
    address, mark, names = text.rpartition("#")
    if not mark or not is_item(address) or (is_plain_file(text) and Path(text).exists()):
        return text, None
    return address, tuple(name.strip() for name in names.split(",") if name.strip())


def is_item(text: str) -> bool:
    """Return whether a path or address has the name of a STAC item: ``.json``, ``.geojson``, or ``…/items/<id>``."""
    address = web_address(text)
    path = PurePosixPath(urlsplit(address).path if address else text)
    if path.suffix.lower() in _SUFFIXES:
        return True
    return address is not None and path.parent.name == "items" and path.suffix.lower() not in _RASTER_SUFFIXES


def item_scenes(address: str, assets: Sequence[str] | None = None) -> list[SceneRef]:
    """Return the scenes of a STAC item or of a collection of items, such as the answer to a search.

    By default a scene is made of the raster assets with role ``data``, else ``visual``, else, if no asset has a role,
    of all rasters. Several are one scene if each has a single band and all lie on one grid; bands are in the item's
    order. The item only names bands that have no name in their raster.

    Args:
        assets: Names of the assets to take, in the order of their bands.

    Raises:
        SceneError: If it cannot be read or is not an item, an asset is missing, or assets must be chosen.
        GridError: If the assets do not lie on one grid.
    """
    items = _parsed(address)
    if not items:
        raise _no_item(address, "it holds no item")
    return [_scene(item, address, assets) for item in items]


class _Asset(BaseModel):
    """A file of an item, as far as it is read."""

    model_config = ConfigDict(strict=True)

    href: _Text
    type: str | None = None
    roles: list[str] | None = None
    bands: list[dict[str, Any]] | None = None
    eo_bands: list[dict[str, Any]] | None = Field(None, alias="eo:bands")


class _Item(BaseModel):
    """A STAC item, as far as it is read."""

    model_config = ConfigDict(strict=True)

    type: Literal["Feature"]
    stac_version: str
    id: str
    assets: dict[str, _Asset]


class _Items(BaseModel):
    """A collection of STAC items."""

    model_config = ConfigDict(strict=True)

    type: Literal["FeatureCollection"]
    features: list[_Item]


def _scene(item: _Item, address: str, wanted: Sequence[str] | None) -> SceneRef:
    """Return the scene of one item."""
    chosen = _default_assets(item, address) if wanted is None else _named_assets(item, address, wanted)
    files = tuple(_located(asset.href, address) for asset in chosen.values())
    if wanted is None and len(files) > 1:
        _check_default(dict(zip(chosen, files, strict=True)), address)
    return SceneRef(fit_name(item.id), files, _band_names(chosen))


def _default_assets(item: _Item, address: str) -> dict[str, _Asset]:
    """Return the rasters of an item by name: those with the first role that any of them has."""
    rasters = {key: asset for key, asset in item.assets.items() if _is_raster(asset)}
    for role in _ROLES:
        with_role = {key: asset for key, asset in rasters.items() if role in (asset.roles or ())}
        if with_role:
            return with_role
    without = {key: asset for key, asset in rasters.items() if not asset.roles}
    if without:
        return without
    raise SceneError(
        f"{shown(address)} has no raster with the role data or visual.",
        expected="a STAC item with a raster asset",
        remedy=f"Choose an asset by name: {_call(address, [next(iter(item.assets), 'NAME')])}. "
        f"It has: {', '.join(item.assets) or 'none'}.",
    )


def _named_assets(item: _Item, address: str, wanted: Sequence[str]) -> dict[str, _Asset]:
    """Return assets by name, in the order given; a missing one, or none, is an error."""
    missing = [name for name in wanted if name not in item.assets]
    if missing or not wanted:
        raise SceneError(
            f"{shown(address)} has no asset {', '.join(missing)}." if missing else f"{address}# names no asset.",
            expected=f"some of {', '.join(item.assets) or 'none'}",
            remedy="Correct the names after #, with commas between.",
        )
    return {name: item.assets[name] for name in wanted}


def _check_default(files: Mapping[str, str], address: str) -> None:
    """Raise SceneError or GridError unless default assets make one scene: single bands on one grid."""
    shapes: dict[tuple[int, int], list[str]] = {}
    for name, file in files.items():
        with open_dataset(file) as dataset:
            shapes.setdefault(dataset.shape, []).append(name)
            if dataset.count > 1:
                raise SceneError(
                    f"{shown(address)} has several rasters, {', '.join(files)}, and {name} alone holds "
                    f"{dataset.count} bands.",
                    expected="one raster, or single bands that lie on one grid",
                    remedy=f"Choose by name: {_call(address, [name])}",
                )
    try:
        check_one_grid(list(files.values()))
    except GridError as error:
        choices = " or ".join(_call(address, names) for names in shapes.values())
        remedy = f"Choose assets of one resolution: {choices}" if len(shapes) > 1 else error.remedy
        raise GridError(error.given, expected=error.expected, remedy=remedy) from error


def _call(address: str, names: Sequence[str]) -> str:
    """Return the argument that chooses some assets of an item."""
    return f"'{shown(address)}#{','.join(names)}'"


def _is_raster(asset: _Asset) -> bool:
    """Return whether an asset is a raster, by its media type or, without one, by its name."""
    if asset.type:
        return asset.type.startswith(_RASTER_MEDIA)
    return PurePosixPath(urlsplit(asset.href).path).suffix.lower() in _RASTER_SUFFIXES


def _band_names(assets: Mapping[str, _Asset]) -> tuple[str, ...]:
    """Return a name for each band of some assets: common names, else names, else those of the assets; else none."""
    bands = [band for asset in assets.values() for band in _bands_of(asset)]
    for keys in (("common_name", "eo:common_name"), ("name",)):
        names = [next((str(band[key]) for key in keys if key in band), "") for band in bands]
        if names and all(names) and len(set(names)) == len(names):
            return tuple(names)
    return tuple(assets) if len(assets) > 1 else ()


def _bands_of(asset: _Asset) -> list[dict[str, Any]]:
    """Return an item's description of each band of an asset; one empty entry if it has none."""
    return asset.bands or asset.eo_bands or [{}]


def _located(href: str, item: str) -> str:
    """Return the name GDAL opens for an asset: its own address, or one relative to its item.

    Raises:
        SceneError: If an item from the network names anything else than files there, or any item the standard input.
    """
    address = web_address(item)
    if address is not None:
        name = gdal_name(href if href.startswith("/vsi") else urljoin(address, href))
        if not reaches_network_only(name):
            raise _no_item(item, f"it comes from the network and names {href}, which does not")
        return name
    if "/vsistdin" in href:
        raise _no_item(item, f"it names {href}, the standard input")
    if href.startswith("file://"):
        return unquote(urlsplit(href).path)
    return str(Path(item).parent / href) if is_plain_file(href) else gdal_name(href)


def _parsed(address: str) -> list[_Item]:
    """Return the items of a JSON file or address, or raise SceneError if it holds something else."""
    content = _content(address)
    try:
        kind = _ANY.validate_json(content).get("type")
    except ValueError as error:
        raise _no_item(address, f"not a JSON object: {error}") from error
    if kind in ("Catalog", "Collection"):
        raise _no_item(address, f"a {kind}, which names items: give one of them")
    try:
        if kind == "FeatureCollection":
            return _Items.model_validate_json(content).features
        return [_Item.model_validate_json(content)]
    except ValidationError as error:
        first = error.errors()[0]
        raise _no_item(address, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _content(address: str) -> bytes:
    """Return the content of a file or web address, or raise SceneError if it cannot be read."""
    url = web_address(address)
    if url is None and not is_plain_file(address):
        raise _unreadable(address, "only files and web addresses are read", "Download the item, or give its https URL.")
    try:
        return _fetched(url) if url else Path(address).read_bytes()
    except FileNotFoundError as error:
        raise SceneError(f"{address} does not exist.", expected="a STAC item", remedy="Check the path.") from error
    except OSError as error:
        remedy = "Check the address and the network." if url else "Check the permissions of the file (ls -l)."
        raise _unreadable(address, str(getattr(error, "reason", None) or error), remedy) from error


def _fetched(url: str) -> bytes:
    """Return the content of a web address, with a few retries; OSError if the server fails or sends too much."""
    pauses = iter(_PAUSES_S)
    while True:
        try:
            return _fetched_once(url)
        except OSError as error:
            pause = None if _is_refusal(error) else next(pauses, None)
            if pause is None:
                raise
            time.sleep(pause)


def _is_refusal(error: OSError) -> bool:
    """Return whether a server has refused the request; its answer is closed."""
    if not isinstance(error, urllib.error.HTTPError):
        return False
    error.close()
    return error.code < 500


def _fetched_once(url: str) -> bytes:
    """Return the content of a web address; OSError if there is none, or too much."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - only http and https come here
            content: bytes = answer.read(_LARGEST + 1)
            missing = answer.length
    except HTTPException as error:
        raise ConnectionError(f"the server's answer is not HTTP: {error}") from error
    if missing and len(content) <= _LARGEST:
        raise ConnectionError(f"the answer is incomplete, {missing} bytes are missing")
    if len(content) > _LARGEST:
        raise OSError(f"it is larger than {_LARGEST // 1_000_000} MB")
    return content


def _unreadable(address: str, why: str, remedy: str) -> SceneError:
    return SceneError(f"{shown(address)} cannot be read: {why}.", expected="a STAC item", remedy=remedy)


def _no_item(address: str, why: str) -> SceneError:
    return SceneError(
        f"{shown(address)} is not a STAC item ({why}).",
        expected="a raster, or a STAC item as JSON",
        remedy="If these are vectors, give the raster here, and check the order of the arguments.",
    )
