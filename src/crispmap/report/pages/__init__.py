"""Pages: HTML files that show everything of a map or of a comparison, and load nothing."""
