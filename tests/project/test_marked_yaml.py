"""YAML with line marks: plain values only, and errors that name the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.errors import ProjectError
from crispmap.project.file.marked_yaml import MAX_BYTES, parse_marked_yaml, read_marked_yaml

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=6), inner, max_size=4),
    max_leaves=12,
)


def as_read(value: Any) -> Any:
    """Lists as the reader gives them: tuples."""
    if isinstance(value, list):
        return tuple(as_read(one) for one in value)
    return {key: as_read(one) for key, one in value.items()} if isinstance(value, dict) else value


@settings(deadline=None, max_examples=80)
@given(plain, st.booleans())
def test_plain_values_come_back(value: Any, flow: bool) -> None:
    class NoAliases(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def as_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
        # 1e0 is a number to the reader, as people write it, but not to the writer, which would leave it bare
        return dumper.represent_scalar(
            "tag:yaml.org,2002:str", text, style='"' if text[:1] in "+-.0123456789" else None
        )

    NoAliases.add_representer(str, as_text)
    text = yaml.dump(value, Dumper=NoAliases, default_flow_style=flow)
    assert parse_marked_yaml(text, "x").value == as_read(value)


@settings(deadline=None, max_examples=150)
@given(st.text(alphabet=st.sampled_from(list("ab:-[]{}#&*!|>'\"%@`\\ \n\t1.e0~,?=<\x00\x85\ufeff")), max_size=40))
def test_any_text_is_read_or_is_a_project_error(text: str) -> None:
    try:
        told = f"some.yaml: {parse_marked_yaml(text, 'some.yaml').value}"
    except ProjectError as error:
        told = error.given
    assert told.startswith("some.yaml")


def test_every_key_and_entry_has_its_line() -> None:
    marked = parse_marked_yaml("a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n", "x")
    assert dict(marked.lines) == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "c"): 4,
        ("b", 1, "d"): 5,
    }
    assert marked.line_of(("b", 1, "e", 7)) == 4
    assert marked.line_of(("z",)) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("-2.5E+3", -2500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("12", 12),
        ("'1e-4'", "1e-4"),
        ("1e", "1e"),
        ("", None),
        ("# only a comment", None),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, value: object) -> None:
    read = parse_marked_yaml(text, "x").value
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice \\(first on line 1\\)"),
        ("x:\n  a: 1\n  a: 1\n", 3, "twice"),
        ("a: &x 1\nb: *x\n", 2, "alias"),
        ("a: *b\n", 1, "alias"),
        ("a: &a [*a]\n", 1, "alias"),
        ("a:\n\t- 1\n", 2, "Indent with spaces"),
        ("a: [1, 2\nb: 3\n", 2, "brackets"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "tag"),
        ("a: !thing 1\n", 1, "tag|constructor"),
        ("a: !!set {x}\n", 1, "tag"),
        ("a: !!int ''\n", 1, "cannot read"),
        ("a: !!bool maybe\n", 1, "cannot read"),
        ("a: !!timestamp x\n", 1, "cannot read"),
        ("\na: 2016-99-99\n", 2, "cannot read"),
        ("a: " + "9" * 5000, 1, "cannot read"),
        ("1: a\n", 1, "key that is not plain text"),
        ("? [a]\n: b\n", 1, "key that is not plain text"),
        ("<<: {a: 1}\n", 1, "key that is not plain text"),
        ("a: 1\n---\nb: 2\n", 2, "another document|single document"),
        ("a: 1\nb: \x07\n", 2, "may not stand"),
        ("a: 1\n- b\n", 2, "Expected"),
        ("classes:\n  - {name: a, colour: #ff0000}\n  - {name: b}\n", 2, "Put colours in quotes"),
    ],
)
def test_what_is_not_plain_is_told_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(ProjectError, match=said) as caught:
        parse_marked_yaml(text, "p.yaml")
    assert caught.value.given.startswith(f"p.yaml, line {line}: ")
    assert caught.value.remedy


def test_deep_nesting_is_told() -> None:
    with pytest.raises(ProjectError, match="nested too deeply"):
        parse_marked_yaml("[" * 5000, "p.yaml")


class TestFiles:
    def test_byte_order_marks_and_windows_line_ends_do_no_harm(self, tmp_path: Path) -> None:
        path = tmp_path / "p.yaml"
        path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: [\r\n 2]\r\n")
        marked = read_marked_yaml(path)
        assert marked.value == {"a": 1, "b": (2,)}
        assert marked.line_of(("b", 0)) == 3

    @pytest.mark.parametrize(
        ("raw", "said"),
        [
            (b"a: 1\nb: \xff\xfe\n", "p.yaml, line 2: the text is not UTF-8"),
            ("a: 1".encode("utf-16"), "not a text file|not UTF-8"),
            (b"II*\0" + b"\0" * 100, "not a text file"),
            (b"a" * (MAX_BYTES + 1), "not a text file of at most 4 MB"),
        ],
    )
    def test_what_is_no_text_is_told(self, tmp_path: Path, raw: bytes, said: str) -> None:
        path = tmp_path / "p.yaml"
        path.write_bytes(raw)
        with pytest.raises(ProjectError, match=said):
            read_marked_yaml(path)

    def test_what_is_no_file_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ProjectError, match="There is no file"):
            read_marked_yaml(tmp_path / "absent.yaml")
        with pytest.raises(ProjectError, match="Cannot read"):
            read_marked_yaml(tmp_path)
        with pytest.raises(ProjectError, match="Cannot read"):
            read_marked_yaml(tmp_path / "a\0b")
