"""What an engine finds out of its server: how it differs from others, and what is refused."""

import pytest
from support.faulty_server import Manners
from support.server_engines import (
    MakeEngine,
    Serve,
    decoded,
    make_engine,
    serve,
    short_pauses,
    wanted,
)
from support.tiny_models import architecture, run, smallest

from actors.kv.full import Full
from actors.server_engine.failures import BadAnswer, ServerRefused
from raysweep import memory
from raysweep.spec import Sampling

__all__ = ["make_engine", "serve", "short_pauses"]  # fixtures

KEY = "sk-very-secret"

# How servers differ


def test_a_server_like_tensorrt_llm_is_asked_in_its_own_way_and_gives_the_same(
    serve: Serve, make_engine: MakeEngine
):
    other = Manners(
        ids="detokenize",
        no_top_k=(0,),
        forbids=frozenset({"return_token_ids"}),
        gives_stop=False,
        says_context=False,
    )
    engine = make_engine(serve(manners=other))
    assert (engine.found.dialect.way, engine.found.dialect.no_top_k) == ("no_text", 0)
    assert decoded(run(engine, wanted())) == decoded(run(make_engine(serve()), wanted()))


def test_a_server_like_sglang_draws_by_no_seed_and_its_samples_say_so(
    serve: Serve, make_engine: MakeEngine
):
    engine = make_engine(
        serve(manners=Manners(no_top_k=(-1,), ignores=frozenset({"seed"}))), Sampling(1.0, 0.9, 20)
    )
    traces = run(engine, wanted())
    assert {trace.reproducible for trace in traces.values()} == {"unseeded"}
    assert any("no sample can be repeated" in line for line in engine.warnings)


def test_a_server_without_token_ids_has_its_texts_tokenised_again_and_that_is_said(
    serve: Serve, make_engine: MakeEngine
):
    engine = make_engine(serve(manners=Manners(ids="")))
    assert engine.found.dialect.way == "text"
    assert any("tokenised again" in line for line in engine.warnings)
    for trace in run(engine, wanted()).values():
        full = [a for a in trace.answers if a.token_budget <= len(trace.token_ids) and a.forced]
        assert all(answer.thinking_tokens == answer.token_budget for answer in full)


def test_what_made_the_samples_is_said_and_what_is_not_checked(
    serve: Serve, make_engine: MakeEngine
):
    engine = make_engine(serve())
    traces = run(engine, wanted())
    assert {trace.reproducible for trace in traces.values()} == {"seeded"}
    (line,) = engine.warnings
    assert "answered by stub-1 as its model 'tiny'" in line and "not checked" in line
    assert "127.0.0.1" not in line


def test_bytes_are_those_of_the_memory_model_and_an_unknown_cache_is_not_counted(
    serve: Serve, make_engine: MakeEngine
):
    engine = make_engine(serve())
    for trace in run(engine, wanted()).values():
        assert trace.reused_tokens == trace.recomputed_tokens == 0
        for answer in trace.answers:
            tokens = trace.prompt_tokens + answer.thinking_tokens
            assert answer.kv_bytes == memory.kv_bytes(architecture(smallest()), Full(), tokens)
    assert engine.usage().rows == engine.usage().kv_bytes == 0


# What is refused when it is loaded


@pytest.mark.parametrize(
    ("manners", "said"),
    [
        (Manners(models=("a", "b")), "it serves a, b; say which by `model`"),
        (Manners(bos=1), "reads a prompt of 56 tokens as 57"),
        (Manners(ignores=frozenset({"stop_token_ids"})), "does not stop at `stop_token_ids`"),
        (Manners(ignores=frozenset({"top_k"})), "it ignores `top_k`"),
        (Manners(ignores=frozenset({"min_p"})), "it ignores `min_p`"),
        (Manners(forbids=frozenset({"min_p"})), "it ignores `min_p`"),
        (Manners(spelling=lambda text: text + "!"), "its tokenizer is not that of"),
        (Manners(key="other"), "status 401 with no key in RAYSWEEP_SERVER_KEY"),
    ],
)
def test_what_would_change_results_is_refused_in_one_line(
    manners: Manners, said: str, serve: Serve, make_engine: MakeEngine
):
    with pytest.raises((ServerRefused, BadAnswer)) as raised:
        make_engine(serve(manners=manners), Sampling(1.0, 0.9, 20, 0.05))
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_a_model_that_is_not_served_is_refused_with_those_that_are(
    serve: Serve, make_engine: MakeEngine
):
    with pytest.raises(ServerRefused, match="it does not serve 'qwen'; it serves tiny"):
        make_engine(serve(), model="qwen")


@pytest.mark.parametrize(
    ("says_context", "said"),
    [
        (True, "its context has 100 tokens, and prompt, budget and answer take 1"),
        (False, "maximum context length is 100 tokens"),
    ],
)
def test_a_context_that_is_too_short_is_refused_before_anything_is_cut(
    says_context: bool, said: str, serve: Serve, make_engine: MakeEngine
):
    engine = make_engine(serve(manners=Manners(context=100, says_context=says_context)))
    with pytest.raises(ServerRefused, match=said):
        run(engine, wanted())


def test_an_address_that_leads_elsewhere_is_refused_and_not_followed(
    serve: Serve, make_engine: MakeEngine
):
    with pytest.raises(ServerRefused, match="redirects elsewhere"):
        make_engine(serve().address.replace("/v1", "/elsewhere"))


def test_an_actor_with_a_key_sends_it_to_no_other_machine_in_the_open(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAYSWEEP_SERVER_KEY", KEY)
    with pytest.raises(ServerRefused, match="http would send the key in RAYSWEEP_SERVER_KEY"):
        make_engine("http://gpus.example:8000/v1")


def test_a_key_that_was_read_from_a_file_may_end_with_a_newline(
    serve: Serve, make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAYSWEEP_SERVER_KEY", f"{KEY}\n")
    assert make_engine(serve(manners=Manners(key=KEY))).found.model == "tiny"


def test_the_key_goes_with_each_request_and_into_no_message(
    serve: Serve, make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAYSWEEP_SERVER_KEY", KEY)
    server = serve(manners=Manners(key=KEY))
    engine = make_engine(server)
    run(engine, wanted())
    assert {one["Authorization"] for one in server.headers} == {f"Bearer {KEY}"}
    assert KEY not in repr((engine.found, engine.warnings, engine.client.server))
    for manners in (Manners(key="another"), Manners(models=(KEY,))):
        with pytest.raises(ServerRefused) as raised:
            make_engine(serve(manners=manners), model="qwen")
        assert KEY not in str(raised.value)
