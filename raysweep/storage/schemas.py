"""Schemas of a run's Parquet files: the data contract that users' own tools may rely on.

A change that removes or redefines a column raises SCHEMA_VERSION, which every file carries in its
metadata. Bytes are bytes, tokens are tokens, `wall_s` is seconds.
"""

import pyarrow as pa

SCHEMA_VERSION = 1

_string, _int, _float = pa.string(), pa.int64(), pa.float64()

ENGINES = pa.schema(
    {
        "engine_id": _string,  # model.precision.kv_policy, unique within a run
        "engine_hash": _string,  # of all that determines its samples
        "family": _string,
        "model": _string,
        "params": _int,  # of the model, a tied head counted once
        "weight_method": _string,  # bf16, gptq, awq, fp8
        "weight_bits": _int,
        "weight_group_size": _int,  # input features that share a scale; -1 all, 0 no scales
        "weight_symmetric": pa.bool_(),  # the zero point lies in the middle
        "weight_act_order": pa.bool_(),  # groups follow the activations' order, not the features'
        "kv_policy": _string,  # its slug: `r_kv-4096`
        "kv_params": _string,  # JSON
        "kv_kind": _string,  # full, evicting, quantized, evicting_quantized
        "backend": _string,
        "weights_bytes": _int,  # the "effective size"
        "kv_bytes_per_token": _int,  # of one token in 16 bit, over all layers
        "gpus": _float,  # of an actor, or its share of one; null where it fits on none of the cluster's
        "est_tokens": _int,  # to be decoded for the whole run, at most
        "est_gpu_hours": _float,  # expected; null where no kind of GPU is named
    }
)

PLAN = pa.schema(
    {
        "shard_id": _string,
        "engine_id": _string,
        "benchmark": _string,
        "question_ids": pa.list_(_string),
        "sample_start": _int,  # index of the first sample of each question
        "sample_count": _int,
        "est_tokens": _int,  # at most
        "gpus": _float,
    }
)

ANSWER = pa.struct(
    {
        "token_budget": _int,
        "thinking_tokens": _int,  # that came before it: fewer than the budget if thinking ended by itself
        "forced": pa.bool_(),  # thinking was closed by force at the budget
        "text": _string,  # all after the thinking's close, from which the rest is graded
        "ended": pa.bool_(),  # the text ended by itself, not at its limit
        "given_up": pa.bool_(),  # its generation took too long, so its outcome is error
        "answer": _string,  # extracted, in its canonical form; null where there is none
        "outcome": _string,  # correct, wrong, unanswered, cut_off, error
        "answer_tokens": _int,  # decoded for it
        "kv_bytes": _int,  # live bytes of prompt and thinking at this budget
    }
)

SAMPLES = pa.schema(
    {
        "engine_id": _string,
        "benchmark": _string,
        "question_id": _string,
        "sample_index": _int,
        "seed": _int,  # of its randomness: a function of seed, question and sample index
        "prompt_tokens": _int,  # chat template and opened thinking included
        "trace_tokens": _int,  # thinking, and the answer that the trace gave by itself
        "finish": _string,  # stop: thinking ended by itself; budget: closed at the largest one;
        # loop: closed in endless repetition; end: the text ended in mid-thinking, without an answer;
        # deadline: given up as too slow
        "waits": _int,  # how often an early end of thinking was answered with an extension
        "token_ids": pa.list_(pa.int32()),  # of the trace; forced closings are left out
        "answers": pa.list_(ANSWER),  # one for each token budget, smallest first
        "reused_tokens": _int,  # thinking that the answers' forks found in the KV cache
        "recomputed_tokens": _int,  # thinking that was computed again for them
        "reproducible": _string,  # batch_invariant: the same whatever runs beside it; seeded: drawn
        # with its own seed from logits that another batch may round otherwise
        "wall_s": _float,  # from its first to its last token, beside the rest of its batch
    }
)

SCENARIOS = pa.schema(
    {
        "engine_id": _string,
        "family": _string,
        "model": _string,
        "params": _int,
        "weight_method": _string,
        "weight_bits": _int,
        "weight_group_size": _int,
        "weight_symmetric": pa.bool_(),
        "weight_act_order": pa.bool_(),
        "kv_policy": _string,
        "kv_params": _string,
        "kv_kind": _string,
        "benchmark": _string,
        "token_budget": _int,  # thinking tokens at most
        "group_size": _int,  # samples that vote together
        "n_questions": _int,
        "n_samples": _int,  # the fewest samples that any of the questions has
        "complete": pa.bool_(),  # every question has all the samples asked for
        "accuracy": _float,  # of the majority vote, exactly over all subsets of the samples
        "accuracy_lo": _float,  # 95% interval over questions
        "accuracy_hi": _float,
        "accuracy_se": _float,  # standard error, clustered by question; null for a single question
        "run_sd": _float,  # standard deviation of one run's accuracy, the questions being the same
        "pass_at_1": _float,  # share of right answers
        "pass_at_g": _float,  # probability that one of the group is right
        "unanswered": _float,  # shares of all answers at this budget
        "cut_off": _float,
        "errors": _float,
        "mean_trace_tokens": _float,  # thinking tokens spent at this budget, mean over samples
        "prompt_tokens": _int,  # of the longest prompt, which memory is reckoned with
        "weights_bytes": _int,
        "kv_bytes": _int,  # of the whole group, at the budget
        "kv_peak_bytes": _int,  # the same with the policy's buffers at their fullest on the way there
        "total_bytes": _int,  # weights_bytes + kv_bytes
        "on_frontier": pa.bool_(),  # of its benchmark, at batch size 1
    }
)

FRONTIER = pa.schema(
    {
        "benchmark": _string,
        "batch_size": _int,
        "engine_id": _string,
        "model": _string,
        "weight_method": _string,
        "weight_bits": _int,
        "weight_group_size": _int,
        "weight_symmetric": pa.bool_(),
        "weight_act_order": pa.bool_(),
        "kv_policy": _string,
        "token_budget": _int,
        "group_size": _int,
        "memory_bytes": _float,  # weights_bytes / batch_size + kv_bytes
        "accuracy": _float,
        "accuracy_lo": _float,  # 95% interval over questions
        "accuracy_hi": _float,
        "complete": pa.bool_(),  # every question has all the samples asked for
        "p_on_frontier": _float,  # share of bootstrap draws of the questions with it on the frontier
    }
)

# The frontiers among some of the scenarios: `axis` is one of model, precision, kv_policy and votes (the
# last with the values serial, G = 1, and parallel, G > 1), `value` is what they share.
FRONTIERS = pa.schema([pa.field("axis", _string), pa.field("value", _string), *FRONTIER])

# One row a scenario: the accuracy of each question, in the order of QUESTIONS, null where it has none.
SCORES = pa.schema(
    {
        "engine_id": _string,
        "benchmark": _string,
        "token_budget": _int,
        "group_size": _int,
        "scores": pa.list_(_float),
    }
)

QUESTIONS = pa.schema({"benchmark": _string, "question_id": _string})

# One row for each effective size of a benchmark and batch size: see raysweep/analysis/threshold.py.
THRESHOLDS = pa.schema(
    {
        "benchmark": _string,
        "batch_size": _int,
        "weights_bytes": _int,  # the effective size
        "contests": _int,  # memories at which the best configuration has this size
        "advantage": _float,  # accuracy of doubling the memory for weights rather than for tokens
        "advantage_lo": _float,  # 95% interval, by the bootstrap over questions
        "advantage_hi": _float,
    }
)
