"""Reports: pictures, charts, tables and pages of what evaluate and compare have measured."""
