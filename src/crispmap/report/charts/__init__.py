"""Charts: matplotlib figures as SVG that stands in a page."""
