"""The environment of an actor: what its backend needs, what the user has set, and what stays hidden."""

from support.nouns import an_engine

from raysweep.driver import actor_environment


def test_a_vllm_actor_gets_what_must_be_set_before_vllm_is_imported(monkeypatch):
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    spec = an_engine(backend="vllm")
    on_cpu = actor_environment.environment(spec, gpus=0)
    assert on_cpu["OMP_NUM_THREADS"] == "1" and on_cpu["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert on_cpu["VLLM_BATCH_INVARIANT"] == "1" and on_cpu["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in actor_environment.environment(spec, gpus=1)
    assert actor_environment.environment(an_engine(), gpus=0.5) == actor_environment.PATIENT


def test_workers_reach_the_hub_as_the_driver_does_and_secrets_are_not_in_their_environment(
    monkeypatch,
):
    monkeypatch.setenv("HF_HOME", "/cache/hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")  # as it is where it was read from a file
    monkeypatch.setenv("VLLM_API_KEY", "vllm_secret")
    monkeypatch.setenv("HF_ENDPOINT", "https://user:secret@mirror")
    for backend in ("torch", "vllm"):
        shown = actor_environment.environment(an_engine(backend=backend), gpus=1)
        assert shown["HF_HUB_OFFLINE"] == "1" and "HF_HOME" not in shown
        assert not any("secret" in value for value in shown.values())
    handed_over = actor_environment.handed_over()
    assert handed_over["HF_HOME"] == "/cache/hub"  # a node may have its own
    assert handed_over["HF_TOKEN"] == "hf_secret" and handed_over["VLLM_API_KEY"] == "vllm_secret"
    assert handed_over["HF_ENDPOINT"] == "https://user:secret@mirror"


def test_a_vllm_actor_starts_without_what_nvcc_would_compile_unless_its_user_wants_it(monkeypatch):
    spec = an_engine(backend="vllm")
    names = [
        "VLLM_USE_FLASHINFER_SAMPLER",
        "VLLM_USE_DEEP_GEMM",
        "VLLM_ALLREDUCE_USE_FLASHINFER",
    ]
    for name in names:
        monkeypatch.delenv(name, raising=False)
        assert actor_environment.environment(spec, gpus=1)[name] == "0"
        monkeypatch.setenv(name, "1")
        assert actor_environment.environment(spec, gpus=1)[name] == "1"
