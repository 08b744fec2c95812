"""Pages: self-contained HTML files about a map or a comparison."""
