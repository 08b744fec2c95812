"""What is printed, and where."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.cli.console import harmless, notify, notify_problem, print_json, print_line
from crispmap.cli.options import duration, parse_bands
from crispmap.errors import InputError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


def without_infinities(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_infinities(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_infinities(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@settings(deadline=None, max_examples=60)
@given(values)
def test_json_is_strict_and_comes_back(value: Any) -> None:
    out, sys.stdout = sys.stdout, io.StringIO()
    try:
        print_json(value)
        text = sys.stdout.getvalue()
    finally:
        sys.stdout = out
    assert json.loads(text) == without_infinities(value)
    assert text.isascii()


def test_json_takes_paths_and_figures_of_numpy(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": Path("b/c"), 1: (np.float32(0.5), np.int64(7), np.float64("nan"))})
    assert json.loads(capsys.readouterr().out) == {"a": "b/c", "1": [0.5, 7, None]}


def test_lines_survive_a_narrow_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    print_line("Straße")
    sys.stdout.flush()
    assert raw.getvalue() == b"Stra\\xdfe\n"


@pytest.mark.parametrize("odd", ["\x1b]0;title\x07", "\x1b[2J", "a\rb", "\u202egnp.exe", "\u2066x\u2069", "\x9b1m"])
def test_names_in_files_command_no_terminal(odd: str, capsys: pytest.CaptureFixture[str]) -> None:
    for show in (print_line, notify, lambda text: notify_problem("error", text, "bold")):
        show(f"Left out: {odd}: <b>[bold]")
    heard = "".join(capsys.readouterr())
    assert not set(heard) & set("\x1b\x07\x9b\r\u202e\u2066\u2069")
    assert heard.count("<b>[bold]") == 3


@given(st.text(st.characters(categories=("L", "M", "N", "P", "S", "Zs")) | st.sampled_from("\n\t")))
def test_what_is_plain_is_printed_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_messages_go_to_standard_error_unwrapped(capsys: pytest.CaptureFixture[str]) -> None:
    notify("[b]" + "x" * 300)
    notify_problem("error", "/a/path" * 40, "bold red")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "[b]" + "x" * 300 + "\nerror: " + "/a/path" * 40 + "\n"


@pytest.mark.parametrize(("text", "numbers"), [(None, None), ("3,2, 1", (3, 2, 1)), ("1", (1,))])
def test_band_numbers_are_read(text: str | None, numbers: tuple[int, ...] | None) -> None:
    assert parse_bands(text) == numbers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599.7, "1 h 00 min"),
     (3900, "1 h 05 min"), (100_000, "27 h 46 min")],
)  # fmt: skip
def test_times_are_told_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("text", ["", "0", "-1", "a", "1;2", "1,,2", "1.0"])
def test_what_is_no_band_number_is_told(text: str) -> None:
    with pytest.raises(InputError, match="--bands is") as caught:
        parse_bands(text)
    assert caught.value.remedy
