"""Tables of figures: one model, written as text for a terminal, as Markdown and, by the pages, as HTML."""
