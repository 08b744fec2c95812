"""What people who run many commands ask of each: silence, logs for programs, variables, completion."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_place import CRISPMAP
from typer.testing import CliRunner, Result

from crispmap.cli import progress as shown
from crispmap.cli.completion import preset_classes
from crispmap.cli.console import voice
from crispmap.cli.main import VERBS, _command, app
from crispmap.cli.progress import LoggedProgress
from crispmap.events import progress
from crispmap.labels.osm import OSM_PRESETS

DRAW = ["rasterize", "osm.gpkg", "--like", "scene.tif", "--out", "drawn.tif", "--classes", "building"]


def run(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


def logged(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stderr.splitlines()]


@pytest.mark.usefixtures("place")
class TestQuiet:
    @pytest.mark.parametrize("args", [["--quiet", *DRAW], [*DRAW, "--quiet"]])
    def test_says_nothing_where_all_is_well_and_writes_the_same(self, args: list[str]) -> None:
        loud = run(*DRAW)
        assert "drawn.tif" in loud.stderr
        expected = Path("drawn.tif").read_bytes()
        quiet = run(*args, "--force")
        assert (quiet.exit_code, quiet.stderr, quiet.stdout) == (0, "", loud.stdout)
        assert Path("drawn.tif").read_bytes() == expected

    def test_still_tells_errors(self) -> None:
        result = run("info", "absent.tif", "--quiet")
        assert result.exit_code == 2
        assert "absent.tif" in result.stderr

    def test_still_tells_warnings(self) -> None:
        result = run("info", "scene.tif", "--quiet")
        assert result.exit_code == 0
        assert result.stdout


@pytest.mark.usefixtures("place")
class TestLog:
    def test_every_line_is_json_with_time_level_and_event(self) -> None:
        lines = logged(run(*DRAW, "--log-json"))
        assert lines
        for line in lines:
            assert datetime.fromisoformat(str(line["time"])).utcoffset() is not None
            assert line["level"] in {"info", "warning", "error"}
            assert line["event"] in {"message", "started", "advanced", "finished"}
        assert any("drawn.tif" in str(line.get("message")) for line in lines)

    @pytest.mark.parametrize("args", [["info", "absent.tif"], ["info", "--no-such-option"], ["rasterize"]])
    def test_so_is_what_is_wrong(self, args: list[str]) -> None:
        result = run(*args, "--log-json")
        assert result.exit_code == 2
        assert [line["level"] for line in logged(result)] == ["error"]

    def test_quiet_leaves_errors(self) -> None:
        assert logged(run(*DRAW, "--log-json", "--quiet")) == []
        assert len(logged(run("info", "absent.tif", "--log-json", "--quiet"))) == 1

    def test_secrets_stay_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        from crispmap.cli.console import log

        log("info", "message", message="https://user:word@example.com/a.tif")
        assert "word" not in capsys.readouterr().err


class TestLoggedProgress:
    def test_tells_start_steps_once_a_second_and_end(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter([0.0, 0.0, 0.5, 1.25, 1.5, 4.0])
        monkeypatch.setattr(shown.time, "monotonic", lambda: next(clock))
        with progress(LoggedProgress(), "map", 4, "blocks") as running:
            for loss in (0.5, 0.25, 0.125):
                running.advance(1, loss=loss)
            running.summary = "done"
            monkeypatch.setattr(shown.time, "monotonic", lambda: 4.0)
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert [line["event"] for line in lines] == ["started", "advanced", "advanced", "finished"]
        assert {(line["task"], line["total"], line["unit"]) for line in lines} == {("map", 4, "blocks")}
        assert (lines[1]["done"], lines[1]["figures"]) == (2, {"loss": 0.25})
        assert (lines[-1]["seconds"], lines[-1]["summary"]) == (4.0, "done")

    def test_a_failure_is_told_as_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ZeroDivisionError), progress(LoggedProgress(), "map", 4):
            raise ZeroDivisionError
        assert json.loads(capsys.readouterr().err.splitlines()[-1])["event"] == "failed"


class TestEnvironment:
    @pytest.mark.parametrize("name", VERBS)
    def test_every_option_of_a_verb_has_a_variable_of_its_own(self, name: str) -> None:
        options = [one for one in _command(name, debug=False).params if one.param_type_name == "option"]
        variables = [one.envvar for one in options]
        assert len(set(variables)) == len(variables)
        for option in options:
            assert f"--{option.envvar.removeprefix(prefix(name)).lower().replace('_', '-')}" in option.opts

    @pytest.mark.usefixtures("place")
    def test_a_variable_is_the_option_and_the_option_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CRISPMAP_RASTERIZE_OUT", "by-variable.tif")
        assert run(*[word for word in DRAW if word not in {"--out", "drawn.tif"}]).exit_code == 0
        assert Path("by-variable.tif").exists()
        assert run(*DRAW).exit_code == 0
        assert Path("drawn.tif").exists()

    @pytest.mark.usefixtures("place")
    def test_a_bad_value_is_told_with_the_name_of_its_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CRISPMAP_VECTORIZE_SIMPLIFY_M", "much")
        result = run("vectorize", "mask.tif", "--out", "a.gpkg")
        assert result.exit_code == 2
        assert "CRISPMAP_VECTORIZE_SIMPLIFY_M" in result.stderr

    def test_settings_of_all_verbs_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CRISPMAP_LOG_JSON", "1")
        assert [line["level"] for line in logged(run("info", "absent.tif"))] == ["error"]
        monkeypatch.delenv("CRISPMAP_LOG_JSON")
        run("info", "absent.tif")
        assert not voice.as_json

    def test_help_names_the_variables_that_are_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "CRISPMAP_INFO_" not in run("info", "--help").stdout
        monkeypatch.setenv("CRISPMAP_INFO_JSON", "1")
        assert "CRISPMAP_INFO_JSON" in run("info", "--help").stdout


def prefix(verb: str) -> str:
    return f"CRISPMAP_{verb.upper().replace('-', '_')}_"


class TestCompletion:
    @given(
        st.lists(st.sampled_from(sorted(OSM_PRESETS)), unique=True, max_size=3), st.sampled_from(["", "b", "w", "#"])
    )
    def test_a_list_of_presets_goes_on_with_one_that_is_not_in_it(self, given: list[str], begun: str) -> None:
        typed = ",".join([*given, begun])
        expected = [name for name in OSM_PRESETS if name.startswith(begun) and name not in given]
        assert preset_classes(typed) == [",".join([*given, name]) for name in expected]

    @pytest.mark.usefixtures("place")
    def test_the_shell_gets_classes_of_the_map(self) -> None:
        assert run(*DRAW).exit_code == 0
        assert completed("crispmap vectorize drawn.tif --classes b") == ["background", "building"]
        assert completed("crispmap vectorize drawn.tif --classes building,") == ["building,background", "building,all"]
        assert completed("crispmap vectorize absent.tif --classes b") == []

    def test_and_verbs_and_options(self) -> None:
        assert completed("crispmap vec") == ["vectorize"]
        assert "--simplify-m" in completed("crispmap vectorize --")


def completed(line: str) -> list[str]:
    words = line.split(" ")
    asked = {"_CRISPMAP_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    found = subprocess.run(CRISPMAP, check=False, env={**os.environ, **asked}, capture_output=True, text=True)
    assert found.stderr == ""
    return found.stdout.split()
