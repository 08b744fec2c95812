"""Files pansharpened: opened, registered, scored and written."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

from crispmap.errors import CrispmapWarning
from crispmap.events import SILENT, Events
from crispmap.files.dataset import few_blocks_kept
from crispmap.raster.files import open_scene
from crispmap.raster.fingerprint import fingerprint
from crispmap.raster.pansharpen.assess import assess, assess_degraded
from crispmap.raster.pansharpen.methods import DEFAULT_METHOD, Injection, PansharpenMethod, check_weights
from crispmap.raster.pansharpen.quality import Agreement, NoReference
from crispmap.raster.pansharpen.registration import Shift, estimate_shift
from crispmap.raster.pansharpen.scene import PansharpenedScene, check_pair, open_pansharpened
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import Scene
from crispmap.raster.scene_file import StoredType, scene_spec, write_scene
from crispmap.raster.targets import check_paths, check_raster_target
from crispmap.raster.write_computed import ComputeOptions, Written

METHOD_TAG = "CRISPMAP_PANSHARPENED"  # the tag of a pansharpened image with its method
SHIFT_TAG = "CRISPMAP_SHIFT_PX"  # the tag with the shift undone, columns and rows of multispectral pixels
_CACHE_BYTES = 96 * 2**20  # room for a row of blocks of striped files 20,000 pixels wide, which are decoded in rows


@dataclass(frozen=True)
class PansharpenOptions:
    """How scenes are pansharpened."""

    method: PansharpenMethod = DEFAULT_METHOD
    weights: tuple[float, ...] | None = None  # of the bands in the intensity, for brovey, ihs and gs
    register: bool = False  # measure how far the multispectral scene lies from the panchromatic one, and undo it
    quality: bool = False  # score the result
    dtype: StoredType = "same"  # of the file: that of the multispectral scene, or float32


@dataclass(frozen=True)
class Pansharpened:
    """A pansharpened file: how it was made and what it is worth."""

    written: Written
    injection: Injection
    shift: Shift | None  # found, where registration was asked for; undone where it is sure
    without_reference: NoReference | None  # figures, where asked for
    degraded: Agreement | None


def pansharpen_pair(
    multispectral: Scene, pan: Scene, options: PansharpenOptions = PansharpenOptions(), events: Events = SILENT
) -> tuple[PansharpenedScene, Shift | None]:
    """Return two scenes as a pansharpened one, and how far they lay apart where registration is asked for.

    Raises:
        InputError, SceneError, GridError: As ``open_pansharpened``.

    Warns:
        CrispmapWarning: If the shift cannot be trusted, and so is not undone; or as ``open_pansharpened``.
    """
    check_weights(options.method, options.weights, multispectral.band_count)
    shift = None
    if options.register:
        check_pair(multispectral, pan)
        shift = estimate_shift(multispectral, pan)
        if not shift.reliable:
            warnings.warn(f"The scenes are left where they are: {shift.note}", CrispmapWarning, stacklevel=2)
    scene = open_pansharpened(
        multispectral, pan, options.method, weights=options.weights, shift=undone(shift), events=events
    )
    return scene, shift


def pansharpen_files(
    multispectral: SceneRef,
    pan: SceneRef,
    out: str | Path,
    options: PansharpenOptions = PansharpenOptions(),
    run: ComputeOptions = ComputeOptions(),
    events: Events = SILENT,
) -> Pansharpened:
    """Write the bands of a multispectral scene with the detail of a panchromatic one, a Cloud-Optimized GeoTIFF.

    The bytes of the file depend on scenes and options alone. A run that was killed is resumed.

    Raises:
        InputError, SceneError, GridError: As ``open_pansharpened``; or if a scene cannot be read.
        OutputError: If the file exists without ``force``, is one of the inputs, or cannot be written.
    """
    check_paths([Path(out)], [*multispectral.paths, *pan.paths])
    check_raster_target(out, force=run.force)
    with few_blocks_kept(_CACHE_BYTES), open_scene(multispectral) as bands, open_scene(pan) as sharp:
        scene, shift = pansharpen_pair(bands, sharp, options, events)
        tags: dict[str, str] = {METHOD_TAG: options.method}
        if (moved := undone(shift)) is not None:
            tags[SHIFT_TAG] = f"{moved.cols_px:g} {moved.rows_px:g}"
        identity = {
            "multispectral": fingerprint(multispectral),
            "panchromatic": fingerprint(pan),
            "settings": json.dumps([options.method, options.weights, options.register]),
        }
        written = write_scene(scene, scene_spec(scene, out, options.dtype, tags), identity, run, events)
        figures, degraded = None, None
        if options.quality:
            figures = assess(scene)
            degraded = assess_degraded(bands, sharp, options.method, weights=options.weights, shift=moved)
    return Pansharpened(written, scene.injection, shift, figures, degraded)


def undone(shift: Shift | None) -> Shift | None:
    """Return a shift that is to be undone: one that is found and sure."""
    return shift if shift is not None and shift.is_sure else None


def figures_of(made: Pansharpened) -> dict[str, object]:
    """Return how a file was made and what it is worth as plain values; what was not measured is left out."""
    found: dict[str, object] = {
        "path": made.written.paths[0], "method": made.injection.method, "weights": list(made.injection.weights),
        "gains": list(made.injection.gains),
    }  # fmt: skip
    if made.shift is not None:
        found["shift"] = {**vars(made.shift), "undone": made.shift.is_sure}
    if made.without_reference is not None and made.degraded is not None:
        found["without_reference"], found["degraded"] = vars(made.without_reference), vars(made.degraded)
    return found
