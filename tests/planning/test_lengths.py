"""How long sequences may get: one bound for plan, jobs and engines."""

from dataclasses import replace

from support.nouns import a_benchmark, a_model, a_run_config, some_shards

from raysweep.planning.lengths import (
    MISSING_PROMPT_TOKENS,
    TEMPLATE_TOKENS,
    Lengths,
    longest,
    run_lengths,
    shard_lengths,
)

CLOSING = len("</think>\nThe answer is")
BUDGET, ANSWER = 8, 4  # of `a_run_config`


def without_rendering(**changes):
    """A benchmark whose questions no chat template has rendered yet."""
    benchmark = a_benchmark(**changes)
    questions = tuple(replace(question, rendered="") for question in benchmark.questions)
    return replace(benchmark, questions=questions)


def test_a_row_is_bounded_by_the_bytes_of_prompt_and_closing():
    found = run_lengths(a_run_config())
    prompt = len("0 + 1 = ?")
    assert found == Lengths(prompt + BUDGET + CLOSING + ANSWER, prompt, CLOSING + ANSWER)
    assert found.trace == BUDGET + CLOSING + ANSWER


def test_a_letter_of_several_bytes_counts_as_so_many_tokens():
    (shard, *_) = some_shards()
    question = replace(shard.questions[0], rendered="é" * 10)
    assert shard_lengths([replace(shard, questions=(question,))]).prompt == 20


def test_a_model_has_no_row_beyond_its_context():
    model = a_model()
    narrow = replace(model.architecture, context=40)
    found = Lengths(1000, 100, 10).within(narrow)
    assert found == Lengths(40, 40, 10)
    assert Lengths(30, 20, 10).within(narrow) == Lengths(30, 20, 10)


def test_a_question_without_its_chat_template_has_an_allowance_for_it():
    model = a_model()
    family = replace(model.family, system="Think.", think_open="<think>")
    config = a_run_config(
        models=(replace(model, family=family),), benchmarks=(without_rendering(),)
    )
    assert run_lengths(config).prompt == TEMPLATE_TOKENS + len("0 + 1 = ?Think.<think>")


def test_a_missing_question_counts_with_an_allowance():
    config = a_run_config(benchmarks=(without_rendering(stands_in=True),))
    assert run_lengths(config).prompt == MISSING_PROMPT_TOKENS


def test_the_longest_benchmark_counts_whatever_is_left_of_the_others():
    benchmarks = (a_benchmark(), a_benchmark(name="long", answer_tokens=40))
    config = a_run_config(benchmarks=benchmarks)
    assert run_lengths(config).ahead == CLOSING + 40
    left = shard_lengths(s for s in some_shards(benchmarks=benchmarks) if s.benchmark == "sums")
    assert left.ahead == CLOSING + ANSWER and longest([run_lengths(config), left]) == run_lengths(
        config
    )


def test_a_run_and_its_shards_agree_once_their_questions_are_rendered():
    assert shard_lengths(some_shards()) == run_lengths(a_run_config())
