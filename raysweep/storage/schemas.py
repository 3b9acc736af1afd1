"""Schemas of a run's Parquet files: the data contract that users' own tools may rely on.

A change that removes or redefines a column raises SCHEMA_VERSION, which every file carries in its
metadata. Columns named `..._bytes` are in bytes, `..._tokens` in tokens, and `wall_s` in seconds. The comment
of a column is its description in docs/data-contract.md.
"""

import pyarrow as pa

SCHEMA_VERSION = 2
# Parts of these versions can be read. Parts of version 1 do not name their prompts, so none is added to them.
READABLE_VERSIONS = (1, 2)

_string, _int, _float = pa.string(), pa.int64(), pa.float64()

ENGINES = pa.schema(
    {
        "engine_id": _string,  # model.precision.kv_policy, and .control for a control; unique within a run
        "engine_hash": _string,  # hash of everything that determines the engine's samples
        "family": _string,  # the model's family
        "model": _string,
        "params": _int,  # number of parameters of the model; a tied head counts once
        "weight_method": _string,  # bf16, gptq, awq or fp8
        "weight_bits": _int,  # bits per weight
        "weight_group_size": _int,  # input features that share a scale; -1: all, 0: no scales
        "weight_symmetric": pa.bool_(),  # whether the zero point lies in the middle
        "weight_act_order": pa.bool_(),  # whether groups follow the order of activations
        "kv_policy": _string,  # short name of the policy with its parameters, such as `r_kv-4096`
        "kv_params": _string,  # parameters of the policy, as JSON
        "kv_kind": _string,  # full, evicting, quantized or evicting_quantized
        "backend": _string,  # vllm, torch, server or fake
        "control": pa.bool_(),  # whether it repeats another engine on this backend: see controls.parquet
        "weights_bytes": _int,  # size of the weights (the "effective size")
        "kv_bytes_per_token": _int,  # size of one token's keys and values in 16 bit, all layers together
        "gpus": _float,  # GPUs per actor, or its share of one; null if it fits on no GPU of the cluster
        "working_copy_bytes": _int,  # the torch engine's copy of the weights on a CPU, beside weights_bytes
        "est_tokens": _int,  # upper limit of the tokens that the engine decodes for the whole run
        "est_gpu_hours": _float,  # expected GPU-hours for the whole run; null if no kind of GPU is named
    }
)

PLAN = pa.schema(
    {
        "shard_id": _string,  # hash of everything that determines the shard's samples
        "engine_id": _string,
        "benchmark": _string,
        "question_ids": pa.list_(_string),
        "sample_start": _int,  # index of the first sample of each question
        "sample_count": _int,  # number of samples per question
        "est_tokens": _int,  # upper limit of the tokens to decode
        "gpus": _float,  # as in engines.parquet
    }
)

ANSWER = pa.struct(
    {
        "token_budget": _int,  # the budget after which the answer was given
        "thinking_tokens": _int,  # thinking before the answer; below the budget if thinking stopped early
        "forced": pa.bool_(),  # whether thinking was closed by force
        "text": _string,  # everything after the close of the thinking, without special tokens; the thinking
        # itself where an ended text is the answer; the grader reads only this
        "ended": pa.bool_(),  # whether the text ended by itself and not at its limit
        "given_up": pa.bool_(),  # whether its generation took too long, which makes its outcome error
        "answer": _string,  # the extracted answer in canonical form; null if none was found
        "outcome": _string,  # correct, wrong, unanswered, cut_off or error
        "answer_tokens": _int,  # tokens decoded for the answer
        "kv_bytes": _int,  # size of the KV cache of prompt and thinking at this budget
    }
)

SAMPLES = pa.schema(
    {
        "engine_id": _string,
        "benchmark": _string,
        "question_id": _string,
        "sample_index": _int,  # number of the sample among those of its question, from 0
        "seed": _int,  # seed of the sample's randomness, from the run's seed, question and sample index
        "prompt_tokens": _int,  # length of the prompt, with chat template and opened thinking
        "trace_tokens": _int,  # length of the thinking and of the answer that the trace gave by itself
        "finish": _string,  # why thinking ended. stop: by itself; budget: closed at the largest budget;
        # loop: closed in endless repetition; end: the text ended during thinking, which leaves no answer
        # unless the forcing closes thinking there (`direct`); deadline: given up as too slow
        "waits": _int,  # how often an early end of thinking was replaced by the extension
        "token_ids": pa.list_(pa.int32()),  # tokens of the trace, without forced closings
        "answers": pa.list_(ANSWER),  # one answer for each token budget, smallest first; of an
        # adaptive run perhaps only for the first ones, and if another part has the same sample with more
        # of them, that one counts
        "reused_tokens": _int,  # thinking tokens that forks for answers found in the KV cache
        "recomputed_tokens": _int,  # thinking tokens that were computed again for these forks
        "reproducible": _string,  # batch_invariant: the sample does not depend on its batch; seeded: it
        # is drawn with its own seed, but from logits whose rounding may depend on the batch; unseeded: by
        # a server that takes no seed; resumed: a trace up to fewer token budgets was continued from its
        # tokens, with a seed of its own for what follows them
        "wall_s": _float,  # seconds from first to last token, decoded together with the rest of the batch;
        # of a resumed trace, those of its continuation
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
        "token_budget": _int,  # limit on thinking tokens
        "group_size": _int,  # number of samples that vote together
        "n_questions": _int,  # number of questions with samples
        "n_samples": _int,  # smallest number of samples over the questions
        "complete": pa.bool_(),  # whether every question has all requested samples; not if it was stopped
        "stopped_at": _int,  # samples per question after which an adaptive run was sure that nothing is lost
        # without it, by itself or with its engine; 0 if it does not fit the memory asked for; else null. It
        # is compared with nothing. Its accuracy is too low in expectation: bad luck makes a stop likelier
        "accuracy": _float,  # expected accuracy of the majority vote, exact over all subsets of samples
        "accuracy_lo": _float,  # lower end of the 95% interval over questions. Of a stopped one it is wider,
        # to hold at all looks at once (a repeated confidence interval)
        "accuracy_hi": _float,  # upper end of that interval
        "accuracy_se": _float,  # standard error, clustered by question; null for a single question
        "estimate": _float,  # accuracy estimated from all scenarios, by which the frontier is chosen; null
        # for one that was stopped, or measured on fewer questions than others: it is not compared with them
        "run_sd": _float,  # standard deviation of a run's accuracy when its questions stay the same
        "pass_at_1": _float,  # share of correct answers
        "pass_at_g": _float,  # probability that at least one answer of the group is correct
        "unanswered": _float,  # share of unanswered among all answers at this budget
        "cut_off": _float,  # share of cut_off among all answers at this budget
        "errors": _float,  # share of error among all answers at this budget
        "mean_trace_tokens": _float,  # thinking tokens used at this budget, averaged over samples
        "prompt_tokens": _int,  # length of the longest prompt, on which the memory is based
        "weights_bytes": _int,  # size of the weights
        "kv_bytes": _int,  # size of the KV caches of the whole group at the budget
        "kv_peak_bytes": _int,  # the same with the policy's buffers at their largest
        "total_bytes": _int,  # weights_bytes + kv_bytes
        "on_frontier": pa.bool_(),  # whether it is on the frontier of its benchmark at batch size 1: no
        # other has as good an estimate with as little memory
    }
)

FRONTIER = pa.schema(
    {
        "benchmark": _string,
        "batch_size": _int,  # number of questions that share the weights' memory
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
        "accuracy": _float,  # as measured, on the questions that also chose it, so rather too high
        "accuracy_lo": _float,  # lower end of its 95% interval over questions
        "accuracy_hi": _float,  # upper end of its 95% interval over questions
        "estimate": _float,  # accuracy estimated from all scenarios, by which the frontier is chosen
        "expected": _float,  # accuracy on new questions of the best within this memory, cross-fitted
        "expected_lo": _float,  # lower end of its 95% interval over questions
        "expected_hi": _float,  # upper end of its 95% interval over questions
        "complete": pa.bool_(),  # whether every question has all requested samples
        "p_on_frontier": _float,  # share of bootstrap draws of questions in which no other dominates it
        # by the draw's estimates; scenarios of equal memory and estimate all stay
    }
)

# Frontiers among scenarios that share a value. `axis` is model, precision, kv_policy or votes, and `value`
# is the shared value. For votes it is serial (G = 1) or parallel (G > 1).
FRONTIERS = pa.schema([pa.field("axis", _string), pa.field("value", _string), *FRONTIER])

# One row per scenario. `scores` is each question's accuracy in the order of QUESTIONS, null without samples.
SCORES = pa.schema(
    {
        "engine_id": _string,
        "benchmark": _string,
        "token_budget": _int,
        "group_size": _int,
        "scores": pa.list_(_float),  # accuracy per question, in the order of questions.parquet
    }
)

QUESTIONS = pa.schema({"benchmark": _string, "question_id": _string})

# One row for each effective size of a benchmark and batch size: see raysweep/analysis/threshold.py. Those of
# the benchmarks pooled have the benchmark "all benchmarks".
THRESHOLDS = pa.schema(
    {
        "benchmark": _string,
        "batch_size": _int,
        "weights_bytes": _int,  # size of the weights (the "effective size")
        "contests": _int,  # number of memory sizes at which the best configuration has this size
        "advantage": _float,  # accuracy gained by doubling the memory for weights rather than for tokens
        "advantage_lo": _float,  # lower end of the 95% interval, from a bootstrap over questions
        "advantage_hi": _float,  # upper end of the 95% interval
    }
)
