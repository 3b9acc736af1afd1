"""From the result tables to what people look at: the page, the figures, the table in the terminal.

page: report/index.html, from page_data, advice, quality and web/ · figures, study_figures: SVG, PDF and
PNG · terminal: the frontier as text · results: the tables as they are read · findings, study_findings,
provenance: numbers in words · appearance, drawing, wording: looks and units they share
"""
