"""Documents say what is so: their commands, keys, settings, messages, links and code are held to the source."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import typer

from crispmap.cli.main import VERBS, app
from crispmap.labels.osm import OSM_PRESETS
from crispmap.models.architecture import Kind
from crispmap.models.card import ModelCard
from crispmap.models.fcn.network import fcn_rnn
from crispmap.models.file import save_model
from crispmap.models.scaling import Scaling
from crispmap.project.file.marked_yaml import parse_marked_yaml
from crispmap.raster.writer import read_class_schema
from crispmap.refiners.rnn.refiner import RecurrentRefiner
from crispmap.synth.truth import TOWN_SCHEMA
from crispmap.synth.write import BAND_NAMES, write_town

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README, GUIDE = ROOT / "README.md", ROOT / "docs" / "guide.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))

_SPEC = importlib.util.spec_from_file_location("make_tables", ROOT / "docs" / "make_tables.py")
assert _SPEC is not None
assert _SPEC.loader is not None
make_tables = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(make_tables)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_IN_LINE = re.compile(r"`([^`\n]+)`")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in _FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        lines = [line for body in blocks(page, "sh") for line in body.replace("\\\n", " ").splitlines()]
        lines += _IN_LINE.findall(prose(page))
        for line in dict.fromkeys(line.strip() for line in lines):
            if line.startswith("crispmap ") and not line.startswith("crispmap VERB"):
                yield name_of(page), line


def links() -> Iterator[Any]:
    for page in PAGES:
        for target in dict.fromkeys(_LINK.findall(prose(page))):
            if not re.match(r"[a-z]+:", target):
                yield pytest.param(page, target)


def python_blocks() -> list[tuple[str, str]]:
    return [(name_of(page), body) for page in PAGES for body in blocks(page, "python")]


def tables(page: Path, head: str) -> list[list[str]]:
    """The rows of the tables whose first heading is this."""
    rows, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        inside = bool(cells) and (inside or cells[0] == head)
        if inside and not line.startswith("|---"):
            rows.append([cell.removesuffix(" |").strip() for cell in cells])
    return rows


def anchor_of(heading: str) -> str:
    """The anchor a heading gets on the usual hosts."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small town with untrained models, under the names the documents use."""
    folder = tmp_path_factory.mktemp("town")
    grid_px, gsd_m = (160, 200), 0.5
    write_town(folder, size_px=grid_px, gsd_m=gsd_m)
    torch.manual_seed(0)
    modules: dict[Kind, Any] = {"coarse": fcn_rnn(4, 3), "refiner": RecurrentRefiner(3, 4, iterations=2)}
    for kind, module in modules.items():
        card = ModelCard(
            kind=kind, architecture=module.architecture, arguments=module.arguments, schema=TOWN_SCHEMA,
            band_names=BAND_NAMES, scaling=Scaling((127.0,) * 4, (64.0,) * 4),
            gsd_m=1.0 if kind == "coarse" else gsd_m, radius_px=module.radius_px,
            stride_px=getattr(module, "stride_px", 1),
        )  # fmt: skip
        save_model(folder / f"{kind}.safetensors", module, card)
    return folder


class TestCommands:
    @pytest.mark.parametrize(("page", "line"), list(commands()))
    def test_every_command_shown_can_be_given(self, page: str, line: str) -> None:
        group: Any = typer.main.get_command(app)
        words = shlex.split(line, comments=True)[1:]
        try:
            context = group.make_context("crispmap", words[:1])
            name, verb, rest = group.resolve_command(context, words)
            if rest:  # a verb alone is spoken of, not called
                verb.make_context(name, rest, parent=context)
        except typer.Exit:
            assert {"--help", "--version"} & set(words)

    def test_every_verb_is_in_the_readme_and_explained_in_the_guide(self) -> None:
        shown = {cells[0].strip("`").removeprefix("crispmap "): cells[1] for cells in tables(README, "verb")[1:]}
        assert shown == {name: verb.summary for name, verb in VERBS.items()}
        headings = re.findall(r"^### ([\w-]+)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(VERBS) <= set(headings)

    def test_every_option_spoken_of_exists(self) -> None:
        group: Any = typer.main.get_command(app)
        context = group.make_context("crispmap", ["info"])
        known = {option for param in group.params for option in param.opts}
        for name in VERBS:
            verb = group.resolve_command(context, [name])[1]
            known |= {option for param in verb.params for option in param.opts} | {"--help"}
        for page in PAGES:
            text = "\n".join(line for line in prose(page).splitlines() if "pip install" not in line)
            assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*\w", text)) - known <= {"--logdir"}, page

    def test_every_make_target_shown_exists(self) -> None:
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        for page in PAGES:
            lines = [*_IN_LINE.findall(prose(page)), *"\n".join(blocks(page, "sh")).splitlines()]
            shown = [match[1] for line in lines if (match := re.match(r"make ([a-z-]+)", line))]
            assert set(shown) <= set(targets), page


class TestProjectFile:
    def test_the_tables_of_the_guide_are_those_made_from_the_source(self) -> None:
        text = GUIDE.read_text(encoding="utf-8")
        assert make_tables.with_tables(text) == text, "run: make docs"

    def test_every_yaml_block_is_of_known_keys(self) -> None:
        known = {key.replace("[]", "") for key, _, _ in make_tables.schema_keys()}
        for page in PAGES:
            for body in blocks(page, "yaml"):
                for location in parse_marked_yaml(body, name_of(page)).lines:
                    words = [str(part) for part in location if isinstance(part, str)]
                    if len(words) > 2 and words[0] == "areas":
                        words[1] = "ROLE"
                    assert not words or ".".join(words) in known, (page, location)

    def test_the_whole_projects_in_the_guide_are_read(self, tmp_path: Path) -> None:
        from crispmap.project.file import load_project

        projects = [body for body in blocks(GUIDE, "yaml") if body.startswith("crispmap:")]
        assert len(projects) == 3
        for whole in projects:
            (tmp_path / "project.yaml").write_text(whole, encoding="utf-8")
            project = load_project(tmp_path, check_files=False)
            assert project.refines or project.coarse.squares

    def test_keys_spoken_of_in_passing_exist(self) -> None:
        known = {key.replace("[]", "") for key, _, _ in make_tables.schema_keys()}
        sections = {key for key in known if "." not in key}
        for page in PAGES:
            for code in _IN_LINE.findall(prose(page)):
                match = re.match(r"^(\w+): (\w+)$", code)
                if match and match[1] in sections:
                    assert ".".join(match.groups()) in known, (page, code)

    def test_the_presets_of_tag_rules_are_listed(self) -> None:
        sentence = re.search(r"The presets are (.*?)\.\n", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
        assert sentence is not None
        assert _IN_LINE.findall(sentence[1]) == list(OSM_PRESETS)


class TestTroubleshooting:
    def test_every_message_is_one_the_source_can_give(self) -> None:
        text = GUIDE.read_text(encoding="utf-8").partition("\n## Troubleshooting\n")[2]
        headings = re.findall(r"^### `(.+)`$", text, re.MULTILINE)
        assert len(headings) >= 10
        messages = list(source_texts())
        for heading in headings:
            pattern = ".*".join(re.escape(part) for part in heading.split("..."))
            assert any(re.search(pattern, message, re.DOTALL) for message in messages), heading


class TestLinks:
    @pytest.mark.parametrize(("page", "target"), list(links()))
    def test_every_link_within_the_project_leads_somewhere(self, page: Path, target: str) -> None:
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists()
        assert file.is_relative_to(ROOT)
        if anchor:
            headings = re.findall(r"^#+ (.*)$", prose(file), re.MULTILINE)
            assert anchor in [anchor_of(one) for one in headings]

    def test_no_page_names_a_path_of_a_machine(self) -> None:
        for page in PAGES:
            assert not re.search(r"(?<![\w.])/(?:home|root|work|tmp|Users)/", page.read_text(encoding="utf-8")), page

    def test_lines_fit(self) -> None:
        for page in PAGES:
            for line in page.read_text(encoding="utf-8").splitlines():
                assert len(line) <= 120 or line.startswith("|"), (page, line)

    def test_no_code_within_a_sentence_is_broken_by_a_line(self) -> None:
        for page in PAGES:
            assert [line for line in prose(page).splitlines() if line.count("`") % 2] == [], page


class TestDecisions:
    def test_they_are_numbered_without_gaps(self) -> None:
        assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))

    def test_the_list_of_decisions_is_complete(self) -> None:
        rows = tables(ROOT / "docs" / "decisions" / "README.md", "number")[1:]
        shown = [(_LINK.findall(number)[0], f"# {number[1:5]} {title}") for number, title in rows]
        assert shown == [(page.name, page.read_text(encoding="utf-8").splitlines()[0]) for page in DECISIONS]


class TestCode:
    @pytest.mark.parametrize(("page", "body"), python_blocks())
    def test_every_block_compiles(self, page: str, body: str) -> None:
        compile(body, page, "exec")

    def test_the_example_of_the_readme_runs(
        self, town: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (body,) = blocks(README, "python")
        monkeypatch.chdir(town)
        names: dict[str, Any] = {}
        exec(compile(body, "README.md", "exec"), names)  # noqa: S102 - that is the test
        assert "mean IoU 0." in capsys.readouterr().out
        assert read_class_schema(town / "map.tif") == TOWN_SCHEMA
        assert (town / "footprints.gpkg").exists()
        with rasterio.open(town / "map.tif") as written:
            assert np.array_equal(written.read(1), names["classes"])

    @pytest.mark.slow
    def test_the_examples_of_the_guide_run_one_after_the_other(
        self, town: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(town)
        names: dict[str, Any] = {}
        for body in blocks(GUIDE, "python"):
            exec(compile(body.replace("if offset.reliable:", "if True:"), "guide.md", "exec"), names)  # noqa: S102
        assert "standard error" in capsys.readouterr().out
        again = names["read_vectors"]("corrected.gpkg", names["schema"], grid=names["grid"])
        assert again["class_id"].tolist() == names["corrected"]["class_id"].tolist()


def source_texts() -> Iterator[str]:
    """Every text in the source, with ... where something is filled in."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(one.value) if isinstance(one, ast.Constant) else "..." for one in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
