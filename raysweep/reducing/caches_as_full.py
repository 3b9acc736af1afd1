"""Which KV policies had nothing to evict or pack, so that their cache was that of `full`. Pure: no I/O."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from raysweep.kv_policy import differs_from
from raysweep.reducing.partitions import Reduced
from raysweep.run_config import Sweep


def caches_as_full(reduced: Sequence[Reduced], sweep: Sweep) -> list[dict[str, Any]]:
    """For summary.json: the policies that kept every token as it was at some token budget.

    kv_policy      its slug
    differs_from   tokens of a sequence from which on its cache differs from that of `full`
    token_budgets  those at which no sequence of the run can have been so long
    """
    by_policy: dict[str, list[Reduced]] = defaultdict(list)
    for one in reduced:
        if one.samples:
            by_policy[one.engine.kv_policy.slug].append(one)
    found = []
    for slug, theirs in by_policy.items():
        first = differs_from(theirs[0].engine.kv_policy)
        around = max(_tokens_besides_thinking(one, sweep) for one in theirs)
        budgets = [b for b in sweep.token_budgets if first is not None and around + b < first]
        if budgets:
            found.append({"kv_policy": slug, "differs_from": first, "token_budgets": budgets})
    return found


def _tokens_besides_thinking(one: Reduced, sweep: Sweep) -> int:
    """The most tokens of prompt, forced closing and answer; a byte of the closing is one token at most."""
    benchmark = next(known for known in sweep.benchmarks if known.name == one.benchmark)
    closing = sweep.forcing.forced_closing(one.engine.model.family, benchmark)
    return one.longest_prompt_tokens + len(closing.encode()) + benchmark.answer_tokens
