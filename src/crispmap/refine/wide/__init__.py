"""A refiner of a wider view."""
