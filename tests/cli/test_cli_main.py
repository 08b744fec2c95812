"""The command as a whole: fast help, one way to fail, and statuses a script can rely on."""

from __future__ import annotations

import errno
import importlib.util
import re
import subprocess
import sys
import types
import warnings
from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner, Result

from crispmap import __version__
from crispmap.cli import main as main_module
from crispmap.cli.main import VERBS, Verb, app, main
from crispmap.errors import CrispmapWarning, ModelError, OutputError, ProjectError, TrainingError

PRESENT = [name for name, verb in VERBS.items() if importlib.util.find_spec(verb.target.partition(":")[0])]

RunVerb = Callable[..., Result]


def run(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


@pytest.fixture
def run_verb(monkeypatch: pytest.MonkeyPatch) -> RunVerb:
    """Run the command with ``info`` standing for a function of the test's."""

    def run_verb(function: Callable[..., None], *args: str) -> Result:
        module = types.ModuleType("a_verb_of_the_test")
        module.verb = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "a_verb_of_the_test", module)
        monkeypatch.setitem(VERBS, "info", Verb("a_verb_of_the_test:verb", "A verb.", "crispmap info"))
        return run(*(args or ("info",)))

    return run_verb


def failing(error: BaseException) -> Callable[[], None]:
    def verb() -> None:
        raise error

    return verb


class TestStart:
    def test_help_loads_neither_torch_nor_rasterio(self) -> None:
        code = f"""
import sys
import crispmap
heavy = {{"torch", "lightning", "lightning_fabric", "rasterio", "geopandas", "matplotlib"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from typer.testing import CliRunner
from crispmap.cli.main import app
for args in [["--help"], ["--version"], *([verb, "--help"] for verb in {PRESENT!r})]:
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    assert not heavy & set(sys.modules), (args, heavy & set(sys.modules))
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def test_the_list_of_verbs_imports_none(self) -> None:
        code = """
import sys
from typer.testing import CliRunner
from crispmap.cli.main import VERBS, app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert not {verb.target.partition(":")[0] for verb in VERBS.values()} & set(sys.modules)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def test_help_lists_every_verb_with_its_whole_summary(self) -> None:
        text = run("--help").output
        for name, verb in VERBS.items():
            assert re.search(rf"^ +{name} +{re.escape(verb.summary)}$", text, re.MULTILINE), name

    @pytest.mark.parametrize("name", PRESENT)
    def test_the_help_of_a_verb_ends_in_an_example_of_options_it_has(self, name: str) -> None:
        result = run(name, "-h")
        example = VERBS[name].example
        assert result.exit_code == 0
        assert result.output.rstrip().endswith(example)
        assert example.startswith(f"crispmap {name}")
        for option in re.findall(r"--[a-z-]+", example):
            assert re.search(rf"^ +{option}\b", result.output, re.MULTILINE), option
        assert "Args:" not in result.output
        assert "Raises:" not in result.output

    def test_version(self) -> None:
        result = run("--version")
        assert (result.exit_code, result.stdout) == (0, f"crispmap {__version__}\n")

    def test_without_a_verb_help_is_shown_as_bad_usage(self) -> None:
        result = run()
        assert result.exit_code == 2
        assert "Commands:" in result.output

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (["trian"], "Did you mean 'train'"),
            (["train", "--stage", "both"], "'both'"),
            (["train", "--nope"], "--nope"),
            (["predict", "x.tif", "--block", "0"], "--block"),
            (["refine", "x.tif"], "Missing option"),
            (["info"], "Missing argument"),
        ],
    )
    def test_bad_usage_is_told_on_standard_error(self, args: list[str], said: str) -> None:
        result = run(*args)
        assert result.exit_code == 2
        assert said in result.stderr
        assert not result.stdout

    def test_the_entry_point_exits_with_the_status(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["/some/where/crispmap", "info", "/no/such/file"])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2

    def test_the_stubs_of_the_list_do_nothing(self) -> None:
        assert main_module._stub() is None  # type: ignore[func-returns-value]


class TestFailures:
    @pytest.mark.parametrize("kind", [ProjectError, ModelError, OutputError, TrainingError])
    def test_what_a_person_can_mend_is_told_in_full_with_status_2(
        self, run_verb: RunVerb, kind: type[ProjectError]
    ) -> None:
        result = run_verb(failing(kind("It is [red]so[/red].", expected="not so", remedy="Mend it.")))
        assert result.exit_code == 2
        assert result.stderr == "error: It is [red]so[/red].\nExpected: not so\nRemedy: Mend it.\n"
        assert not result.stdout

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (ValueError("some\n  cause"), "crispmap failed: ValueError: some cause\n"),
            (AssertionError(), "crispmap failed: AssertionError: \n"),
            (KeyError("k"), "crispmap failed: KeyError: 'k'\n"),
            (ImportError("no"), "crispmap failed: ImportError: no\n"),
            (OSError("odd"), "crispmap failed: OSError: odd\n"),
            (UnicodeDecodeError("utf-8", b"", 0, 1, "r"), "crispmap failed: UnicodeDecodeError"),
        ],
    )
    def test_what_nobody_foresaw_is_one_line_and_a_hint_with_status_1(
        self, run_verb: RunVerb, error: Exception, said: str
    ) -> None:
        result = run_verb(failing(error))
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {said}")
        assert "--debug" in result.stderr
        assert "Traceback" not in result.output

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (MemoryError(), "not enough memory"),
            (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "not enough memory"),
            (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 4 bytes"), "not enough memory"),
            (OSError(errno.ENOSPC, "No space left on device", "/a/b.tif"), "disk is full while writing /a/b.tif"),
            (OSError(errno.EDQUOT, "Quota"), "disk is full."),
            (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "/a/b: Permission denied."),
        ],
    )
    def test_memory_disk_and_rights_are_told_plainly(self, run_verb: RunVerb, error: Exception, said: str) -> None:
        result = run_verb(failing(error))
        assert result.exit_code == 1
        assert said in result.stderr
        assert "bug in crispmap" not in result.stderr

    @pytest.mark.parametrize("args", [("--debug", "info"), ("info", "--debug")])
    @pytest.mark.parametrize("error", [ValueError("deep"), ProjectError("deep")])
    def test_debug_shows_where_it_happened(self, run_verb: RunVerb, args: tuple[str, ...], error: Exception) -> None:
        result = run_verb(failing(error), *args)
        assert result.exit_code == (2 if isinstance(error, ProjectError) else 1)
        assert "Traceback (most recent call last)" in result.stderr
        assert "in verb" in result.stderr
        assert "error: " in result.stderr.splitlines()[-2] + result.stderr.splitlines()[-1]

    def test_a_name_that_is_no_text_is_told(self, run_verb: RunVerb) -> None:
        def verb() -> None:
            "h\udce4user.shp".encode()

        result = run_verb(verb)
        assert result.exit_code == 2
        assert "'h\\udce4user.shp'" in result.stderr
        assert "Remedy: " in result.stderr

    def test_debug_behind_two_dashes_is_an_argument(self, run_verb: RunVerb) -> None:
        seen = []

        def verb(file: str) -> None:
            seen.append(file)

        assert run_verb(verb, "info", "--", "--debug").exit_code == 0
        assert seen == ["--debug"]

    def test_an_interrupt_is_one_line_and_130(self, run_verb: RunVerb) -> None:
        result = run_verb(failing(KeyboardInterrupt()))
        assert (result.exit_code, result.output) == (130, "Interrupted.\n")

    def test_a_termination_is_one_line_and_143(self, run_verb: RunVerb) -> None:
        result = run_verb(failing(SystemExit(143)))
        assert (result.exit_code, result.output) == (143, "Terminated.\n")
        result = run_verb(failing(SystemExit(7)))
        assert (result.exit_code, result.output) == (7, "")

    def test_a_broken_pipe_is_quiet(self, run_verb: RunVerb) -> None:
        result = run_verb(failing(BrokenPipeError(errno.EPIPE, "Broken pipe")))
        assert result.exit_code == 1
        assert "error" not in result.output

    def test_what_typer_ends_is_left_to_it(self, run_verb: RunVerb) -> None:
        assert run_verb(failing(typer.Exit(7))).exit_code == 7
        result = run_verb(failing(typer.BadParameter("not this")))
        assert result.exit_code == 2
        assert "not this" in result.stderr


class TestWarnings:
    @staticmethod
    def verb() -> None:
        for _ in range(3):
            warnings.warn("Mind the [gap].", CrispmapWarning, stacklevel=1)
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn("for programmers", RuntimeWarning, stacklevel=1)

    def test_a_warning_for_people_is_told_once_and_others_are_not(self, run_verb: RunVerb) -> None:
        result = run_verb(self.verb)
        assert (result.exit_code, result.stderr) == (0, "warning: Mind the [gap].\n")

    def test_debug_tells_all(self, run_verb: RunVerb) -> None:
        result = run_verb(self.verb, "--debug", "info")
        assert result.stderr == "warning: Mind the [gap].\nwarning: RuntimeWarning: for programmers\n"

    def test_warnings_of_one_run_do_not_silence_the_next(self, run_verb: RunVerb) -> None:
        assert run_verb(self.verb).stderr == run_verb(self.verb).stderr
