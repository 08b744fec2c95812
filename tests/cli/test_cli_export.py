"""``crispmap export``: what it prints and writes, and what it refuses before any work."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from crispmap.classes import ClassDef, ClassSchema
from crispmap.cli.main import app
from crispmap.models.card import ModelCard
from crispmap.models.file import save_model
from crispmap.models.registry import architectures
from crispmap.models.scaling import Scaling


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    schema = ClassSchema((ClassDef("ground", "#000000"), ClassDef("roof", "#ff0000")))
    for name, options in (("fcn-igarss", {}), ("svm", {"vectors": 2}), ("crf", {})):
        one = architectures()[name]
        network = one.build(bands=1, classes=2, **options).eval()
        card = ModelCard(
            one.kind, name, network.arguments, schema, ("grey",), Scaling((9.0,), (2.0,)), 0.5, network.radius_px,
            getattr(network, "stride_px", 1),
        )  # fmt: skip
        save_model(made / f"{name}.safetensors", network, card)
    return made


def test_it_tells_the_differences_and_the_tiles(folder: Path) -> None:
    result = run(folder / "fcn-igarss.safetensors", "-o", folder / "model.pt2", "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["paths"] == [str(folder / "model.pt2")]
    assert all(one["torch"] <= 1e-4 >= one["map"] for one in facts["differences"])
    assert facts["tile_px"] % facts["stride_px"] == 0
    again = run(folder / "fcn-igarss.safetensors", "-o", folder / "model.pt2")
    assert again.exit_code == 2
    assert "--force" in again.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("svm.safetensors", "-o", "m.onnx"),
        ("fcn-igarss.safetensors", "--refiner", "crf.safetensors", "-o", "m.onnx"),
        ("fcn-igarss.safetensors", "-o", "m.h5"),
        ("fcn-igarss.safetensors", "-o", "m.pt2", "--format", "onnx"),
        ("fcn-igarss.safetensors", "-o", "m.pt2", "--size", "30"),
        ("fcn-igarss.safetensors", "-o", "m.pt2", "--size", "8"),
        ("fcn-igarss.safetensors", "-o", "m.pt2", "--gsd-m", "0"),
        ("crf.safetensors", "-o", "m.pt2"),
        ("none.safetensors", "-o", "m.pt2"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(folder)
    before = set(folder.iterdir())
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Expected:" in result.stderr
    assert set(folder.iterdir()) == before


def test_a_library_that_is_not_installed_is_told_before_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    result = run(folder / "fcn-igarss.safetensors", "-o", folder / "m.onnx")
    assert result.exit_code == 2
    assert "crispmap[onnx]" in result.stderr
