"""A few scenarios made by hand, as `Candidates`: who is best for a memory is known."""

from typing import Any

import numpy as np

from raysweep.analysis.candidates import Candidates

QUESTIONS = 40


def rival(weights_bytes: int, kv_bytes: int, accuracy: float, **changes: Any) -> dict[str, Any]:
    """A row of scenarios.parquet as far as it is read; `accuracy` is that of every question's score."""
    row = {
        "engine_id": f"toy-{weights_bytes}.bf16.full",
        "model": f"toy-{weights_bytes}",
        "weight_method": "bf16",
        "weight_bits": 16,
        "kv_policy": "full",
        "kv_kind": "full",
        "benchmark": "sums",
        "token_budget": 100,
        "group_size": 1,
        "prompt_tokens": 10,
        "weights_bytes": weights_bytes,
        "kv_bytes": kv_bytes,
        "kv_peak_bytes": kv_bytes,
        "accuracy": accuracy,
        "accuracy_lo": 0.0,
        "accuracy_hi": 1.0,
    }
    return {**row, **changes}


def contest(*rows: dict[str, Any], noise: float = 0.0, seed: int = 0) -> Candidates:
    """The rows with scores of QUESTIONS questions around their accuracies; without noise, equal to them."""
    rng = np.random.default_rng(seed)
    spread = rng.normal(0, noise, (QUESTIONS, len(rows))) if noise else 0.0
    means = np.array([row["accuracy"] for row in rows])
    return Candidates(rows, np.clip(np.tile(means, (QUESTIONS, 1)) + spread, 0, 1))
