"""The configuration's `server`: which server makes the samples of which engine, and where no key goes."""

from pathlib import Path
from typing import Any

import pytest
from support.configurations import read, valid_configuration

from raysweep.configuration import identity
from raysweep.configuration.servers import in_the_open
from raysweep.errors import ConfigError
from raysweep.planning.plan import make_plan
from raysweep.run_config import RunConfig, Server, Servers

KEY = "sk-very-secret"


def composed(models: tuple[str, ...] = ("small",), **server: Any) -> dict[str, Any]:
    whole = valid_configuration()
    whole["sweep"] |= {"backend": "server", "models": list(models), "kv_policies": ["full"]}
    whole["server"] |= {"address": "http://gpus:8000/v1", **server}
    return whole


def read_with(mine: Path, **server: Any) -> RunConfig:
    return read(composed(**server), mine)


def test_one_server_makes_the_samples_of_a_sweep_with_one_engine(mine: Path):
    servers = read_with(mine, address="https://gpus/v1/", model="served").server
    found = Server("https://gpus/v1", "served", "RAYSWEEP_SERVER_KEY", 600.0)
    assert servers.of("small.bf16.full") == found


def test_an_engine_has_the_server_of_the_longest_name_with_which_its_id_begins():
    a, b, c = (Server(name, None, "KEY", 1.0) for name in "abc")
    servers = Servers(a, (("qwen", b), ("qwen.bf16.full", c)))
    assert servers.of("qwen.bf16.full") == c
    assert servers.of("qwen.bf16.fp8") == b
    assert servers.of("qwen3.bf16.full") == a
    assert Servers().of("qwen.bf16.full") is None


def test_each_model_may_have_a_server_of_its_own(mine: Path):
    engines = {"small": {"address": "http://a/v1"}, "large.bf16": {"address": "http://b/v1"}}
    servers = read(composed(("small", "large"), address=None, engines=engines), mine).server
    addresses = [servers.of(name) for name in ("small.bf16.full", "large.bf16.full")]
    assert [one and one.address for one in addresses] == ["http://a/v1", "http://b/v1"]


def test_two_engines_may_not_be_made_by_one_served_model(mine: Path):
    with pytest.raises(ConfigError, match="would be made by the same model of http://gpus:8000/v1"):
        read(composed(("small", "large")), mine)
    apart = {"small": {"address": "http://gpus:8000/v1", "model": "a"}}
    assert read(composed(("small", "large"), model="b", engines=apart), mine)


def test_an_engine_that_is_left_out_needs_no_server_and_may_have_one(mine: Path):
    one = {"small": {"address": "http://a/v1"}}
    for server in ({}, {"address": None, "engines": one}, {"engines": {"large": one["small"]}}):
        whole = composed(("small", "large"), **server)
        whole["sweep"]["leave_out"] = ["large.*"]
        assert [model.name for model, _, _ in read(whole, mine).sweep.cells()] == ["small"]


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (
            {"address": None},
            "server.address: missing, and small.bf16.full is to be made by a server",
        ),
        ({"address": "gpus:8000"}, "is not the address of a server; write it as in http://host"),
        ({"address": "ftp://gpus/v1"}, "is not the address of a server"),
        ({"address": "http://gpus/v1?a=b"}, "is not the address of a server"),
        ({"address": "http://gpus:port/v1"}, "is not the address of a server"),
        ({"address": "http://gp us/v1"}, "contains control characters"),
        ({"engines": {"other": {"address": "http://a/v1"}}}, "no engine's id begins with 'other'"),
        ({"engines": {"small": {"adress": "http://a/v1"}}}, "'adress' is not a known key"),
        ({"patience_minutes": -1}, "server.patience_minutes: -1 is out of range"),
        ({"model": 3}, "server.model: 3 is not a text"),
    ],
)
def test_what_cannot_be_a_server_is_refused_in_one_line(
    server: dict[str, Any], said: str, mine: Path
):
    with pytest.raises(ConfigError) as raised:
        read_with(mine, **server)
    assert said in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ({"address": f"https://me:{KEY}@gpus/v1"}, "server.address: contains credentials"),
        ({"address": f"https://{KEY}@gpus/v1"}, "server.address: contains credentials"),
        ({"key_env": KEY}, "server.key_env: not the name of an environment variable"),
    ],
)
def test_a_key_in_the_configuration_is_refused_and_not_shown(
    server: dict[str, Any], said: str, mine: Path
):
    with pytest.raises(ConfigError) as raised:
        read_with(mine, **server)
    assert said in str(raised.value) and KEY not in str(raised.value)


def test_a_key_is_sent_in_the_open_to_no_other_machine(mine: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAYSWEEP_SERVER_KEY", KEY)
    with pytest.raises(
        ConfigError, match=r"http would send the key .* to gpus in the open"
    ) as raised:
        read_with(mine)
    assert KEY not in str(raised.value)
    for address in ("https://gpus/v1", "http://localhost:8000/v1", "http://[::1]/v1"):
        assert KEY not in str(identity.as_document(read_with(mine, address=address)))
    assert in_the_open("http://localhost.example.org/v1") and in_the_open("http://10.0.0.1/v1")


def test_samples_do_not_depend_on_where_the_server_is(mine: Path):
    one, other = read_with(mine), read_with(mine, address="https://elsewhere/v1", model="other")
    assert identity.identity(one) == identity.identity(other)
    assert [shard.shard_id for shard in make_plan(one, []).to_do] == [
        shard.shard_id for shard in make_plan(other, []).to_do
    ]


def test_policies_that_no_server_has_and_weights_that_nobody_made_are_refused(mine: Path):
    whole = composed()
    whole["sweep"]["kv_policies"] = ["streaming_llm-64"]
    with pytest.raises(
        ConfigError, match="a server does not support the KV policy streaming_llm-64"
    ):
        read(whole, mine)
    whole = composed()
    whole["sweep"]["weights"] = ["gptq-8-g32"]
    with pytest.raises(ConfigError, match=r"raysweep quantises nothing for a server, and small"):
        read(whole, mine)
    whole = composed()
    whole["sweep"]["kv_policies"] = ["fp8"]
    assert read(whole, mine)
