"""The columns of tables that compare configurations or engines: findings, controls, decisions and others.

Units, and how columns are described, are those of `schemas`.
"""

import pyarrow as pa

_string, _int, _float = pa.string(), pa.int64(), pa.float64()

# One row for each finding of the study, benchmark and batch size: see raysweep/analysis/verdicts.py.
FINDINGS = pa.schema(
    {
        "benchmark": _string,
        "batch_size": _int,
        "finding": _string,  # scale, bits, votes, cache, eviction or latency
        "statement": _string,  # what the finding says, of any family of models
        "verdict": _string,  # holds, does not hold, not decided or not asked
        "effect_of": _string,  # what the effect is of; null if there is none
        "unit": _string,  # of the effect: accuracy (a difference) or bytes (an effective size); null if none
        "effect": _float,  # at equal memory, chosen on one half of the questions and judged on the other
        "effect_lo": _float,  # lower end of its 95% interval, simultaneous with the second effect's
        # except for `scale`
        "effect_hi": _float,  # upper end of the 95% interval
        "p_value": _float,  # adjusted likewise, two-sided; of `scale` the threshold's
        "second_of": _string,  # another effect that the verdict needs; null if it needs none
        "second": _float,
        "second_lo": _float,
        "second_hi": _float,
        "comparisons": _int,  # at equal memory, of all sizes and memories; 0 for `scale`
        "reason": _string,  # why it is not asked, or what to know beside the verdict; "" if there is nothing
    }
)

# One row for each control, benchmark, token budget and group size. Only questions with samples of both count.
CONTROLS = pa.schema(
    {
        "engine_id": _string,  # an engine whose results count
        "backend": _string,
        "control_id": _string,  # the same engine on another backend
        "control_backend": _string,
        "model": _string,
        "weight_method": _string,
        "weight_bits": _int,
        "weight_group_size": _int,
        "weight_symmetric": pa.bool_(),
        "weight_act_order": pa.bool_(),
        "benchmark": _string,
        "token_budget": _int,
        "group_size": _int,
        "n_questions": _int,  # number of questions with samples of both
        "complete": pa.bool_(),  # whether every question has all requested samples of both
        "accuracy": _float,  # of the engine
        "control_accuracy": _float,  # of the control
        "difference": _float,  # accuracy - control_accuracy
        "difference_lo": _float,  # lower end of its 95% interval, paired by question
        "difference_hi": _float,  # upper end of the 95% interval
    }
)

# How long engines think: one row for each engine and benchmark, beside its reference, which has a row too.
# There are no rows where an extension fills every budget (`wait`).
INFLATION = pa.schema(
    {
        "benchmark": _string,
        "engine_id": _string,
        "reference_id": _string,  # the engine of the same model with the most bits and the full KV cache
        "model": _string,
        "weight_method": _string,
        "weight_bits": _int,
        "weight_group_size": _int,
        "weight_symmetric": pa.bool_(),
        "weight_act_order": pa.bool_(),
        "kv_policy": _string,
        "token_budget": _int,  # the largest of the sweep, up to which thinking is counted
        "n_questions": _int,  # number of questions with samples of both
        "complete": pa.bool_(),  # whether every question has all requested samples of both
        "mean_tokens": _float,  # thinking tokens per sample, averaged over these questions
        "reference_mean_tokens": _float,  # the same of the reference
        "ratio": _float,  # mean_tokens / reference_mean_tokens, paired by question; null without tokens
        "ratio_lo": _float,  # lower end of its 95% interval over questions; null below two questions
        "ratio_hi": _float,  # upper end of the 95% interval
        "closed": _float,  # share of traces that closed their thinking by themselves
        "ended": _float,  # share of traces whose text ended during thinking, which leaves no answer
        "looped": _float,  # share of traces in endless repetition, whose length is a lower bound
        "cut": _float,  # share of traces cut at the largest budget, whose length is a lower bound
        "given_up": _float,  # share of traces given up as too slow
        "reference_looped": _float,  # looped of the reference
        "reference_cut": _float,  # cut of the reference
    }
)

# How far the luck of two engines agrees, since samples of equal number share their randomness: one row for
# each benchmark and pair of engines that differ in one choice alone. The more, the surer their difference.
CORRELATIONS = pa.schema(
    {
        "benchmark": _string,
        "engine_id": _string,
        "other_id": _string,
        "differ_in": _string,  # kv_policy, precision or model; in the two others they agree
        "token_budget": _int,  # the largest at which both have the same samples
        "n_pairs": _int,  # number of these samples, all questions together
        "correlation": _float,  # of right and wrong at the same question and sample, beyond the question's
        # mean; null where one of the two always does the same
    }
)

# What an adaptive run stops: one row for each configuration that is out at a batch size, in a table for each
# look at a benchmark. Its JSON file beside it says by which rules.
DECISIONS = pa.schema(
    {
        "benchmark": _string,
        "samples_per_question": _int,  # number of samples of each question on which the decision rests
        "batch_size": _int,  # number of questions that share the weights' memory
        "engine_id": _string,
        "token_budget": _int,
        "group_size": _int,
        "by_engine_id": _string,  # the configuration that takes its place: it takes no more memory, or it is
        # better within the memory asked for
        "by_token_budget": _int,
        "by_group_size": _int,
        "margin": _float,  # the most accuracy by which the one that is out may be better, below epsilon
    }
)
