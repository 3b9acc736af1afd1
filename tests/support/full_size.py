"""The tables of a run of the size of `+sweep=full`, from a formula: 180 engines, 20,160 scenarios.

Models, precisions, KV policies, budgets and groups are those of the sweep, with the bytes that the memory
model gives them. Accuracy grows with size, bits, tokens and votes. Questions scatter around it.
"""

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pandas as pd
from support.result_tables import SUMMARY, records, typed

from raysweep import catalogue, memory
from raysweep.analysis.candidates import Candidates
from raysweep.analysis.uncertainty import bootstrap_weights, score_interval
from raysweep.reducing.frontier_tables import frontier_tables
from raysweep.reporting.results import Results, where
from raysweep.storage.schemas import SCENARIOS

MODELS = tuple(f"qwen3-{size}" for size in ("0.6b", "1.7b", "4b", "8b", "14b", "32b"))
WEIGHTS = ("bf16", "gptq-8", "gptq-4")
POLICIES = (
    "full",
    *(f"{method}-{kept}" for method in ("r_kv", "streaming_llm") for kept in (2048, 4096, 8192)),
    *(f"quantized-{bits}" for bits in (8, 4, 2)),
)
BENCHMARKS = {"aime25": 30, "gpqa-diamond": 198}  # with their numbers of questions
TOKEN_BUDGETS = tuple(range(2000, 30_001, 4000))
GROUP_SIZES = (1, 3, 4, 6, 8, 12, 16)
BATCH_SIZES = (1, 16)
PROMPT_TOKENS, SAMPLES = 200, 16


def results(questions: int | None = None) -> Results:
    """All that `reduce` writes, less findings, thresholds and lengths.

    questions  per benchmark, if not as many as it has; the time that this takes grows with them
    """
    rows, scores = [], {}
    for seed, (benchmark, count) in enumerate(BENCHMARKS.items()):
        own = pd.DataFrame(_scenarios(benchmark, questions or count))
        scores[benchmark] = _scores(own.pop("logit").to_numpy(), questions or count, seed)
        found = score_interval(scores[benchmark])
        own["accuracy"], own["accuracy_lo"], own["accuracy_hi"] = found.mean, found.low, found.high
        own["pass_at_1"] = own["pass_at_g"] = own["accuracy"]
        own["estimate"] = Candidates.of_rows(records(own), scores[benchmark]).estimate
        rows.append(own)
    table = typed(pd.concat(rows, ignore_index=True), SCENARIOS)
    candidates = {
        name: Candidates.of_rows(
            records(where(table, benchmark=name)),
            own,
            where(table, benchmark=name).estimate.to_numpy(),
        )
        for name, own in scores.items()
    }
    weights = {name: bootstrap_weights(len(own), 2, 1) for name, own in scores.items()}
    points, _ = frontier_tables(candidates, BATCH_SIZES, weights)
    return Results(
        table, points.to_pandas(), {**SUMMARY, "run": "full", "thresholds": []}, candidates
    )


# Definitions, each of which is read from a file once.
model_of = lru_cache(None)(catalogue.model)
weights_of = lru_cache(None)(catalogue.weights)
policy_of = lru_cache(None)(catalogue.kv_policy)


def _scenarios(benchmark: str, questions: int) -> Iterator[dict]:
    for name, precision, policy_name in itertools.product(MODELS, WEIGHTS, POLICIES):
        model, weights = model_of(name), weights_of(precision)
        policy, weights_bytes = (
            policy_of(policy_name),
            memory.weights_bytes(model, weights),
        )
        for budget in TOKEN_BUDGETS:
            tokens = budget + PROMPT_TOKENS
            one = memory.kv_bytes(model.architecture, policy, tokens)
            peak = memory.kv_peak_bytes(model.architecture, policy, tokens)
            kept = policy.held(tokens).tokens / tokens if policy_name != "full" else 1.0
            logit = 0.9 * math.log2(model.params / 3e9) + 0.6 * math.log2(budget / 14_000)
            logit -= {16: 0.0, 8: 0.05, 4: 0.5}[weights.bits] + 0.9 * (1 - min(1.0, kept))
            logit -= {"quantized-2": 2.5, "quantized-4": 0.2}.get(policy_name, 0.0)
            for group in GROUP_SIZES:
                yield {
                    "engine_id": f"{name}.{weights.slug}.{policy_name}",
                    "family": "qwen3",
                    "model": name,
                    "params": model.params,
                    "weight_method": weights.method,
                    "weight_bits": weights.bits,
                    "weight_group_size": weights.group_size,
                    "weight_symmetric": True,
                    "weight_act_order": False,
                    "kv_policy": policy_name,
                    "kv_params": "{}",
                    "kv_kind": _kind(policy_name),
                    "benchmark": benchmark,
                    "token_budget": budget,
                    "group_size": group,
                    "n_questions": questions,
                    "n_samples": SAMPLES,
                    "complete": True,
                    "stopped_at": None,
                    "logit": logit + 0.3 * math.log2(group),
                    "accuracy_se": 0.05,
                    "run_sd": 0.02,
                    "unanswered": 0.01,
                    "cut_off": 0.02,
                    "errors": 0.0,
                    "mean_trace_tokens": 0.8 * budget,
                    "prompt_tokens": PROMPT_TOKENS,
                    "weights_bytes": weights_bytes,
                    "kv_bytes": group * one,
                    "kv_peak_bytes": group * peak,
                    "total_bytes": weights_bytes + group * one,
                    "on_frontier": False,
                }


def _kind(policy: str) -> str:
    return {"full": "full", "quantized": "quantized"}.get(policy.split("-")[0], "evicting")


def _scores(logit: np.ndarray, questions: int, seed: int) -> np.ndarray:
    """Shares of 16 samples: [questions, scenarios]. All scenarios have the same questions."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 1.8, (questions, 1))
    chance = 1 / (1 + np.exp(hard - logit + rng.normal(0, 0.4, (questions, len(logit)))))
    return rng.binomial(SAMPLES, chance) / SAMPLES
