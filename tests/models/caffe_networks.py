"""The four published architectures with few maps and random weights, and networks drawn at random."""

from __future__ import annotations

import numpy as np
from caffe_by_hand import Layer
from hypothesis import strategies as st
from numpy.typing import NDArray


class Builder:
    """Adds layers one after the other, with weights of its own seed."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.layers: list[Layer] = []
        self.maps = {"data": 3}

    def values(self, *shape: int) -> NDArray[np.float32]:
        return self.random.normal(0, 1, shape).astype(np.float32)

    def add(self, kind: str, bottoms: str | tuple[str, ...], name: str = "", **facts: object) -> str:
        seen = (bottoms,) if isinstance(bottoms, str) else bottoms
        name = name or f"layer{len(self.layers)}"
        layer = Layer(name, kind, seen, name, **facts)  # type: ignore[arg-type]
        maps = self.maps[seen[0]]
        if kind in ("Convolution", "Deconvolution"):
            ins, outs = maps, layer.num
            pair = (outs, ins // layer.group) if kind == "Convolution" else (ins, outs // layer.group)
            layer.blobs = [self.values(*pair, layer.kernel, layer.kernel)] + [self.values(outs)] * layer.bias
            maps = outs
        elif kind == "BatchNorm":
            layer.blobs = [self.values(maps), np.abs(self.values(maps)) + 1, np.array([4.0], np.float32)]
        elif kind == "Concat":
            maps = sum(self.maps[one] for one in seen)
        self.layers.append(layer)
        self.maps[name] = maps
        return name

    def up(self, bottom: str, stride: int, name: str = "") -> str:
        maps = self.maps[bottom]
        return self.add(
            "Deconvolution", bottom, name, num=maps, group=maps, kernel=2 * stride, stride=stride, pad=stride // 2,
            bias=False,
        )  # fmt: skip


def boston() -> list[Layer]:
    net = Builder()
    at = "data"
    for index, (kernel, stride) in enumerate([(12, 4), (4, 1), (3, 1), (9, 1)], start=1):
        at = net.add("Convolution", at, f"conv{index}", num=1 if index == 4 else 2, kernel=kernel, stride=stride)
        at = at if index == 4 else net.add("ReLU", at)
    net.add("Deconvolution", at, "upsample", num=1, kernel=8, stride=4, pad=4, bias=False)
    return net.layers


def _encoder(net: Builder) -> list[str]:
    at, scales = net.add("Pooling", "data", pool=1, kernel=2, stride=2), []
    for scale in "1234":
        at = net.add("Pooling", at, pool=0, kernel=2, stride=2) if scale > "1" else at
        for part in "12":
            first = scale + part == "11"
            facts = {"kernel": 5, "stride": 2, "pad": 2} if first else {"kernel": 3, "pad": 1}
            at = net.add("Convolution", at, f"conv{scale}-{part}", num=2, **facts)
            at = net.add("ReLU", net.add("BatchNorm", at))
        scales.append(at)
    return scales


def inria_fcn() -> list[Layer]:
    net = Builder()
    at = net.add("Convolution", _encoder(net)[-1], "score", num=1)
    net.up(net.up(at, 16, "upsample_16"), 2, "upsample_output")
    return net.layers


def inria_mlp() -> list[Layer]:
    net = Builder()
    finest, *coarser = _encoder(net)
    ups = [net.up(one, 2**index, f"upsample_{index + 1}") for index, one in enumerate(coarser, start=1)]
    at = net.add("Convolution", net.add("Concat", (finest, *ups)), "mlp1", num=3)
    at = net.add("Convolution", at, "mlp2", num=1)
    net.up(net.up(at, 2, "upsample_mlp"), 2, "upsample_output")
    return net.layers


def two_scales() -> list[Layer]:
    net = Builder()
    at = net.add("Pooling", "data", pool=1, kernel=2, stride=2)
    for index in "123":
        maps = 1 if index == "3" else 2
        fine = net.add("Convolution", at, f"conv{index}_fine", num=maps, kernel=3, pad=1)
        at = net.add("Pooling", at, pool=1, kernel=4, stride=4)
        coarse = net.add("Convolution", at, f"conv{index}_coarse", num=maps, kernel=3, pad=1)
        at = net.add("Eltwise", (fine, net.up(coarse, 4, f"conv{index}_up")))
        at = at if index == "3" else net.add("ReLU", at)
    net.up(at, 2, "upsample")
    return net.layers


PUBLISHED = {
    "boston": (boston, 82, 16), "inria fcn": (inria_fcn, 256, 256), "inria mlp": (inria_mlp, 256, 256),
    "two scales": (two_scales, 64, 64),
}  # fmt: skip
"""The layers, and the sides of patch and labels in training."""


@st.composite
def networks(draw: st.DrawFn) -> list[Layer]:
    """Chains and branches of every layer, down and up again; in some, maps are replaced in place."""
    net, at, stride = Builder(draw(st.integers(0, 99))), "data", 1
    for _ in range(draw(st.integers(1, 3))):
        down = draw(st.integers(1, 2))
        kernel = draw(st.integers(down, 4))
        pad = draw(st.integers(0, kernel // 2))
        if draw(st.booleans()):
            at = net.add("Convolution", at, num=2, kernel=kernel, stride=down, pad=pad, bias=draw(st.booleans()))
        else:
            at = net.add(
                "Pooling", at, pool=draw(st.integers(0, 1)), kernel=kernel, stride=down, pad=min(pad, kernel - 1)
            )
        stride *= down
        at = net.add(draw(st.sampled_from(["ReLU", "BatchNorm", "Split"])), at)
        if draw(st.booleans()):
            low = net.add("Pooling", at, pool=1, kernel=2, stride=2)
            at = net.add(draw(st.sampled_from(["Concat", "Eltwise"])), (at, net.up(low, 2)))
    at = net.add("Convolution", at, num=1)
    if stride > 1:
        kernel = draw(st.integers(stride, 2 * stride))
        net.add("Deconvolution", at, num=1, kernel=kernel, stride=stride, pad=draw(st.integers(0, kernel - stride)))
    return net.layers
