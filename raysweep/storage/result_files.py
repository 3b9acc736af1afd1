"""The files of results in a run's folder: the tables with their schemas, the page and the comparison.

The stage plan writes the tables PLANNED, for readers only. The stage reduce writes the tables REDUCED, all
of them each time. The stage report writes the page, and the stage compare the comparisons.
"""

from raysweep.storage import comparison_schemas, schemas

ENGINES = "engines.parquet"
PLAN = "plan.parquet"
SCENARIOS = "scenarios.parquet"
SCORES = "scores.parquet"
QUESTIONS = "questions.parquet"
FRONTIER = "frontier.parquet"
FRONTIERS = "frontiers.parquet"
THRESHOLDS = "thresholds.parquet"
FINDINGS = "findings.parquet"
CONTROLS = "controls.parquet"
INFLATION = "inflation.parquet"
CORRELATIONS = "correlations.parquet"

PLANNED = {ENGINES: schemas.ENGINES, PLAN: schemas.PLAN}
REDUCED = {
    SCENARIOS: schemas.SCENARIOS,
    SCORES: schemas.SCORES,
    QUESTIONS: schemas.QUESTIONS,
    FRONTIER: schemas.FRONTIER,
    FRONTIERS: schemas.FRONTIERS,
    THRESHOLDS: schemas.THRESHOLDS,
    FINDINGS: comparison_schemas.FINDINGS,
    CONTROLS: comparison_schemas.CONTROLS,
    INFLATION: comparison_schemas.INFLATION,
    CORRELATIONS: comparison_schemas.CORRELATIONS,
}
TABLES = {**PLANNED, **REDUCED}

PAGE = "report/index.html"
COMPARISON = "comparison.json"
RUN_COMPARISON = "run_comparison.json"
