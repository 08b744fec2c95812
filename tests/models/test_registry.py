"""The registry: every architecture is described without torch, and can be built, trained and found by name."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field

from crispmap.models.architecture import Architecture, ArchitectureOptions, Preset
from crispmap.models.base import CoarseNetwork, Refiner
from crispmap.models.card import ModelCard
from crispmap.models.fcn.network import fcn_rnn
from crispmap.models.file import save_model
from crispmap.models.registry import architectures, default_architecture, register, unregister
from crispmap.models.scaling import Scaling
from crispmap.project.file import CoarseSection
from crispmap.synth.truth import TOWN_SCHEMA
from crispmap.training.learners import learner_of

ALL = list(architectures())
TRAINABLE = list(architectures(trainable=True))


@pytest.mark.parametrize("kind", ["coarse", "refiner"])
def test_one_architecture_of_each_kind_is_the_default_and_comes_first(kind: str) -> None:
    defaults = [name for name, one in architectures(kind).items() if one.default]
    assert defaults == [default_architecture(kind).name] == list(architectures(kind))[:1]


@pytest.mark.parametrize("name", TRAINABLE)
def test_an_architecture_builds_what_its_description_says(name: str) -> None:
    one = architectures()[name]
    given = (
        {"radius_px": 320} if ".smp." in str(one.builder) else {}
    )  # to measure it takes seconds, and is tested apart
    network = one.build(bands=2, classes=3, **given, **one.options().model_dump())
    assert isinstance(network, CoarseNetwork if one.kind == "coarse" else Refiner)
    assert (network.architecture, network.bands, network.classes) == (name, 2, 3)
    assert all(getattr(network, "stride_px", 1) == one.patch_multiple for _ in [0] if one.learner == "gradient")


@pytest.mark.parametrize("name", TRAINABLE)
def test_every_option_has_a_description_and_every_preset_suits_the_learner(name: str) -> None:
    one = architectures()[name]
    assert all(field.description for field in one.options.model_fields.values())
    assert one.presets
    assert all((preset.settings is not None) == (one.learner == "gradient") for preset in one.presets.values())
    assert callable(learner_of(one).learn)
    for options in one.variants.values():
        one.options.model_validate(options)


def test_a_registered_architecture_is_found_until_it_is_taken_back() -> None:
    mine = Architecture("mine", "coarse", "a network of my own", lambda **arguments: CoarseNetwork())
    register(mine)
    try:
        assert architectures("coarse")["mine"] is mine
        with pytest.raises(ValueError, match="mine"):
            register(mine)
    finally:
        unregister("mine")
    assert "mine" not in architectures()


def test_a_name_registered_anew_has_the_section_of_the_new_one() -> None:
    class Wide(ArchitectureOptions):
        width: int = Field(3, description="a whole number")

    for options in (ArchitectureOptions, Wide):
        register(Architecture("mine", "coarse", "mine", "", options=options, presets={"fast": Preset()}, learner="svm"))
        section = CoarseSection.for_value({"kind": "mine"})
        unregister("mine")
        assert ("width" in section.model_fields) == (options is Wide)


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_the_registry_loads_no_torch() -> None:
    code = (
        "import sys; from crispmap.models.registry import architectures; architectures(); print('torch' in sys.modules)"
    )
    assert run_python(code).strip() == "False"


def test_loading_a_model_imports_its_own_network_alone(tmp_path: Path) -> None:
    network = fcn_rnn(3, 3)
    card = ModelCard(
        kind="coarse", architecture="fcn-rnn", arguments=network.arguments, schema=TOWN_SCHEMA,
        band_names=("red", "green", "blue"), scaling=Scaling((0.0,) * 3, (1.0,) * 3), gsd_m=1.0,
        radius_px=network.radius_px, stride_px=network.stride_px,
    )  # fmt: skip
    path = save_model(tmp_path / "coarse.safetensors", network, card)
    code = (
        f"import sys; from pathlib import Path; import crispmap.inference.predict;"
        f"from crispmap.models.file import load_model; load_model(Path({str(path)!r}));"
        "ends = ('.network', '.refiner');"
        "print([name for name in sys.modules if name.startswith('crispmap.') and name.endswith(ends)])"
    )
    loaded = ast.literal_eval(run_python(code))
    assert sorted(loaded) == ["crispmap.inference.network", "crispmap.models.fcn.network"]
