"""What `reduce` wrote, read back as the nouns that `study`, `threshold` and `recommend` work on."""

from collections import defaultdict
from typing import Any

import numpy as np

from raysweep.candidates import Candidates
from raysweep.store import Store

SCORE_KEY = ("engine_id", "benchmark", "token_budget", "group_size")


def read_candidates(store: Store) -> dict[str, Candidates]:
    """The scenarios of each benchmark with their scores, in the order of scenarios.parquet."""
    table = store.read_table("scores.parquet")
    lists = table.column("scores").combine_chunks()
    keys = zip(*(table.column(name).to_pylist() for name in SCORE_KEY), strict=True)
    starts = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False).astype(np.float64)
    scores = {key: values[starts[i] : starts[i + 1]] for i, key in enumerate(keys)}
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in store.read_table("scenarios.parquet").to_pylist():
        groups[row["benchmark"]].append(row)
    return {
        benchmark: Candidates(
            tuple(rows),
            np.stack([scores[tuple(row[name] for name in SCORE_KEY)] for row in rows], axis=1),
        )
        for benchmark, rows in groups.items()
    }
