"""The options of every iterative refiner."""

from typing import Annotated

from pydantic import Field

from crispmap.models.architecture import ArchitectureOptions


class IterationOptions(ArchitectureOptions):
    """Options of an iterative refiner."""

    iterations: Annotated[int, Field(ge=1, le=100)] = Field(5, description="a whole number from 1 to 100")
