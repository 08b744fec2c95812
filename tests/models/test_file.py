"""The model file: a round trip, and every way it can be bad."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import ModelError, OutputError
from crispmap.models.card import FORMAT, ModelCard
from crispmap.models.fcn.network import fcn_igarss
from crispmap.models.file import load_model, model_hash, read_card, save_model
from crispmap.models.scaling import Scaling
from crispmap.models.smp.network import smp
from crispmap.models.svm.network import svm
from crispmap.refiners.rnn.refiner import RecurrentRefiner

SCHEMA = ClassSchema((ClassDef("background", "#ffffff"), ClassDef("building", "#d7191c", ("building=*",))))


def card_of(module: torch.nn.Module, kind: str) -> ModelCard:
    bands = module.bands
    return ModelCard(
        kind=kind,
        architecture=module.architecture,
        arguments=module.arguments,
        schema=SCHEMA,
        band_names=tuple(f"band {i}" for i in range(bands)),
        scaling=Scaling((127.0,) * bands, (256.0,) * bands),
        gsd_m=1.0,
        radius_px=module.radius_px,
        stride_px=getattr(module, "stride_px", 1),
        provenance={"seed": 3, "figures": [0.5, None]},
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = fcn_igarss(3)
    return save_model(tmp_path / "coarse.safetensors", network, card_of(network, "coarse"))


@pytest.mark.parametrize("features", ["image", "derivatives"])
def test_a_refiner_survives_the_round_trip(tmp_path: Path, features: str) -> None:
    refiner = RecurrentRefiner(2, 3, features=features)
    card = card_of(refiner, "refiner")
    loaded = load_model(save_model(tmp_path / "refiner.safetensors", refiner, card))
    again, card_again = loaded.network, loaded.card
    margin = refiner.margin_px
    scores, image = torch.randn(1, 2, 8 + 2 * margin, 8 + 2 * margin), torch.randn(1, 3, 8 + 2 * margin, 8 + 2 * margin)
    assert card_again == card
    assert torch.equal(again(scores, image), refiner(scores, image))


@pytest.mark.parametrize(
    "encoder",
    [
        "test_resnet",
        "test_efficientnet",
        "test_convnext",
        pytest.param("mit_b0", id="cannot be built on the meta device"),
        pytest.param("tiny_vit_5m_224", id="has constants that are in no file"),
    ],
)
def test_networks_of_any_encoder_survive_the_round_trip(tmp_path: Path, encoder: str) -> None:
    network = smp(3, 2, encoder=encoder, depth=3 if encoder == "test_resnet" else 5, radius_px=None).eval()
    before = torch.random.get_rng_state()
    again = load_model(save_model(tmp_path / "m.safetensors", network, card_of(network, "coarse"))).network
    assert torch.equal(torch.random.get_rng_state(), before)
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(again(image), network(image), rtol=0, atol=1e-4)


@pytest.mark.parametrize("encoder", ["test_vit", "swin_tiny_patch4_window7_224"])
def test_encoders_without_levels_or_of_one_size_are_refused(encoder: str) -> None:
    with pytest.raises(ModelError) as caught:
        smp(3, 2, encoder=encoder)
    assert encoder in caught.value.given


def test_the_card_is_read_without_the_weights(model: Path) -> None:
    card = read_card(model)
    assert (card.architecture, card.radius_px, card.stride_px, card.schema) == ("fcn-igarss", 35, 4, SCHEMA)


def test_the_hash_follows_the_bytes(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(model.read_bytes())
    assert model_hash(copy) == model_hash(model)
    copy.write_bytes(model.read_bytes() + b" ")
    assert model_hash(copy) != model_hash(model)


def test_an_existing_file_is_kept_unless_forced(model: Path) -> None:
    before = model.read_bytes()
    network = fcn_igarss(3)
    with pytest.raises(OutputError, match="exists"):
        save_model(model, network, card_of(network, "coarse"))
    assert model.read_bytes() == before
    save_model(model, network, card_of(network, "coarse"), force=True)
    assert model.read_bytes() != before


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    network = fcn_igarss(3)
    with pytest.raises(OutputError, match="cannot be written"):
        save_model(tmp_path / "file" / "m.safetensors", network, card_of(network, "coarse"))


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="none"):
        load_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 100, 5_000, -1])
def test_a_truncated_file_says_so(model: Path, keep: int) -> None:
    data = model.read_bytes()
    model.write_bytes(data[:keep])
    with pytest.raises(ModelError, match="truncated"):
        load_model(model)


def test_a_file_of_another_kind_says_so(tmp_path: Path) -> None:
    path = tmp_path / "photo.safetensors"
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(1000))
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(path)


def test_anothers_safetensors_says_so(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"w": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="no crispmap model card"):
        read_card(path)


def test_files_of_format_1_are_read(tmp_path: Path) -> None:
    refiner = RecurrentRefiner(2, 3, iterations=4)
    now = save_model(tmp_path / "now.safetensors", refiner, card_of(refiner, "refiner"))
    facts = json.loads(read_card(now).to_json())
    facts["arguments"]["steps"] = facts["arguments"].pop("iterations")
    before = tmp_path / "before.safetensors"
    save_file(refiner.state_dict(), before, metadata={"crispmap": json.dumps(facts | {"format": 1})})
    assert load_model(before).network.iterations == 4
    assert read_card(before) == read_card(now)

    machine = svm(2, 2, vectors=4)
    now = save_model(tmp_path / "svm.safetensors", machine, card_of(machine, "coarse"))
    names = {"mean": "centre", "scale": "spread"}
    weights = {names.get(name, name): value for name, value in machine.state_dict().items()}
    card = json.loads(read_card(now).to_json()) | {"format": 1}
    save_file(weights, before, metadata={"crispmap": json.dumps(card)})
    assert torch.equal(load_model(before).network.mean, machine.mean)


def rewrite(path: Path, **changes: object) -> None:
    card = json.loads(read_card(path).to_json()) | changes
    save_file({"w": torch.zeros(3)}, path, metadata={"crispmap": json.dumps(card)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": FORMAT + 1}, "update crispmap"),
        ({"architecture": "transformer"}, "transformer"),
        ({"kind": "oracle"}, "damaged"),
        ({"classes": [{"name": "only"}]}, "damaged"),
        ({"scaling_scale": [1.0, 0.0, 1.0]}, "above 0"),
        ({"scaling_scale": [1.0, float("inf"), 1.0]}, "finite"),
        ({"scaling_offset": [1.0, float("nan"), 1.0]}, "finite"),
        ({"gsd_m": float("nan")}, "above 0"),
        ({"stride_px": 0}, "stride of 1 or more"),
        ({"radius_px": -1}, "radius of 0 or more"),
        ({"scaling_scale": [1.0]}, "for every band"),
        ({"arguments": {"bands": 3, "classes": 10**9}}, "do not fit"),
        ({"arguments": {"depth": 3}}, "do not fit"),
        ({"arguments": {"bands": 0, "classes": 2}}, "do not fit"),
        ({"arguments": {"bands": 3, "classes": 2, "x": 1e999}}, "do not fit"),
        ({"gsd_m": 10**400}, "damaged"),
        ({"band_names": "red"}, "damaged"),
        ({"classes": [{"name": "a\0b", "colour": "#ffffff"}]}, "damaged"),
        ({}, "do not fit"),
    ],
)
def test_a_card_that_cannot_be_used_says_why(model: Path, changes: dict[str, object], message: str) -> None:
    rewrite(model, **changes)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(model)
    assert str(model) in caught.value.given


def test_a_card_that_is_no_json_says_so(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"w": torch.zeros(3)}, path, metadata={"crispmap": "{"})
    for read in (load_model, read_card):
        with pytest.raises(ModelError, match="cannot be read") as caught:
            read(path)
        assert str(path) in caught.value.given


def test_a_card_of_other_bands_than_the_weights_says_so(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    network = fcn_igarss(3)
    card = replace(card_of(network, "coarse"), band_names=("grey",), scaling=Scaling((0.0,), (1.0,)))
    save_model(path, network, card)
    with pytest.raises(ModelError, match="names 1 band and 2 classes, its weights are for 3 and 2") as caught:
        load_model(path)
    assert str(path) in caught.value.given


@pytest.mark.parametrize("changes", [{"radius_px": 34}, {"radius_px": None}, {"stride_px": 2}])
def test_a_card_of_another_reach_than_its_network_is_refused(model: Path, changes: dict[str, object]) -> None:
    card = read_card(model)
    save_model(model, load_model(model).network, replace(card, **changes), force=True)
    with pytest.raises(ModelError, match="35 and 4") as caught:
        load_model(model)
    assert str(model) in caught.value.given


@pytest.mark.parametrize("iterations", [0, 101, 10**18, True, 2.5])
def test_a_card_of_absurd_iterations_is_refused(tmp_path: Path, iterations: object) -> None:
    refiner = RecurrentRefiner(2, 3, iterations=2)
    card = card_of(refiner, "refiner")
    card = replace(card, arguments={**card.arguments, "iterations": iterations})
    path = save_model(tmp_path / "m.safetensors", refiner, card)
    with pytest.raises(ModelError, match=f"iterations is {iterations}"):
        load_model(path)


def test_a_card_nested_too_deeply_says_so(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"w": torch.zeros(3)}, path, metadata={"crispmap": '{"a":' * 100_000})
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(path)


def test_the_wrong_kind_says_which_is_expected(model: Path) -> None:
    with pytest.raises(ModelError, match="a refiner model"):
        load_model(model, kind="refiner")


def test_a_card_knows_its_own_contradictions() -> None:
    card = card_of(fcn_igarss(3), "coarse")
    with pytest.raises(ModelError):
        replace(card, gsd_m=0.0)
