"""Evaluation: figures of a map against a reference, and the report that shows them."""
