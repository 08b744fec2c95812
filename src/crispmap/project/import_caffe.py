"""Conversion of networks trained with Caffe to model files, and what is known of the four published ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from crispmap.errors import InputError, ModelError
from crispmap.files.atomic import check_free
from crispmap.labels.osm import preset_schema
from crispmap.models.caffe.file import CaffeModel, read_caffe
from crispmap.models.caffe.network import CaffeNetwork, caffe_network
from crispmap.models.caffe.plan import LayerKind
from crispmap.models.card import ModelCard
from crispmap.models.file import model_hash, save_model
from crispmap.models.scaling import Scaling
from crispmap.raster.targets import check_paths

BAND_NAMES = ("red", "green", "blue")  # the bands of an imported network; it reverses their order itself

_BLUE_GREEN_RED = (2, 1, 0)
_LICENCE = "CC BY-NC-SA 4.0, Copyright Inria"


@dataclass(frozen=True)
class _Published:
    """A network that Maggiori et al. published."""

    title: str
    layers: str  # names of its convolutions and deconvolutions, in order
    gsd_m: float  # of the images it was trained on
    sha256: str  # of the file with the published weights


_ENCODER = "conv1-1 conv1-2 conv2-1 conv2-2 conv3-1 conv3-2 conv4-1 conv4-2"
# fmt: off
_PUBLISHED = (
    _Published(
        "Boston FCN (IGARSS 2016)", "conv1 conv2 conv3 conv4 upsample", 1.0,
        "cd553db98f8189269eb7f35db50e4f0790710bcf8b6e96d9bb3be6a6b69fdf15"),
    _Published(
        "Inria FCN (Inria Aerial Image Labeling)", f"{_ENCODER} score upsample_16 upsample_output", 0.3,
        "50cc3df88660fc08277f47831cf4db90d208388789998d9e17416f76dfac30fa"),
    _Published(
        "Inria MLP (Inria Aerial Image Labeling)",
        f"{_ENCODER} upsample_2 upsample_3 upsample_4 mlp1 mlp2 upsample_mlp upsample_output", 0.3,
        "ec9800635dd41021b8990a1dc64e744452cb41d74bbf8eea45752ac9e60ffafd"),
    _Published(
        "two-scale Pleiades network",
        "conv1_fine conv1_coarse conv1_up conv2_fine conv2_coarse conv2_up conv3_fine conv3_coarse conv3_up upsample",
        0.5, "bec3e82dbf2d0e2d01c67e5b83c2fdc8a807109b5980edb224e60153b46407b1"),
)
# fmt: on


def import_caffe(path: Path, out: Path, *, gsd_m: float | None = None, force: bool = False) -> ModelCard:
    """Write a ``.caffemodel`` as a model file that predicts like any coarse network; return its card.

    The network gives the classes background and building from red, green and blue, whose order it reverses itself; mean
    and scale are those of its training, from the file. Its scores are Caffe's wherever Caffe's window reaches
    as far beyond them as the network sees.

    Args:
        gsd_m: Ground sampling distance of the images it was trained on; known of the four published networks.
    """
    path, out = Path(path), Path(out)
    check_paths([out], [path])
    check_free(out, force=force)
    if gsd_m is not None and not 0 < gsd_m < math.inf:
        raise InputError(f"The ground sampling distance is {gsd_m} m.", expected="metres above 0, such as 0.3")
    model = read_caffe(path)
    try:
        network = caffe_network(model, _BLUE_GREEN_RED)
    except ValueError as error:
        raise ModelError(
            f"{path} does not hold a network that is known: {error}.",
            expected="layers from an image to one score map, as in the four published networks",
            remedy="copy the file again; train a network of your own for another architecture",
        ) from error
    card = _card(path, model, network, gsd_m)
    save_model(out, network, card, force=force)
    return card


def _card(path: Path, model: CaffeModel, network: CaffeNetwork, gsd_m: float | None) -> ModelCard:
    names = " ".join(one.name for one in model.layers if one.kind in (LayerKind.CONVOLUTION, LayerKind.DECONVOLUTION))
    published = next((one for one in _PUBLISHED if one.layers == names), None)
    distance = gsd_m if gsd_m is not None or published is None else published.gsd_m
    if distance is None:
        raise InputError(
            f"{path} holds a network {model.name!r} that is none of the four published ones.",
            expected="the ground sampling distance of the images it was trained on",
            remedy="Add gsd_m= with metres, such as gsd_m=0.3.",
        )
    sha256 = model_hash(path)
    provenance = {"imported_from": path.name, "sha256": sha256, "caffe_network": model.name}
    if published is not None:
        provenance["network"] = published.title
        if sha256 == published.sha256:
            provenance["licence_of_weights"] = _LICENCE
    return ModelCard(
        kind="coarse", architecture=network.architecture, arguments=network.arguments,
        schema=preset_schema(["building"]), band_names=BAND_NAMES,
        scaling=Scaling((model.mean,) * network.bands, (1 / model.scale,) * network.bands), gsd_m=distance,
        radius_px=network.radius_px, stride_px=network.stride_px, provenance=provenance,
    )  # fmt: skip
