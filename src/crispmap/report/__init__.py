"""Reports: pictures, charts, tables and pages of evaluations and comparisons."""
