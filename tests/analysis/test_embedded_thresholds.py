"""The embedded study's own scores give one verdict on the scale threshold, whatever the seed.

`support/embedded-study` holds scenarios.parquet and scores.parquet of a finished `python -m raysweep`.
"""

from pathlib import Path

import pytest

from raysweep.analysis.threshold import POOLED, find_thresholds
from raysweep.reporting.results import read_candidates
from raysweep.storage.store import Store

STUDY = Path(__file__).parents[1] / "support" / "embedded-study"


@pytest.mark.slow
def test_five_seeds_give_one_verdict_on_the_embedded_study():
    benchmarks = read_candidates(Store(str(STUDY)))
    assert sorted(benchmarks) == ["chain", "facts"]
    found = [find_thresholds(benchmarks, [1, 16], seed) for seed in range(5)]
    assert set(found[0]) == {(name, size) for name in (*benchmarks, POOLED) for size in (1, 16)}
    for key in found[0]:
        assert len({answers[key].decided for answers in found}) == 1, key
        assert len({answers[key].weights_bytes for answers in found}) == 1, key
