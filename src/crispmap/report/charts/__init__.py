"""Charts: matplotlib figures as SVG elements of a page."""
