"""A few scenarios made by hand, as `Candidates`: who is best for a memory is known."""

from typing import Any

import numpy as np

from raysweep.analysis.candidates import Candidate, Candidates

QUESTIONS = 40


def rival(weights_bytes: int, kv_bytes: int, accuracy: float, **changes: Any) -> Candidate:
    """A candidate of a small model; `accuracy` is that of every question's score.

    changes  other values of its columns in scenarios.parquet
    """
    row = {
        "engine_id": f"toy-{weights_bytes}.bf16.full",
        "model": f"toy-{weights_bytes}",
        "weight_method": "bf16",
        "weight_bits": 16,
        "weight_group_size": 0,
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
        "complete": True,
    }
    return Candidate.of_row({**row, **changes})


def contest(*rivals: Candidate, noise: float = 0.0, seed: int = 0) -> Candidates:
    """The rivals with scores on QUESTIONS questions around their accuracies, equal to them without noise."""
    rng = np.random.default_rng(seed)
    spread = rng.normal(0, noise, (QUESTIONS, len(rivals))) if noise else 0.0
    means = np.array([one.accuracy for one in rivals])
    return Candidates(rivals, np.clip(np.tile(means, (QUESTIONS, 1)) + spread, 0, 1))
