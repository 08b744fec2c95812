"""Files from Caffe: what is read of good ones, and every way they can be bad."""

from __future__ import annotations

import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_by_hand import (
    Layer,
    blob,
    chunk,
    data_layer,
    encoded,
    encoded_layer,
    floating,
    loss_layer,
    number,
    varint,
)
from caffe_networks import PUBLISHED, Builder, boston, two_scales
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.errors import ModelError
from crispmap.models.caffe import file as caffe_file
from crispmap.models.caffe.file import CaffeModel, read_caffe
from crispmap.models.caffe.network import CaffeNetwork, caffe_network

CLASSIFIER = chunk(1, "ip") + chunk(2, "InnerProduct") + chunk(3, "data") + chunk(4, "ip")


def small() -> list[Layer]:
    net = Builder()
    at = net.add("Pooling", "data", "down", pool=1, kernel=2, stride=2)
    at = net.add("BatchNorm", net.add("Convolution", at, "conv", num=2, kernel=3, pad=1), "norm")
    at = net.add("Convolution", net.add("ReLU", at, "relu"), "score", num=1)
    net.up(at, 2, "up")
    return net.layers


SMALL = encoded(small())


def read(content: bytes, folder: Path) -> CaffeModel:
    path = folder / "net.caffemodel"
    path.write_bytes(content)
    return read_caffe(path)


def network(content: bytes, folder: Path) -> CaffeNetwork:
    return caffe_network(read(content, folder), (2, 1, 0))


def replaced(content: bytes, old: bytes, new: bytes) -> bytes:
    assert content.count(old) == 1
    return content.replace(old, new)


def one_layer(layer: bytes) -> bytes:
    """A network of one layer, called x."""
    return data_layer() + chunk(100, chunk(1, "x") + chunk(3, "data") + chunk(4, "x") + layer) + loss_layer("x")


@pytest.mark.parametrize("name", PUBLISHED)
def test_layers_and_weights_are_those_of_the_file(name: str, tmp_path: Path) -> None:
    build, patch, labels = PUBLISHED[name]
    layers = build()
    model = read(encoded(layers, data=data_layer(patch, labels)), tmp_path)
    assert model.name == "by hand"
    assert (model.bands, model.offset_px, model.output) == (3, (patch - labels) // 2, layers[-1].name)
    assert [one.name for one in model.layers] == [one.name for one in layers]
    for one, written in zip(model.layers, layers, strict=True):
        assert (one.kernel, one.stride, one.pad) == (written.kernel, written.stride, written.pad)
        for found, given_ in zip(model.blobs[one.name], written.blobs, strict=True):
            np.testing.assert_array_equal(found, given_)


def test_mean_and_scale_are_those_of_the_training(tmp_path: Path) -> None:
    model = read(encoded(small(), data=data_layer(scale=1 / 256, mean=3.5)), tmp_path)
    assert (model.mean, model.scale) == (3.5, 1 / 256)
    assert read(encoded(small(), data=data_layer()), tmp_path).mean == 127


def test_maps_replaced_in_place_are_followed(tmp_path: Path) -> None:
    net = Builder()
    net.add("Convolution", "data", "conv", num=1)
    relu = Layer("relu", "ReLU", ("conv",), "conv")
    split = Layer("split", "Split", ("conv",), "conv_0")
    model = read(encoded([*net.layers, relu, split], output="conv_0"), tmp_path)
    assert model.output == "relu"
    assert model.layers[1].inputs == ("conv",)


def test_weights_that_are_not_packed_are_read_too(tmp_path: Path) -> None:
    weights, bias = np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1), np.ones(1, np.float32)
    loose = b"".join(floating(5, value) for value in weights.ravel())
    loose += chunk(7, b"".join(number(1, one) for one in weights.shape))
    facts = chunk(106, number(1, 1) + number(4, 1))
    model = read(one_layer(chunk(2, "Convolution") + chunk(7, loose) + chunk(7, blob(bias)) + facts), tmp_path)
    np.testing.assert_array_equal(model.blobs["x"][0], weights)


def test_fields_that_are_not_known_are_skipped(tmp_path: Path) -> None:
    extra = chunk(1000, b"\xff" * 20) + number(1001, 7) + floating(1002, 1.0) + varint(1003 << 3 | 1) + bytes(8)
    layers = b"".join(encoded_layer(one, extra) for one in small())
    model = read(extra + data_layer() + layers + loss_layer("up"), tmp_path)
    assert model.layers == read(SMALL, tmp_path).layers


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="caffemodel"):
        read_caffe(tmp_path / "none.caffemodel")


def test_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a file"):
        read_caffe(tmp_path)


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    for length in range(len(SMALL)):
        with pytest.raises(ModelError, match=r"net\.caffemodel") as caught:
            read(SMALL[:length], tmp_path)
        assert caught.value.expected
        assert caught.value.remedy


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(1000),
        b"\xff" * 1000,
        b"\xff\xd8\xff\xe0" + bytes(99),
        b"not a network",
        struct.pack("<8f", *range(8)),
    ],
)
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read as a network from Caffe"):
        read(content, tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caffe_file, "MAX_BYTES", 100)
    with pytest.raises(ModelError, match="more than"):
        read(SMALL, tmp_path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "net.caffemodel").write_bytes(SMALL)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ModelError, match="Permission denied"):
        read_caffe(tmp_path / "net.caffemodel")


def claim(*dims: int) -> bytes:
    """A blob of two numbers that claims to be of this shape."""
    return chunk(5, struct.pack("<2f", 1, 2)) + chunk(7, chunk(1, b"".join(varint(one % (1 << 64)) for one in dims)))


CONV = chunk(2, "Convolution")
ONE = chunk(106, number(1, 1) + number(4, 1))

BAD = {
    "a blob larger than the file": (one_layer(CONV + ONE + chunk(7, claim(1 << 40, 3, 1, 1))), "holds 2"),
    "a blob that wraps round": (one_layer(CONV + ONE + chunk(7, claim(1 << 32, 1 << 32))), "holds 2"),
    "a blob of negative size": (one_layer(CONV + ONE + chunk(7, claim(-1, -2))), "holds 2"),
    "a blob of size 0": (one_layer(CONV + ONE + chunk(7, claim(0, 3))), "holds 2"),
    "a blob without a shape": (one_layer(CONV + ONE + chunk(7, chunk(5, bytes(8)))), "0 axes"),
    "a blob of many axes": (one_layer(CONV + ONE + chunk(7, claim(*[1] * 99, 2))), "100 axes"),
    "many blobs": (one_layer(CONV + ONE + chunk(7, claim(2)) * 9), "9 blobs"),
    "weights that are not numbers": (
        one_layer(CONV + ONE + chunk(7, blob(np.full((1, 3, 1, 1), np.nan, np.float32)))), "not numbers",
    ),
    "an unknown layer": (data_layer() + chunk(100, CLASSIFIER) + loss_layer("ip"), "InnerProduct"),
    "an unknown layer with control characters": (one_layer(chunk(2, "\x1b[31m")), "x1b"),
    "a layer without a type": (one_layer(b""), "type .."),
    "a name that is no text": (one_layer(chunk(2, b"\xff\xfe")), "utf-8"),
    "a long name": (one_layer(chunk(2, "x" * 501)), "500 letters"),
    "no layers": (chunk(1, "net"), "0 layers"),
    "too many layers": (chunk(100, b"") * 1001, "1001 layers"),
    "layers of the old format": (chunk(2, b"") + SMALL, "old format"),
    "no data layer": (b"".join(encoded_layer(one) for one in small()), "'data'"),
    "two data layers": (data_layer() + SMALL, "two data"),
    "no loss": (data_layer() + b"".join(encoded_layer(one) for one in small()), "SigmoidCrossEntropyLoss"),
    "only a loss": (loss_layer("up"), "'up'"),
    "two losses": (SMALL + loss_layer("up"), "not the only one"),
    "a loss of nothing": (data_layer() + chunk(100, chunk(2, "SigmoidCrossEntropyLoss")), "loss"),
    "labels beside the patch's middle": (encoded(small(), data=data_layer(65, 64)), "65 x 65"),
    "labels larger than the patch": (encoded(small(), data=data_layer(64, 66)), "66 x 66"),
    "a scale of 0": (encoded(small(), data=data_layer(scale=0.0)), "scaled"),
    "a scale below 0": (encoded(small(), data=data_layer(scale=-1.0)), "scaled"),
    "an infinite scale": (encoded(small(), data=data_layer(scale=float("inf"))), "scaled"),
    "a mean that is no number": (encoded(small(), data=data_layer(mean=float("nan"))), "scaled"),
    "four bands": (
        encoded(small(), data=chunk(100, chunk(2, "ImagePairData") + chunk(4, "data") + chunk(150, number(13, 4)))),
        "4 bands",
    ),
    "a convolution without a kernel": (one_layer(CONV + chunk(106, number(1, 1))), "not square, or none"),
    "a kernel that is not square": (one_layer(CONV + chunk(106, number(1, 1) + number(4, 3) + number(4, 5))), "square"),
    "a kernel given by its height": (one_layer(CONV + chunk(106, number(1, 1) + number(11, 3))), "kernel_h"),
    "a dilated convolution": (one_layer(CONV + chunk(106, number(1, 1) + number(4, 3) + number(18, 2))), "dilation"),
    "a huge kernel": (one_layer(CONV + chunk(106, number(1, 1) + number(4, 1 << 31))), "kernel"),
    "a huge number of maps": (one_layer(CONV + chunk(106, number(1, (1 << 32) - 1) + number(4, 1))), "maps"),
    "a stride of 0": (one_layer(CONV + chunk(106, number(1, 1) + number(4, 1) + number(6, 0))), "stride"),
    "no groups": (one_layer(CONV + chunk(106, number(1, 1) + number(4, 1) + number(5, 0))), "groups"),
    "pooling over the image": (one_layer(chunk(2, "Pooling") + chunk(121, number(12, 1))), "whole image"),
    "pooling at random": (one_layer(chunk(2, "Pooling") + chunk(121, number(1, 2) + number(2, 2))), "at random"),
    "pooling without a window": (one_layer(chunk(2, "Pooling")), "kernel"),
    "pooling of another height": (one_layer(chunk(2, "Pooling") + chunk(121, number(5, 2))), "kernel_h"),
    "a leaky ReLU": (one_layer(chunk(2, "ReLU") + chunk(123, floating(1, 0.1))), "leaky"),
    "a product": (one_layer(chunk(2, "Eltwise") + chunk(110, number(1, 0))), "plain sum"),
    "a weighted sum": (one_layer(chunk(2, "Eltwise") + chunk(110, floating(2, -1.0))), "plain sum"),
    "maps one below the other": (one_layer(chunk(2, "Concat") + chunk(104, number(2, 2))), "layer 'x'"),
    "batch norm with epsilon below 0": (one_layer(chunk(2, "BatchNorm") + chunk(139, floating(3, -1.0))), "epsilon"),
    "a split of nothing": (data_layer() + chunk(100, chunk(2, "Split") + chunk(4, "x")) + loss_layer("x"), "0 inputs"),
    "a layer that gives two maps": (one_layer(chunk(2, "ReLU") + chunk(4, "y")), "2 outputs"),
    "a layer that sees many maps": (one_layer(chunk(2, "Concat") + chunk(3, "data") * 1000), "1001"),
    "another loss": (data_layer() + chunk(100, chunk(2, "SoftmaxWithLoss") + chunk(3, "data")), "SoftmaxWithLoss"),
    "a layer inside that is cut off": (data_layer() + chunk(100, b"\x0a\x7f") + loss_layer("data"), "truncated"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_says_what_is_wrong(what: str, tmp_path: Path) -> None:
    content, message = BAD[what]
    with pytest.raises(ModelError, match=message) as caught:
        read(content, tmp_path)
    assert str(tmp_path / "net.caffemodel") in caught.value.given


def spoilt(layer: str, index: int, shape: tuple[int, ...]) -> bytes:
    layers = small()
    (one,) = (one for one in layers if one.name == layer)
    one.blobs[index] = np.ones(shape, np.float32)
    return encoded(layers)


def with_norm(mean: float, variance: float, factor: list[float]) -> bytes:
    layers = small()
    norm = layers[2]
    norm.blobs = [
        np.full(2, mean, np.float32), np.full(2, variance, np.float32), np.array(factor, np.float32)
    ]  # fmt: skip
    return encoded(layers)


MISFITS = {
    "weights of another size": (spoilt("conv", 0, (2, 3, 3, 2)), "not 2 x 3 x 3 x 3"),
    "a bias of another size": (spoilt("conv", 1, (3,)), "and 3, not"),
    "no weights": (replaced(SMALL, encoded_layer(small()[1]), encoded_layer(Layer(
        "conv", "Convolution", ("down",), "conv", num=2, kernel=3, pad=1))), "nothing"),
    "means of another size": (spoilt("norm", 0, (3,)), "not 2"),
    "a factor of another size": (spoilt("norm", 2, (2,)), "factor"),
    "a factor below 0": (with_norm(1, 1, [-1]), "below 0"),
    "a factor that divides by almost nothing": (with_norm(1e30, 1e30, [1e-30]), "not finite"),
    "a variance below 0": (with_norm(0, -1, [1]), "below 0"),
    "scores coarser than the image": (encoded(small()[:-1]), "stride of 2"),
    "two score maps": (encoded(small()[:2]), "2 maps"),
    "the image as scores": (encoded(small(), output="data"), "'image'"),
    "two layers of one name": (
        encoded([*small(), Layer("up", "ReLU", ("up",), "up")]), "two layers are called",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", MISFITS)
def test_layers_that_make_no_network_say_why(what: str, tmp_path: Path) -> None:
    content, message = MISFITS[what]
    with pytest.raises(ValueError, match=message):
        network(content, tmp_path)


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_a_damaged_file_is_refused_or_gives_a_network(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(SMALL)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    with suppress(ModelError, ValueError):
        network(bytes(content), tmp_path_factory.mktemp("net"))


def test_the_networks_of_the_tests_are_all_good(tmp_path: Path) -> None:
    for layers in (small(), boston(), two_scales()):
        made = network(encoded(layers), tmp_path)
        side = made.stride_px + 2 * made.halo_px
        assert torch.isfinite(made(torch.zeros(1, 3, side, side))).all()


def test_opening_a_model_file_loads_no_reader_of_caffes_files() -> None:
    code = "import sys, crispmap.models.file; sys.exit('google.protobuf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
