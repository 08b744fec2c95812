from __future__ import annotations

import inspect
import pickle

import pytest

from crispmap import errors
from crispmap.errors import CrispmapError, CrispmapWarning, InputError, OutputError, SceneError, TrainingError

EVERY = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
ERRORS = [kind for kind in EVERY if issubclass(kind, Exception) and not issubclass(kind, Warning)]


def test_a_message_tells_given_expected_and_remedy() -> None:
    error = SceneError("x.tif has 2 bands.", expected="3 bands", remedy="Choose bands.")
    assert str(error) == "x.tif has 2 bands.\nExpected: 3 bands\nRemedy: Choose bands."
    assert (error.given, error.expected, error.remedy) == ("x.tif has 2 bands.", "3 bands", "Choose bands.")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "Bad."),
        ({"expected": "good"}, "Bad.\nExpected: good"),
        ({"remedy": "Mend it."}, "Bad.\nRemedy: Mend it."),
    ],
)
def test_parts_left_out_leave_no_line(options: dict[str, str], text: str) -> None:
    assert str(CrispmapError("Bad.", **options)) == text


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_is_ours_and_documented(kind: type[Exception]) -> None:
    assert issubclass(kind, CrispmapError)
    assert kind.__doc__
    assert str(kind("Bad.")) == "Bad."


def test_the_tree_is_the_one_in_the_docstring() -> None:
    inputs = {kind.__name__ for kind in ERRORS if issubclass(kind, InputError) and kind is not InputError}
    assert inputs == {"SceneError", "GridError", "LabelError", "SchemaError", "AreaError", "ProjectError", "ModelError"}
    assert not issubclass(OutputError, InputError)
    assert not issubclass(TrainingError, InputError)
    documented = errors.__doc__ or ""
    assert all(kind.__name__ in documented for kind in ERRORS)


def test_warnings_are_warnings_not_errors() -> None:
    warnings = [kind for kind in EVERY if issubclass(kind, Warning)]
    assert len(warnings) >= 2
    assert all(issubclass(kind, CrispmapWarning) and issubclass(kind, UserWarning) for kind in warnings)


def test_an_error_survives_the_way_from_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(SceneError("x.tif", expected="a raster", remedy="Look.")))  # noqa: S301
    assert str(error).startswith("x.tif")
