"""Result tables from a formula, shaped like a real run's: for tests of what reads them.

Five models of 50k to 755k parameters, three KV policies, two benchmarks, budgets 16 to 256 and
groups of 1 to 16. Accuracy saturates with tokens, grows with size and votes, and suffers from eviction.
"""

import itertools
import math

import numpy as np
import pandas as pd
import pyarrow as pa

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.uncertainty import bootstrap_weights, score_interval
from raysweep.reducing.frontier_tables import frontier_tables
from raysweep.reporting.results import Results, where
from raysweep.storage.schemas import FRONTIER, SCENARIOS, THRESHOLDS

KV_BYTES_PER_TOKEN = {50_000: 512, 104_000: 768, 208_000: 1024, 394_000: 1536, 755_000: 2560}
KEPT_TOKENS = {"full": 10**9, "streaming_llm-64": 64, "streaming_llm-128": 128}
BENCHMARKS = ("chain", "facts")
TOKEN_BUDGETS = (16, 32, 64, 128, 256)
GROUP_SIZES = (1, 2, 4, 8, 16)
BATCH_SIZES = (1, 8, 64)
PROMPT_TOKENS = 24
QUESTIONS = 200

SUMMARY = {
    "run": "synthetic",
    "scenarios": 750,
    "engines": 15,
    "shards": 300,
    "shards_missing": 0,
    "samples": 96_000,
    "tokens_generated": 19_200_000,
    "tokens_one_run_per_scenario": 288_000_000,
    "wall_s": 5025.5,
    "gpu_hours": 0.0,
    "faults_survived": 3,
    "outcomes": {"correct": 250_000, "wrong": 180_000, "unanswered": 30_000, "cut_off": 19_988}
    | {"error": 12},
    "seed": 17,
    "versions": {"raysweep": "0.1.0", "ray": "2.50.0", "torch": "2.8.0"},
    "git_revision": "0123abcd",
    "thresholds": [
        {
            "benchmark": "chain",
            "batch_size": 1,
            "decided": True,
            "reason": "more weights win below it, more tokens win above it",
            "weights_bytes": 416_000.0,
            "weights_bytes_lo": 208_000.0,
            "weights_bytes_hi": 788_000.0,
            "p_value": 0.01,
        },
        {
            "benchmark": "facts",
            "batch_size": 1,
            "decided": False,
            "reason": "the difference between more weights and more tokens is not significant",
            "weights_bytes": None,
            "weights_bytes_lo": None,
            "weights_bytes_hi": None,
            "p_value": 0.4,
        },
    ],
}


def scenarios() -> pd.DataFrame:
    """A row per scenario, in the columns and types of SCENARIOS."""
    grid = itertools.product(
        KV_BYTES_PER_TOKEN, KEPT_TOKENS, BENCHMARKS, TOKEN_BUDGETS, GROUP_SIZES
    )
    rows = pd.DataFrame([_scenario(*axes) for axes in grid])
    best = frontier_of(rows, batch_size=1)
    keys = ["benchmark", "engine_id", "token_budget", "group_size"]
    on_frontier = set(best[keys].itertuples(index=False, name=None))
    rows["on_frontier"] = [
        key in on_frontier for key in rows[keys].itertuples(index=False, name=None)
    ]
    return typed(rows, SCENARIOS)


def results(**changes: str) -> Results:
    """All that `reduce` writes. `changes` give a column the same value in every row.

    Questions scatter around the formula's accuracies, so that configurations next to each other are hard
    to distinguish, and some are equal in memory and accuracy.
    """
    rows = scenarios()
    if "benchmark" in changes:  # only one benchmark can have the name
        rows = where(rows, benchmark=BENCHMARKS[0]).reset_index(drop=True)
    scores = {
        str(name): scores_around(where(rows, benchmark=name).accuracy, seed)
        for seed, name in enumerate(rows.benchmark.unique())
    }
    for name, own in scores.items():
        found = score_interval(own)
        bounds = np.stack([found.mean, found.low, found.high], axis=1)
        rows.loc[rows.benchmark == name, ["accuracy", "accuracy_lo", "accuracy_hi"]] = bounds
        own_rows = records(where(rows, benchmark=name))
        rows.loc[rows.benchmark == name, "estimate"] = Candidates.of_rows(own_rows, own).estimate
    rows = rows.assign(**changes)
    candidates = {}
    for name, own in scores.items():
        named = changes.get("benchmark", name)
        own_rows = records(where(rows, benchmark=named))
        candidates[named] = Candidates.of_rows(own_rows, own)
    weights = {name: bootstrap_weights(40, 50, 1) for name in candidates}
    points, _ = frontier_tables(candidates, BATCH_SIZES, weights)
    return Results(rows, points.to_pandas().assign(**changes), SUMMARY, candidates, thresholds())


def records(rows: pd.DataFrame) -> list[dict]:
    """The rows as Parquet gives them: what is missing is None, where pandas has NaN."""
    return pa.Table.from_pandas(rows, preserve_index=False).to_pylist()


def scores_around(accuracy: pd.Series, seed: int) -> np.ndarray:
    """Scores of 40 questions, in sixteenths, whose means are near the accuracies."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 0.15, (40, 1))
    noise = rng.normal(0, 0.1, (40, len(accuracy)))
    return np.round(np.clip(accuracy.to_numpy() + difficulty + noise, 0, 1) * 16) / 16


def thresholds() -> pd.DataFrame:
    sizes = sorted(2 * params for params in KV_BYTES_PER_TOKEN)
    found = [
        {
            "benchmark": benchmark,
            "batch_size": batch_size,
            "weights_bytes": size,
            "contests": 4,
            "advantage": 0.2 - 0.1 * i,
            "advantage_lo": 0.15 - 0.1 * i,
            "advantage_hi": 0.25 - 0.1 * i,
        }
        for benchmark, batch_size in itertools.product(BENCHMARKS, BATCH_SIZES)
        for i, size in enumerate(sizes)
    ]
    return typed(pd.DataFrame(found), THRESHOLDS)


def frontier(rows: pd.DataFrame) -> pd.DataFrame:
    """The frontiers of all benchmarks and batch sizes, in the columns of FRONTIER."""
    points = [frontier_of(rows, batch_size) for batch_size in BATCH_SIZES]
    return typed(pd.concat(points, ignore_index=True), FRONTIER)


def frontier_of(rows: pd.DataFrame, batch_size: int) -> pd.DataFrame:
    memory = rows.weights_bytes / batch_size + rows.kv_bytes
    rows = rows.assign(memory_bytes=memory, batch_size=batch_size)
    rows = rows.sort_values(["memory_bytes", "accuracy"], ascending=[True, False])
    best_before = rows.groupby("benchmark").accuracy.transform(
        lambda a: a.cummax().shift(fill_value=0)
    )
    best = rows[rows.accuracy > best_before]
    lead = (best.accuracy - best_before[best.index]).clip(upper=0.1)
    # Nothing is lost on new questions but a hundredth.
    expected = {f"expected{bound}": best[f"accuracy{bound}"] - 0.01 for bound in ("", "_lo", "_hi")}
    return best.assign(p_on_frontier=0.3 + 6.5 * lead, **expected)


def typed(rows: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """Through Arrow, so that a column that is missing or of another type fails here."""
    return pa.Table.from_pandas(rows, schema=schema, preserve_index=False).to_pandas()


def _scenario(params: int, policy: str, benchmark: str, budget: int, group: int) -> dict:
    skill = math.log2(params / 25_000) / 5
    evicted = max(0.0, 1 - KEPT_TOKENS[policy] / (PROMPT_TOKENS + budget))
    tau = {"chain": 90, "facts": 25}[benchmark]
    ceiling = {"chain": 0.97, "facts": 0.75}[benchmark] * skill**0.6
    single = ceiling * (1 - math.exp(-budget / tau)) * (1 - 0.5 * evicted)
    voted = single + (1 - single) * single * 0.35 * (1 - 1 / group)
    spread = 1.96 * math.sqrt(voted * (1 - voted) / QUESTIONS)
    kept = min(PROMPT_TOKENS + budget, KEPT_TOKENS[policy])
    kv_bytes = group * kept * KV_BYTES_PER_TOKEN[params]
    model = f"tiny-{params // 1000}k"
    return {
        "engine_id": f"{model}.bf16.{policy}",
        "family": "tiny",
        "model": model,
        "params": params,
        "weight_method": "bf16",
        "weight_bits": 16,
        "weight_group_size": 0,
        "weight_symmetric": True,
        "weight_act_order": False,
        "kv_policy": policy,
        "kv_params": "{}",
        "kv_kind": "full" if policy == "full" else "evicting",
        "benchmark": benchmark,
        "token_budget": budget,
        "group_size": group,
        "n_questions": QUESTIONS,
        "n_samples": 16,
        "complete": not (params == 755_000 and policy == "full" and benchmark == "facts"),
        "stopped_at": None,
        "accuracy": voted,
        "accuracy_lo": max(0.0, voted - spread),
        "accuracy_hi": min(1.0, voted + spread),
        "accuracy_se": spread / 1.96,
        "estimate": voted,
        "run_sd": math.sqrt(voted * (1 - voted) / QUESTIONS / 2),
        "pass_at_1": single,
        "pass_at_g": 1 - (1 - single) ** (1 + math.log2(group)),
        "unanswered": 0.25 * math.exp(-budget / 60),
        "cut_off": 0.1 * math.exp(-budget / 40),
        "errors": 0.0,
        "mean_trace_tokens": budget * (1 - 0.2 * skill),
        "prompt_tokens": PROMPT_TOKENS,
        "weights_bytes": 2 * params,
        "kv_bytes": kv_bytes,
        "kv_peak_bytes": kv_bytes,
        "total_bytes": 2 * params + kv_bytes,
    }
