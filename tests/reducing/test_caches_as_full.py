"""A policy that never had a token to pack or evict is named, with the token budgets where this holds."""

from pathlib import Path

import pytest
from support.hand_made_runs import LONG, PROMPT, SHORT, SUMS, generate, polls, reduce_run, sweep_of

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.kv_dtype import KVDtype
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.streaming_llm import StreamingLLM
from raysweep.kv_policy import Held, KVPolicy, differs_from
from raysweep.planning.estimate import estimates
from raysweep.planning.plan import make_plan
from raysweep.reporting.plan_text import plan_lines
from raysweep.reporting.quality import notes
from raysweep.storage.store import Store

POLICIES = (
    StreamingLLM(4, 60),
    RKV(64, buffer=32),
    H2O(64, 32),
    Quantized(4),
    Quantized(2, group_size=32, residual=32, sinks=4),
    Quantized(4, axis=1, evict=RKV(256)),
    KVDtype("fp8"),
)
# Of the longest sequence at the short and the long budget: its closing is `</think>=`.
LONGEST = [PROMPT + budget + len("</think>=") + SUMS.answer_tokens for budget in (SHORT, LONG)]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)
def test_the_length_from_which_a_policy_differs_is_the_first_that_it_does_not_hold_as_it_is(policy):
    lengths = [tokens for tokens in range(1, 400) if policy.held(tokens) != Held(tokens)]
    assert differs_from(policy) == lengths[0]
    assert len(lengths) == 400 - lengths[0]  # and from there on it differs always


def test_the_full_cache_differs_from_itself_at_no_length():
    assert differs_from(Full()) is None


def noted(policy: KVPolicy, folder: Path) -> tuple[list, list[str]]:
    """What the summary and the report's notes say of a run of the full cache and a policy."""
    config, store = sweep_of(kv_policies=(Full(), policy)), Store(str(folder))
    generate(config, store, polls({"sums-0": ("right",) * 4, "sums-1": ("12",) * 4}))
    summary = reduce_run(config, store).summary
    return summary["caches_as_full"], [note for note in notes(summary) if "packs" in note]


@pytest.mark.parametrize(
    ("tokens", "budgets", "words"),
    [
        (LONGEST[1], [SHORT, LONG], "at the token budgets 10, 20 no sequence is so long"),
        (LONGEST[1] - 1, [SHORT], "at the token budget 10 no sequence is so long"),
        (LONGEST[0], [SHORT], "at the token budget 10 no sequence is so long"),
    ],
)
def test_a_window_as_long_as_the_longest_sequence_evicts_nothing(tokens, budgets, words, tmp_path):
    policy = StreamingLLM(4, tokens - 4)
    found, (note,) = noted(policy, tmp_path)
    first = tokens + 1
    assert found == [{"kv_policy": policy.slug, "differs_from": first, "token_budgets": budgets}]
    assert note.startswith(f"{policy.slug} packs or evicts from {first} tokens on")
    assert words in note


def test_a_window_that_every_sequence_outgrows_is_not_noted(tmp_path):
    assert noted(StreamingLLM(4, LONGEST[0] - 5), tmp_path) == ([], [])


def test_the_plan_says_after_which_prompts_a_policys_rows_equal_full():
    policy = StreamingLLM(4, 60)
    config = sweep_of(kv_policies=(Full(), policy, StreamingLLM(4, 18)))
    plan = make_plan(config, [])
    lines = plan_lines(config, plan, estimates(config, plan), ())
    assert [line.text for line in lines if line.label == "note"] == [
        "streaming_llm-64 packs or evicts from 65 tokens on, and thinking and answer take at most 33: after "
        "prompts of up to 31 tokens its rows equal full"
    ]
