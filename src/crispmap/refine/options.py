"""What may be chosen of every refiner that works in iterations."""

from typing import Annotated

from pydantic import Field

from crispmap.models.architecture import ArchitectureOptions


class IterationOptions(ArchitectureOptions):
    """How often a refiner goes over a map."""

    iterations: Annotated[int, Field(ge=1, le=100)] = Field(5, description="a whole number from 1 to 100")
