"""The types of summary.json's entries, as far as a stage reads them."""

from typing import Any, Literal, TypedDict


class Quarantined(TypedDict):
    engine_id: str
    benchmark: str
    question_id: str


class CachesAsFull(TypedDict):
    kv_policy: str
    differs_from: int
    token_budgets: list[int]


class Decided(TypedDict):
    decided: Literal[True]
    reason: str
    weights_bytes: float
    weights_bytes_lo: float
    weights_bytes_hi: float
    p_value: float | None


class Undecided(TypedDict):
    decided: Literal[False]
    reason: str
    p_value: float | None


class SmoothDecided(Decided):
    fit_p_value: float | None


class SmoothUndecided(Undecided):
    fit_p_value: float | None


class _OfBenchmark(TypedDict):
    benchmark: str
    batch_size: int
    agreement_p_value: float | None
    smooth: SmoothDecided | SmoothUndecided | None


class DecidedThreshold(Decided, _OfBenchmark):
    pass


class UndecidedThreshold(Undecided, _OfBenchmark):
    pass


class Ended(TypedDict):
    closed: float
    ended: float
    looped: float
    cut: float
    given_up: float
    reference_closed: float
    reference_ended: float
    reference_looped: float
    reference_cut: float
    reference_given_up: float


class Inflation(Ended):
    benchmark: str
    axis: str
    value: str
    reference: str
    models: int
    token_budget: int
    n_questions: int
    ratio: float | None
    ratio_lo: float | None
    ratio_hi: float | None
    differs: bool
    compared: int


class Cost(TypedDict):
    tokens: int
    gpu_hours: float | None
    usd: float


class Decision(TypedDict):
    samples: int
    critical_value: float
    comparisons: int
    stopped: int
    left: int
    engines: int


class StoppedEngine(TypedDict):
    engine_id: str
    samples: int
    out: tuple[str, int, int] | None
    by: tuple[str, int, int] | None
    margin: float | None


class Course(TypedDict):
    benchmark: str
    samples: int
    engines: int
    configurations: int
    decisions: list[Decision]
    done: bool
    never_judged: int
    stopped_engines: int
    largest: list[StoppedEngine]


class Adaptive(TypedDict):
    epsilon: float
    delta: float
    memory_bytes: float | None
    batch_size: int
    samples: int
    done: bool
    benchmarks: list[Course]
    made: Cost
    full_run: Cost
    guarantee: str | None
    never_judged: str


class Summary(TypedDict, total=False):
    wall_s: float
    gpu_hours: float
    faults_survived: int
    faults_by_kind: dict[str, int]
    warnings: list[str]
    loads: list[Any]
    quarantined_questions: int
    quarantined: list[Quarantined]
    engines: int
    shards: int
    shards_missing: int
    samples: int
    samples_missing: int
    incomplete: dict[str, int]
    parts_set_aside: list[str]
    scenarios: int
    scenarios_skipped: int
    scenarios_stopped: int
    tokens_generated: int
    tokens_one_run_per_scenario: float
    outcomes: dict[str, int]
    finishes: dict[str, int]
    prefix_cache: dict[str, Any]
    samples_that_a_batch_may_change: int
    caches_as_full: list[CachesAsFull]
    reduction: str
    thresholds: list[DecidedThreshold | UndecidedThreshold]
    inflation: list[Inflation]
    thinking_fills_budgets: bool
    versions: dict[str, str] | None
    graders: dict[str, str]
    adaptive: Adaptive | None
