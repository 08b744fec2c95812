"""The bands of a file as a composition takes them, and what the tags of composed scenes say of theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from crispmap.errors import GeoreferenceWarning
from crispmap.files.address import shown
from crispmap.files.quiet import ignoring
from crispmap.raster.compose.composition import Composition, Reflectance, SourceBand
from crispmap.raster.files import FileScene

BANDS_TAG = "CRISPMAP_BANDS"
"""The tag of a composed scene with name, origin, wavelength and reflectance of each band, as JSON."""


class _BandFacts(BaseModel):
    """What the tag has of a band."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    name: str = ""
    file: str | None = None  # None: an index
    band: int | None = None
    wavelength_nm: float | None = None
    reflectance: Reflectance | None = None


_FACTS = TypeAdapter(list[_BandFacts])


def file_bands(source: str, name: str = "", date: int = 0) -> Iterator[SourceBand]:
    """Yield the bands of a raster, but alpha, under the names they have, or its own if they have none.

    Args:
        name: The name of a single band; what the names of several begin with.

    Raises:
        SceneError: If it cannot be read.
    """
    with ignoring(GeoreferenceWarning):  # told when the scene is opened
        scene = FileScene(source)
    with scene:
        alone = len(scene.bands) == 1
        for number, own in zip(scene.bands, scene.band_names, strict=True):
            plain = Path(shown(source)).stem if alone and own == f"band_{number}" else own
            full = plain if not name else name if alone else f"{name}_{plain}"
            yield SourceBand(source, full, number, plain, date=date)


def with_facts(bands: Sequence[SourceBand], scene: FileScene) -> list[SourceBand]:
    """Return bands with what their open file says of them, where nothing else is known.

    That is what the tags of a composed scene have of wavelengths and reflectance; else the scale and the offset that
    the file declares are taken for those to reflectance.
    """
    facts = _facts(scene.tags.get(BANDS_TAG))
    found = []
    for one, scaling in zip(bands, scene.scaling, strict=True):
        known = facts[one.band - 1] if one.band <= len(facts) else _BandFacts()
        declared = None if scaling == (1.0, 0.0) else Reflectance(*scaling)
        found.append(
            replace(
                one,
                wavelength_nm=one.wavelength_nm or known.wavelength_nm,
                reflectance=one.reflectance or known.reflectance or declared,
            )
        )
    return found


def bands_tag(composition: Composition) -> str:
    """Return what ``BANDS_TAG`` has of the bands of a composition."""
    by_name = {one.name: one for one in composition.sources}
    facts = [_described(name, by_name.get(name), composition.reflectance) for name in composition.names]
    return json.dumps([one.model_dump(exclude_none=True) for one in facts])


def _described(name: str, one: SourceBand | None, as_reflectance: bool) -> _BandFacts:
    if one is None:
        return _BandFacts(name=name)
    how = Reflectance(1.0, 0.0) if as_reflectance else one.reflectance
    return _BandFacts(
        name=name, file=Path(shown(one.file)).name, band=one.band, wavelength_nm=one.wavelength_nm, reflectance=how
    )


def _facts(tag: str | None) -> list[_BandFacts]:
    """Return what a tag has of each band of a file; nothing where it is none of ours."""
    try:
        return _FACTS.validate_json(tag or "[]")
    except ValueError:
        return []
