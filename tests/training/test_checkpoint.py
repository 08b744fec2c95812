"""Checkpoints: what is written is read back, and nothing else is believed."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from crispmap.errors import ModelError, OutputError
from crispmap.training.checkpoint import (
    load_tree,
    load_weights,
    read_safetensors,
    save_tree,
    write_safetensors,
)

PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
TENSORS = st.sampled_from(
    [
        torch.arange(6, dtype=torch.float32).reshape(2, 3),
        torch.tensor(3.5),
        torch.tensor([True, False]),
        torch.zeros(0, 4, dtype=torch.float64),
        torch.ones(2, 2, dtype=torch.bfloat16),
        torch.arange(4, dtype=torch.uint8),
        torch.arange(12.0).reshape(3, 4).T,
    ]
)
KEYS = st.one_of(
    st.text(max_size=5), st.integers(), st.booleans(), st.none(), st.tuples(st.integers(), st.text(max_size=2))
)
TREES = st.recursive(
    st.one_of(PLAIN, TENSORS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple), st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(x, y) for x, y in zip(a.values(), b.values(), strict=True))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return a == b


@given(TREES)
@settings(deadline=None, max_examples=80)
def test_what_is_written_is_read_back(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("tree") / "tree.safetensors"
    save_tree(tree, path)
    assert same(load_tree(path), tree)


def test_the_same_contents_give_the_same_bytes(tmp_path):
    tree = {"a": torch.arange(3.0), "b": [1, (2, None)], "c": torch.zeros(2)}
    for number in range(10):
        save_tree(tree, tmp_path / str(number))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_tensors_that_share_memory_are_kept_apart(tmp_path):
    whole = torch.arange(4.0)
    save_tree([whole, whole, whole[1:3]], tmp_path / "tree")
    assert same(load_tree(tmp_path / "tree"), [whole, whole, torch.tensor([1.0, 2.0])])


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, torch.float32, lambda: None, b"bytes"], ids=lambda value: type(value).__name__
)
def test_what_could_only_be_pickled_is_refused(value, tmp_path):
    with pytest.raises(ModelError, match="of type"):
        save_tree({"deep": [value]}, tmp_path / "tree")
    assert not list(tmp_path.iterdir())


def test_every_truncation_is_told(tmp_path):
    path = tmp_path / "tree"
    save_tree({"a": torch.arange(5.0)}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match="cannot be read"):
            load_tree(path)


class _Trap:
    """Tells when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(pickle.dumps(_Trap())),
        lambda path: torch.save({"a": _Trap()}, path),
        lambda path: write_safetensors({"0": torch.ones(1)}, {}, path),
        lambda path: write_safetensors({}, {"format": "crispmap-checkpoint-2", "tree": 1}, path),
        lambda path: write_safetensors({}, {"format": "crispmap-checkpoint-1"}, path),
        lambda path: write_safetensors({}, {"format": "crispmap-checkpoint-1", "tree": ["tensor", "7"]}, path),
        lambda path: write_safetensors({}, {"format": "crispmap-checkpoint-1", "tree": ["os.system", "x"]}, path),
        lambda path: write_safetensors({}, {"format": "crispmap-checkpoint-1", "tree": []}, path),
        lambda path: write_safetensors({}, {"format": "crispmap-checkpoint-1", "tree": ["dict", 1]}, path),
        lambda path: write_safetensors({}, ["a list"], path),
    ],
)
def test_what_is_not_ours_is_refused(write, tmp_path):
    write(tmp_path / "file")
    with pytest.raises(ModelError, match="cannot be read"):
        load_tree(tmp_path / "file")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "tree"
    save_tree({"a": 1}, path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OutputError, match="No space left"):
            save_tree({"a": 2}, path)
    assert load_tree(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["tree"]


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights"
    layer = nn.Linear(3, 2)
    write_safetensors(dict(layer.state_dict()), {"step": 5}, path)
    other = nn.Linear(3, 2)
    load_weights(other, path)
    assert torch.equal(other.weight, layer.weight)
    assert read_safetensors(path)[0] == {"step": 5}
    for wrong in (nn.Linear(2, 2), nn.Conv2d(1, 1, 1), nn.Sequential(nn.Linear(3, 2))):
        with pytest.raises(ModelError, match="another network"):
            load_weights(wrong, path)


def test_notes_are_text_that_others_can_read(tmp_path):
    write_safetensors({}, {"val_mean_iou": 0.5}, tmp_path / "file")
    raw = (tmp_path / "file").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert json.loads(header["__metadata__"]["crispmap"]) == {"val_mean_iou": 0.5}
