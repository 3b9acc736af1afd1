"""Which backend runs an engine, and what is refused before anything starts."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.configurations import changed, read, valid_configuration, write_models
from support.nouns import a_cluster, a_model, an_engine

from actors.kv.full import Full
from actors.kv.kv_dtype import FORMATS, KVDtype
from actors.kv.streaming_llm import StreamingLLM
from raysweep import memory
from raysweep.errors import ConfigError
from raysweep.planning import backends
from raysweep.planning.backends import Choice, check_installed, choose, kv_cache_dtype, refuses
from raysweep.planning.fit import fits
from raysweep.planning.lengths import Lengths
from raysweep.run_config import Cluster, Gpu, Pool
from raysweep.spec import ModelSpec, WeightSpec
from raysweep.system import machine

BF16 = WeightSpec("bf16", 16)
ON_GPU = a_cluster(gpus_per_actor=1.0)


def model(**changes: int) -> ModelSpec:
    numbers = {"heads": 4, "head_dim": 64, **changes}
    return a_model(architecture=replace(a_model().architecture, **numbers))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "vllm_installed", lambda: True)
    monkeypatch.setattr(backends, "cpu_has", lambda flag: True)


@pytest.mark.usefixtures("installed")
def test_auto_takes_vllm_where_it_can_and_torch_for_the_rest():
    spec = replace(an_engine(), model=model())
    assert choose(spec, a_cluster()).backend == "vllm"
    evicting = choose(replace(spec, kv_policy=StreamingLLM(4, 60)), a_cluster())
    assert evicting == Choice(
        "torch", "vLLM does not support the KV policy streaming_llm-64; use torch"
    )
    assert choose(replace(spec, kv_policy=KVDtype("fp8")), a_cluster()).backend == "vllm"


def test_without_vllm_auto_takes_torch_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(backends, "vllm_installed", lambda: False)
    choice = choose(replace(an_engine(), model=model()), a_cluster())
    assert choice == Choice("torch", "vLLM is not installed in this environment")


def test_actors_of_this_machine_cannot_import_a_vllm_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(backends, "vllm_installed", lambda: False)
    check_installed({"torch"}, a_cluster())
    check_installed({"vllm"}, a_cluster(address="ray://elsewhere"))
    with pytest.raises(ConfigError, match="'vllm' is not installed in this environment"):
        check_installed({"torch", "vllm"}, a_cluster())


@pytest.mark.parametrize(
    ("numbers", "weights", "policy", "cluster", "reason"),
    [
        ({}, BF16, StreamingLLM(4, 60), ON_GPU, "the KV policy streaming_llm-64; use torch"),
        ({"head_dim": 16}, BF16, Full(), a_cluster(), "the head dimension 16 of toy; use torch"),
        ({}, WeightSpec("gptq", 8, 128), Full(), a_cluster(), "no CPU kernel for gptq8; use torch"),
        ({}, WeightSpec("gptq", 3, 128), Full(), ON_GPU, "no kernel for gptq3; use torch"),
        ({}, BF16, KVDtype("int8_per_token_head"), a_cluster(), "on a CPU; give its actors GPUs"),
        ({}, WeightSpec("fp8", 8, 128), Full(), a_cluster(), "for fp88; give its actors GPUs"),
        ({}, BF16, Full(), a_cluster(gpus_per_actor=3.0), "do not split over 3 GPUs; change"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_vllm_refuses_what_it_cannot_do_and_says_who_can(
    numbers: dict[str, int], weights: WeightSpec, policy, cluster: Cluster, reason: str
):
    said = refuses("vllm", model(**numbers), weights, policy, cluster)
    assert said is not None and reason in said


@pytest.mark.parametrize(
    ("numbers", "weights", "policy", "cluster"),
    [
        ({"head_dim": 16}, WeightSpec("gptq", 8, 128), Full(), ON_GPU),
        ({}, WeightSpec("gptq", 4, 128), KVDtype("fp8"), a_cluster()),
        ({}, BF16, KVDtype("int4_per_token_head"), a_cluster(gpus_per_actor=2.0)),
        ({}, BF16, Full(), a_cluster(gpus_per_actor=0.5)),
        ({}, WeightSpec("fp8", 8, 128), Full(), a_cluster(gpus_per_actor=None)),
    ],
)
@pytest.mark.usefixtures("installed")
def test_vllm_takes_what_it_can_do(numbers, weights: WeightSpec, policy, cluster: Cluster):
    assert refuses("vllm", model(**numbers), weights, policy, cluster) is None


def test_without_avx_512_there_is_neither_gptq_nor_an_fp8_cache_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(backends, "cpu_has", lambda flag: flag != "avx512f")
    gptq = WeightSpec("gptq", 4, 128)
    assert "AVX-512" in str(refuses("vllm", model(), gptq, Full(), a_cluster()))
    assert "AVX-512" in str(refuses("vllm", model(), BF16, KVDtype("fp8"), a_cluster()))
    assert refuses("vllm", model(), BF16, Full(), a_cluster()) is None
    elsewhere = a_cluster(address="ray://elsewhere")
    assert refuses("vllm", model(), gptq, Full(), elsewhere) is None


def test_a_gpu_without_bf16_is_refused_by_what_computes_in_it():
    """vLLM would take fp16 there, and an engine's samples would differ from those of another GPU."""
    t4, l4 = (
        Gpu(name, 16 * 10**9, 3e11, 6e13, kind) for name, kind in [("t4-16", "T4"), ("l4-24", "L4")]
    )
    only, mixed = (replace(ON_GPU, pools=tuple(map(Pool, kinds))) for kinds in [(t4,), (t4, l4)])
    for backend in ("torch", "vllm"):
        assert refuses(backend, model(), BF16, Full(), only) == (
            f"{backend} computes in bf16, which t4-16 lacks; choose another cluster.gpu"
        )
        assert refuses(backend, model(), BF16, Full(), mixed) is None
        engine = replace(an_engine(), model=model(), backend=backend)
        assert list(fits(engine, t4, Lengths(64))) == [] != list(fits(engine, l4, Lengths(64)))
    assert refuses("fake", model(), BF16, Full(), only) is None
    assert refuses("torch", model(), BF16, Full(), replace(only, gpus_per_actor=0.0)) is None


def test_an_explicit_backend_that_cannot_run_the_sweep_is_bad_input(tmp_path: Path):
    mine = write_models(tmp_path, "small", "large")
    with pytest.raises(ConfigError) as raised:
        read(changed("sweep.backend", "vllm"), mine)
    assert str(raised.value) == (
        "sweep.backend: 'vllm' cannot run small.bf16.streaming_llm-64: "
        "vLLM does not support the KV policy streaming_llm-64; use torch"
    )
    formats = changed("sweep.backend", "torch")
    formats["sweep"]["kv_policies"] = ["fp8"]
    with pytest.raises(
        ConfigError, match="the torch engine does not support the KV format fp8; use vllm"
    ):
        read(formats, mine)
    assert read({**valid_configuration(), "seed": 3}, mine).sweep.backend == "torch"


def test_a_policys_name_in_vllm():
    assert kv_cache_dtype(Full()) == "auto"
    assert kv_cache_dtype(KVDtype("fp8_e5m2")) == "fp8_e5m2"
    assert kv_cache_dtype(StreamingLLM(4, 60)) is None


def test_bytes_of_the_kv_formats():
    a = model().architecture
    native = memory.kv_bytes(a, Full(), 10)
    numbers = native / 2
    heads = 2 * 10 * a.layers * a.kv_heads  # of tokens, keys and values
    expected = {
        "fp8": numbers,
        "fp8_e5m2": numbers,
        "int8_per_token_head": numbers + 4 * heads,
        "fp8_per_token_head": numbers + 4 * heads,
        "int4_per_token_head": numbers / 2 + 4 * heads,
        "nvfp4": numbers / 2 + numbers / 16,
    }
    assert {name: memory.kv_bytes(a, KVDtype(name), 10) for name in FORMATS} == expected
    with pytest.raises(ValueError, match="dtype: 'fp7' is not known; known: fp8"):
        KVDtype("fp7")


def test_a_cpus_instructions_are_read_from_what_linux_says(tmp_path: Path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.cpu_has("avx512f") and not machine.cpu_has("avx")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "nothing")
    assert not machine.cpu_has("avx512f")
