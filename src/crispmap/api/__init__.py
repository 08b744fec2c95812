"""The public door: what a script or a notebook calls, reached as ``crispmap.predict`` and so on.

A path gives a file; an array or a DataArray gives the same kind. Paths may be text. Nothing is printed.
"""
