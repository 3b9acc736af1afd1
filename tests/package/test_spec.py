"""Identity: equal work has the same name, and everything that matters changes the name."""

from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

import pytest
from support.nouns import FAMILY, a_benchmark, a_model, a_run_config, an_engine, some_shards

from actors.kv.full import Full
from actors.kv.quantized import Quantized
from actors.kv.streaming_llm import StreamingLLM
from raysweep.planning.grid import whole_stream
from raysweep.spec import Decoding, Family, Forcing, Question, Sampling, WeightSpec
from raysweep.system.content import INCIDENTAL, content_hash, decisive_fields


def changed_copies(noun: Any) -> list[tuple[str, Any]]:
    """(field, copy of `noun` that differs in it) for every field of `noun` and of the nouns in it."""
    return [
        (f"{field.name}.{path}".rstrip("."), replace(noun, **{field.name: copy}))
        for field in fields(noun)
        for path, copy in changed_values(getattr(noun, field.name))
    ]


def changed_values(value: Any) -> list[tuple[str, Any]]:
    return changed_copies(value) if is_dataclass(value) else [("", another(value))]


def another(value: Any) -> Any:
    """Another value of that type."""
    if value is None or isinstance(value, dict):
        return "x" if value is None else {**value, "x": 1}
    return value + (value[:1] if isinstance(value, tuple) else type(value)(1))


def is_incidental(noun: Any, path: str) -> bool:
    first, _, rest = path.partition(".")
    field = next(field for field in fields(noun) if field.name == first)
    return field.metadata == INCIDENTAL or bool(rest and is_incidental(getattr(noun, first), rest))


def test_equal_nouns_made_apart_have_equal_hashes():
    first, second = some_shards()[0], some_shards()[0]
    assert first is not second
    assert first.shard_id == second.shard_id
    assert first.stream_id == second.stream_id


def test_the_hash_of_a_shard_differs_for_each_field_that_determines_its_samples():
    shard = some_shards(kv_policies=(StreamingLLM(4, 60),))[0]
    copies = [copy for path, copy in changed_copies(shard) if not is_incidental(shard, path)]
    assert len(copies) > 30
    assert len({content_hash(copy) for copy in [shard, *copies]}) == 1 + len(copies)


def test_the_hash_of_a_shard_is_independent_of_files_the_grader_and_traces_that_it_may_lengthen():
    shard = some_shards()[0]
    incidental = {path: c for path, c in changed_copies(shard) if is_incidental(shard, path)}
    assert incidental.keys() == {
        "engine.model.path",
        "engine.model.quantized",
        "engine.checkpoint.path",
        "grader",
        "shorter",
    }
    assert {copy.shard_id for copy in incidental.values()} == {shard.shard_id}


def test_hashes_do_not_change_from_one_process_or_version_to_the_next():
    """Finished work is found by its hash, so a change here would discard every user's finished work."""
    assert content_hash(Question("q", "1 + 1 = ?", "2")) == "29bd0119396bb566"
    assert (
        content_hash(Quantized(4, layout="kivi")) == "2de4b7462f0e585f"
    )  # without its later parameters
    assert content_hash(Quantized(4, layout="kivi", sinks=4)) != content_hash(
        Quantized(4, layout="kivi")
    )
    assert content_hash(Family("toys", Sampling(1.0))) == "ad0deb6bbd02840d"


def test_a_field_that_earlier_versions_lack_counts_only_where_it_differs_from_its_default():
    closing = ("</think>", "</think>\nThe answer is")
    earlier = Decoding(0, Sampling(1.0), "<think>\n", *closing, 8, (16, 64))
    assert content_hash(earlier) == "b2ad70eef208d826"  # by version 0.1.0
    assert content_hash(Forcing(extension="Wait")) == "83eebf975393f569"
    later = [replace(earlier, end_closes=True), replace(earlier, text_is_answer=True)]
    assert len({content_hash(decoding) for decoding in [earlier, *later]}) == 3
    assert decisive_fields(Forcing()).keys() == asdict(Forcing()).keys() - {"end_closes"}
    assert decisive_fields(Forcing(end_closes=True))["end_closes"]


def test_a_text_is_the_answer_only_where_its_end_closes_the_thinking():
    benchmark = a_benchmark(text_is_answer=True)
    plain, direct = (a_run_config(forcing=Forcing(end_closes=closes)) for closes in (False, True))
    assert plain.decoding(a_model(), benchmark) == plain.decoding(a_model(), a_benchmark())
    assert direct.decoding(a_model(), benchmark).text_is_answer


def test_policies_with_equal_parameters_have_different_hashes():
    assert content_hash(Full()) != content_hash({})
    assert content_hash(StreamingLLM(4, 60)) != content_hash(StreamingLLM(60, 4))


def test_something_without_fields_cannot_be_named():
    with pytest.raises(TypeError, match="cannot name a object by its content"):
        content_hash(object())


def test_a_stream_goes_on_beyond_the_shards_that_were_cut_from_it():
    few, many = (a_run_config(samples=samples, shard_samples=samples) for samples in (2, 5))
    shards = [whole_stream(config, an_engine(), a_benchmark()) for config in (few, many)]
    assert shards[0].stream_id == shards[1].stream_id
    assert shards[0].shard_id != shards[1].shard_id


def test_an_engine_id_says_model_weights_and_policy():
    engine = an_engine(model=a_model("qwen3-8b"), weights=WeightSpec("gptq", 4, 128))
    assert engine.engine_id == "qwen3-8b.gptq4.full"
    windowed = replace(engine, weights=WeightSpec("bf16", 16), kv_policy=StreamingLLM(4, 60))
    assert windowed.engine_id == "qwen3-8b.bf16.streaming_llm-64"


def test_the_decoding_of_a_run_joins_family_benchmark_and_budgets():
    decoding = a_run_config(seed=3).decoding(a_model(), a_benchmark())
    assert decoding.seed == 3
    assert decoding.sampling == FAMILY.sampling
    assert decoding.forced_closing == "</think>\nThe answer is"
    assert decoding.token_budgets == (4, 8)


def test_the_samples_of_a_shard_are_its_questions_times_its_indices():
    assert [shard.samples for shard in some_shards()] == [4, 2, 4, 2]
