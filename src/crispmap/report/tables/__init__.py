"""Tables of figures: one model, rendered for a terminal, as Markdown and, by the pages, as HTML."""
