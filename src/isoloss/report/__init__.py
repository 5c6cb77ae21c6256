"""What a person sees at the end of a study: figures, tables, one HTML page and the same as Markdown."""
