"""Models written for other runtimes."""

from __future__ import annotations

from pathlib import Path

from crispmap.api.given import ModelLike, coarse_of, path_of, refiner_of
from crispmap.inference.options import PredictOptions
from crispmap.inference.runtimes.export import ExportedModel, ExportOptions, checked_targets, export_network
from crispmap.inference.runtimes.network import WholeNetwork, check_exportable
from crispmap.inference.scores import ScoreModels
from crispmap.models.card import model_hash, read_card
from crispmap.models.model import Model
from crispmap.raster.resolve import resolve_scenes


def export_model(  # noqa: PLR0913 - each is a choice of its own
    model: ModelLike,
    out: str | Path,
    *,
    refiner: ModelLike | None = None,
    format: str | None = None,
    size_px: int | None = None,
    gsd_m: float | None = None,
    scene: str | Path | None = None,
    force: bool = False,
) -> ExportedModel:
    """Write a coarse network, with a refiner where it is given, as one graph for other runtimes.

    The graph takes raw pixels float32 (batch, band, row, col), NaN where they are not known, and gives the
    probabilities of the classes on the same pixels. Before the file appears it is read back by its runtime and compared
    with PyTorch and with crispmap's own map.

    Args:
        model: A coarse network: its file, or a ``Model``.
        out: The file: .onnx, for ONNX Runtime and QGIS's Deepness; .xml, for OpenVINO, with a .bin beside it; .pt2, for
            PyTorch.
        refiner: A refiner, likewise.
        format: "onnx", "openvino" or "torch"; by default as the name ends.
        size_px: Fixes height and width of the input, as Deepness needs it.
        gsd_m: The pixel size that both work at, by default that each was trained at.
        scene: A scene whose pixels the graph is compared on too.
        force: Replace files that exist.

    Returns:
        The files, the largest differences, and the tiles in which Deepness computes the exact map.

    Raises:
        InputError: If a model is no network of layers, such as svm or crf; the format is not known or its library not
            installed; the runtime cannot take the network; or no tiles of the size are exact.
        ModelError: If a model cannot be read or is of the wrong kind, the two do not go together, or probabilities
            differ by more than 1e-4; then no file is written.
        OutputError: If the file exists and ``force`` is not given, or cannot be written.
        SceneError: If the scene cannot be read, or does not suit.
    """
    target = Path(path_of(out, "output"))
    ref = None if scene is None else resolve_scenes([path_of(scene, "scene")])[0]
    given = {"coarse": model} if refiner is None else {"coarse": model, "refiner": refiner}
    files = {role: Path(path_of(one, f"{role} model")) for role, one in given.items() if not isinstance(one, Model)}
    for one in given.values():
        check_exportable(one.card if isinstance(one, Model) else read_card(Path(one)))
    options = ExportOptions(format, size_px, ref, force)
    name = checked_targets(target, options, [*files.values(), *(ref.paths if ref is not None else ())])
    models = ScoreModels(coarse_of(model), None if refiner is None else refiner_of(refiner))
    models = models.working_at(PredictOptions(gsd_m=gsd_m).gsd_m)
    hashes = {role: model_hash(path) for role, path in files.items()}
    return export_network(WholeNetwork(models), target, name, options, hashes=hashes)
