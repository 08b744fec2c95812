"""The verb ``compare``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispmap.cli.console import notify, notify_problem, print_json, print_line
from crispmap.cli.failures import FAILED
from crispmap.cli.options import ProjectArgument, SharesOption, TrainerFlags, grouped, notify_written
from crispmap.cli.progress import shown_progress

if TYPE_CHECKING:
    from crispmap.project.compare.rows import Table


@dataclass(frozen=True)
class MethodFlags:
    """What is compared."""

    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Methods separated by commas, such as svm,fcn-rnn,crf,fcn-rnn+rnn. By default all."
        ),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="Seed of trainings and intervals; by default the project's."),
    ] = None
    seeds: Annotated[
        int,
        typer.Option(min=1, max=99, help="With how many seeds, one after the other, everything is done."),
    ] = 1


@grouped
def compare(
    project: ProjectArgument = Path("project.yaml"),
    *,
    which: MethodFlags,
    as_json: SharesOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run finished methods again.")] = False,
    trainer: TrainerFlags,
) -> None:
    """Train and score every method on a project, side by side, and write a report.

    Methods are coarse networks alone (svm, mnih, the project's own) and the project's network with each refiner (dense
    CRF, Bayesian smoothing, four equations, the recurrent network and its variants). All are scored only on the test
    areas. Finished methods are skipped; a method that fails is reported, and the others go on.
    """
    begun = time.perf_counter()
    from crispmap.project.compare.comparison import Seeds, compare_methods
    from crispmap.project.compare.report import write_comparison_report
    from crispmap.project.compare.rows import table_of

    names = None if which.methods is None else which.methods.split(",")
    comparison = compare_methods(
        project, methods=names, seeds=Seeds(which.seed, which.seeds), force=force, trainer=trainer.options(),
        events=shown_progress(),
    )  # fmt: skip
    table = table_of(comparison)
    written = [write_comparison_report(comparison, table)] if table.rows else []
    if as_json:
        print_json(_plain(table))
    elif table.rows:
        _print(table, markdown)
    _end(table)
    notify_written(written, since=begun)


def _plain(table: Table) -> dict[str, Any]:
    from crispmap.report.tables.comparison import winner

    best = winner(table.rows)
    return {
        "compared_with": table.own,
        "best": None if best is None else best.name,
        "bootstrap_blocks": table.blocks,
        "rows": [row.to_dict() for row in table.rows],
        "missing": [one.to_dict() for one in table.missing],
        "over_seeds": [row.to_dict() for row in table.seeds],
    }


def _print(table: Table, markdown: bool) -> None:
    from crispmap.report.tables.comparison import verdict
    from crispmap.report.tables.markdown import markdown_tables
    from crispmap.report.tables.seeds import seed_tables, seed_verdict
    from crispmap.report.tables.terminal import print_comparison

    over_seeds = seed_tables(table.seeds, table.own)
    if markdown:
        print_line(markdown_tables(table.rows, table.missing, over_seeds))
        return
    print_comparison(table.rows, table.missing, over_seeds)
    print_line(seed_verdict(table.seeds, table.own) or verdict(table.rows, table.own))


def _end(table: Table) -> None:
    """Report failures, and end with status 1 where no method has figures."""
    failed = [one.name for one in table.missing if not one.skipped]
    if table.rows:
        if failed:
            notify(f"Failed: {', '.join(failed)}. Run the same command to try them again.")
        return
    reasons = "\n".join(f"  {one.name}: {one.reason}" for one in table.missing)
    notify_problem("error", f"No method finished, so there is nothing to compare.\n{reasons}", "bold red")
    raise typer.Exit(FAILED)
