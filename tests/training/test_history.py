"""The history of a training, read back from the file it was written to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crispmap.errors import TrainingError
from crispmap.training.folder import TrainingFolder, read_history

FIGURES = st.dictionaries(st.sampled_from(["loss", "val_mean_iou", "val_accuracy"]), st.floats(0, 1e9))
HEADS = "step,seconds,learning_rate,loss,val_mean_iou,val_accuracy\n"


@given(st.lists(FIGURES, max_size=6))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, figures: list[dict[str, float]]) -> None:
    folder = TrainingFolder(tmp_path_factory.mktemp("history"), {})
    rows = [{"step": 5.0 * number, "seconds": 0.5, "learning_rate": 0.1, **one} for number, one in enumerate(figures)]
    folder.write_history(rows)
    assert read_history(folder.history) == rows


def test_figures_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(HEADS + "1,0.1,0.1,nan,0.5,\n2,0.2,0.1,inf,nan,0.5\n")
    first = {"step": 1, "seconds": 0.1, "learning_rate": 0.1, "val_mean_iou": 0.5}
    assert read_history(path) == [first, {"step": 2, "seconds": 0.2, "learning_rate": 0.1, "val_accuracy": 0.5}]
    assert read_history(tmp_path / "none.csv") == []


@pytest.mark.parametrize(
    "content",
    [
        HEADS + "1,0.1,0.1,many,0.5,\n",
        HEADS + "nan,0.1,0.1,0.5,0.5,\n",
        HEADS + "2,0.1,0.1,0.5,,\n1,0.1,0.1,0.5,,\n",
        "loss\n0.5\n",
        HEADS + '1,0.1,"\n',
        b"\xff\xfe\x00",
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TrainingError) as caught:
        read_history(path)
    assert str(path) in str(caught.value)
    path.unlink()
    path.mkdir()
    with pytest.raises(TrainingError):
        read_history(path)
