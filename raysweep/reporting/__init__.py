"""From the result tables to what people look at: the page, the figures, the table in the terminal.

page                     report/index.html, from page_data, advice, quality and web/
figures, line_figures, study_figures, drawn_figures   the figures as SVG, PDF and PNG
terminal, plan_text      the frontier and the plan as text
recommendation_text      the recommendation as text and JSON
results                  the tables as they are read back
findings, study_findings, provenance   numbers in words
appearance, drawing      the looks that page and figures share
"""
