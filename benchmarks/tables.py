"""Figures as Markdown tables."""

from __future__ import annotations


def print_table_head(*columns: str) -> None:
    """Print the head of a Markdown table; rows can follow as they are measured."""
    print_table_row(*columns)
    print("|" + "---|" * len(columns), flush=True)


def print_table_row(*cells: str | int | float) -> None:
    """Print one row; numbers as they are, so format them before."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
