"""From the result tables to what people look at: the page, the figures, the table in the terminal.

page: report/index.html · figures: SVG and PNG · terminal: the frontier as text · results: the tables as
they are read · findings, provenance: numbers in words · appearance, wording: looks and units they share
"""
