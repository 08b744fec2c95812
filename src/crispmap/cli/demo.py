"""The verb ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.console import notify, print_json
from crispmap.cli.options import ForceOption, SharesOption, TrainerFlags, grouped
from crispmap.cli.progress import shown_progress


@grouped
def demo(  # noqa: PLR0913 - its options
    out: Annotated[Path, typer.Option(help="The folder for all results.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes another town.")] = 0,
    papers: Annotated[
        bool, typer.Option("--papers", help="Train the network and the refiner of the papers instead.")
    ] = False,
    force: ForceOption = False,
    show: Annotated[bool, typer.Option("--open", help="Open the report in a browser, where there is one.")] = False,
    as_json: SharesOption = False,
    *,
    trainer: TrainerFlags,
) -> None:
    """Generate a town, train on its imprecise map, map it, sharpen the map, and report the gain.

    Takes a few minutes on two cores. The folder then holds a project like your own: scene, labels,
    reference, project file, models, maps and the report.
    """
    from crispmap.project.demo import run_demo
    from crispmap.report.tables.terminal import print_evaluations

    made = run_demo(out, seed=seed, papers=papers, force=force, trainer=trainer.options(), events=shown_progress())
    if as_json:
        print_json(made.results.to_dict() | {"seconds": made.timings})
    else:
        print_evaluations(made.results.methods)
    notify(f"Report: {made.products.report}")
    notify(f"Map for QGIS: {made.products.refined_map}")
    if show:
        _open(made.products.report)


def _open(report: Path) -> None:
    """Open the report where there is a screen; its path is printed in any case."""
    import os
    import sys
    import webbrowser

    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(report.resolve().as_uri())
