"""The support vector machine: scikit-learn's probabilities as a network's scores, and how it is fitted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from crispmap.classes import ClassDef, ClassSchema
from crispmap.data.patches import ArrayPatches
from crispmap.data.pixels import draw_pixels
from crispmap.errors import LabelError, TrainingError
from crispmap.models.card import ModelCard
from crispmap.models.file import load_model, save_model
from crispmap.models.scaling import Scaling
from crispmap.models.svm import network as machines
from crispmap.training.svm import COSTS, WIDTHS, calibrated_classifier, fit_svm, network_of_classifier
from crispmap.types import IGNORE

TWO = ClassSchema((ClassDef("field", "#808080"), ClassDef("road", "#ff0000")))


def overlapping(seed: int, classes: int, features: int, pixels: int = 60):
    """Features of classes that overlap, of very different spreads, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(classes), pixels))
    spread = rng.uniform(0.1, 20, features)
    values = rng.normal(size=(classes, features))[labels] + rng.normal(size=(len(labels), features))
    return values * spread + rng.normal(0, 50, features), labels


@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 5),
    features=st.integers(1, 6),
    cost=st.sampled_from([0.1, 1.0, 100.0]),
    width=st.sampled_from([0.25, 4.0]),
)
@settings(deadline=None, max_examples=15)
def test_softmax_gives_the_probabilities_of_scikit_learn(seed, classes, features, cost, width):
    values, labels = overlapping(seed, classes, features)
    scaler = StandardScaler().fit(values)
    classifier = calibrated_classifier(cost, width / features, seed).fit(scaler.transform(values), labels)
    network = network_of_classifier(machines.svm, features, scaler, classifier)
    far = values.mean(axis=0) + 5 * (values[:50] - values.mean(axis=0))
    seen = np.concatenate([values, far]).astype(np.float32)
    with torch.inference_mode():
        scores = network(torch.from_numpy(seen.T[None, :, :, None].copy()))
    expected = classifier.predict_proba(scaler.transform(seen.astype(np.float64)))
    assert scores.dtype == torch.float32
    np.testing.assert_allclose(scores.softmax(1)[0, :, :, 0].T, expected, atol=1e-5)
    np.testing.assert_allclose(scores.sum(1), 0, atol=1e-4)


@given(seed=st.integers(0, 1000), height=st.integers(1, 9), width=st.integers(1, 9))
@settings(deadline=None, max_examples=20)
def test_texture_is_the_mean_and_deviation_of_25_pixels(seed, height, width):
    network = machines.svm_texture(3, 2)
    image = np.random.default_rng(seed).normal(5, 2, (3, height + 4, width + 4))
    features = network.features(torch.from_numpy(image[None]))[0].numpy()
    windows = np.lib.stride_tricks.sliding_window_view(image, (5, 5), axis=(1, 2))
    expected = np.concatenate([image[:, 2:-2, 2:-2], windows.mean(axis=(3, 4)), windows.std(axis=(3, 4))])
    np.testing.assert_allclose(features, expected, rtol=1e-10)


def test_flat_ground_has_no_texture_even_where_it_is_bright():
    features = machines.svm_texture(1, 2).features(torch.full((1, 1, 9, 9), 1000.1))
    assert (features[0, 2] < 1e-3).all()


def test_pixels_are_evaluated_in_pieces_and_a_piece_changes_nothing(monkeypatch):
    network = machines.svm(2, 3, vectors=30)
    for values in network.buffers():
        values.copy_(torch.rand_like(values) + 0.1)
    image = torch.randn(2, 2, 13, 17)
    whole = network(image)
    sizes = []
    logits = network.logits
    monkeypatch.setattr(network, "logits", lambda some: sizes.append(len(some)) or logits(some))
    monkeypatch.setattr(machines, "_KERNEL_VALUES", 30 * 100)
    torch.testing.assert_close(network(image), whole)
    assert sizes == [100, 100, 100, 100, 42]
    monkeypatch.setattr(machines, "_KERNEL_VALUES", 1)
    torch.testing.assert_close(network(image), whole)


def test_a_machine_of_one_class_is_refused():
    with pytest.raises(ValueError, match="2 classes or more"):
        machines.svm(3, 1)


@pytest.mark.parametrize("architecture", ["svm", "svm-texture"])
def test_a_fit_is_told_repeats_and_survives_the_model_file(architecture, tmp_path):
    grounds, held = [tiny.ground(1, (40, 40)), tiny.ground(2, (30, 50))], [tiny.ground(3, (30, 30))]
    results = [
        fit_svm(getattr(machines, architecture.replace("-", "_")), grounds, held, tiny.SCHEMA, per_class=60, seed=seed)
        for seed in (4, 4, 5)
    ]
    one, again, other = (result.network.state_dict() for result in results)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(one[name].shape != other[name].shape or not torch.equal(one[name], other[name]) for name in one)
    result = results[0]
    told = json.loads(json.dumps(result.to_dict()))
    assert told["pixels"] == {"field": 60, "road": 60, "house": 60}
    assert told["pixels_available"] == {
        name: sum(int((ground.labels == k).sum()) for ground in grounds) for k, name in enumerate(tiny.SCHEMA.names)
    }
    assert told["cost"] in COSTS
    features = result.network.mean.numel()
    assert told["gamma"] in [pytest.approx(width / features) for width in WIDTHS]
    assert told["cross_validated_accuracy"] > 0.9
    assert result.score > 0.9
    assert told["support_vectors"] == len(one["vectors"])
    card = ModelCard(
        kind="coarse", architecture=result.network.architecture, arguments=result.network.arguments,
        schema=tiny.SCHEMA, band_names=("a", "b"), scaling=Scaling((0.0, 0.0), (1.0, 1.0)), gsd_m=1.0,
        radius_px=result.network.radius_px, stride_px=1, provenance={"settings": told},
    )  # fmt: skip
    loaded = load_model(save_model(tmp_path / "m.safetensors", result.network, card))
    read, read_card = loaded.network, loaded.card
    image = torch.randn(1, 2, 12, 12)
    assert torch.equal(read(image), result.network(image))
    assert read_card == card


def test_the_fit_is_on_the_pixels_drawn_standardised():
    ground = tiny.ground(1, (40, 40))
    network = fit_svm(machines.svm, [ground], [], tiny.SCHEMA, per_class=50, seed=9).network
    values = draw_pixels([ground], tiny.SCHEMA.names, 50, seed=9).images[:, :, 0, 0].astype(np.float64)
    np.testing.assert_allclose(network.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(network.scale, values.std(axis=0), rtol=1e-12)
    vectors = network.vectors.numpy() * values.std(axis=0) + values.mean(axis=0)
    distance = np.abs(vectors[:, None] - values[None]).max(axis=2).min(axis=1)
    assert distance.max() < 1e-9


def test_a_constant_band_and_validation_without_labels_are_no_obstacle():
    ground = tiny.ground(1, (40, 40))
    image = ground.image.copy()
    image[1] = 3.0
    unknown = ArrayPatches(image, np.full(ground.shape, IGNORE, np.uint8))
    labels = np.minimum(ground.labels, 1)
    result = fit_svm(machines.svm, [ArrayPatches(image, labels)], [unknown], TWO, per_class=30)
    assert result.score is None
    assert torch.isfinite(result.network(torch.randn(1, 2, 5, 5))).all()


def test_fewer_pixels_than_asked_for_are_taken_and_told():
    ground = tiny.ground(1, (40, 40))
    labels = np.where(ground.labels == 2, np.uint8(0), ground.labels)
    rows, cols = np.nonzero(ground.labels == 2)
    labels[rows[:12], cols[:12]] = 2
    result = fit_svm(machines.svm, [ArrayPatches(ground.image, labels)], [], tiny.SCHEMA, per_class=40)
    assert result.drawn == {"field": 40, "road": 40, "house": 12}
    assert result.available["house"] == 12


def test_ground_that_cannot_be_fitted_is_refused():
    ground = tiny.ground(1, (40, 40))
    with pytest.raises(LabelError, match="no pixel of class 'road' or 'house'"):
        fit_svm(machines.svm, [ArrayPatches(ground.image, np.zeros(ground.shape, np.uint8))], [], tiny.SCHEMA)
    with pytest.raises(TrainingError, match="have no bands"):
        fit_svm(machines.svm, [], [], tiny.SCHEMA)
    with pytest.raises(TrainingError, match="per_class is 9"):
        fit_svm(machines.svm, [ground], [], tiny.SCHEMA, per_class=9)
