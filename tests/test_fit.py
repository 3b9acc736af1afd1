"""What fits on a GPU, against sums written out."""

from dataclasses import replace

import pytest
from examples import a_cluster, a_model, a_run_config, an_engine

from actors.kv.full import Full
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions, read_gpu
from raysweep.configuration.models import read_model
from raysweep.errors import ConfigError
from raysweep.fit import check_fit, fit_on, least_fit
from raysweep.memory import kv_bytes, weights_bytes, workspace_bytes
from raysweep.run_config import Gpu
from raysweep.spec import EngineSpec, WeightSpec

DEFINITIONS = Definitions((conf_folder(),))
A100 = read_gpu(DEFINITIONS, "a100-80", "gpu")


def engine(name: str, bits: int = 16) -> EngineSpec:
    model = read_model(DEFINITIONS, name, name)
    weights = WeightSpec("bf16", 16) if bits == 16 else WeightSpec("gptq", bits, 128)
    return an_engine(model=model, weights=weights, kv_policy=Full())


def test_rows_fill_what_weights_and_allowance_leave():
    spec, tokens = engine("qwen3-8b"), 30_000
    a = spec.model.architecture
    fit = fit_on(spec, A100, 1, tokens)

    def needed(rows: int) -> int:
        cache = rows * kv_bytes(a, Full(), tokens)
        return weights_bytes(spec.model, spec.weights) + workspace_bytes(a, rows) + cache

    assert needed(fit.rows) <= A100.memory_bytes < needed(fit.rows + 1)


def test_a_model_that_is_too_large_for_one_gpu_is_split_over_more():
    whole = engine("qwen3-32b")
    l40s = read_gpu(DEFINITIONS, "l40s-48", "gpu")
    fits = {bits: least_fit(engine("qwen3-32b", bits), l40s, 30_000) for bits in (16, 8, 4)}
    assert {bits: fit.gpus for bits, fit in fits.items() if fit} == {16: 2, 8: 1, 4: 1}
    split = fit_on(whole, A100, 4, 30_000)
    assert split.weights_bytes == pytest.approx(
        weights_bytes(whole.model, whole.weights) / 4, rel=1e-3
    )
    assert split.row_bytes == pytest.approx(fit_on(whole, A100, 1, 30_000).row_bytes / 4, rel=1e-3)


def test_what_no_node_holds_fits_nowhere():
    assert least_fit(engine("qwen3-32b"), Gpu("small", 2**30), 30_000) is None


def run_on(gpu: Gpu | None, gpus: float):
    cluster = replace(a_cluster(), gpu=gpu, gpus_per_actor=gpus)
    return a_run_config(models=(a_model(),), cluster=cluster)


def test_an_engine_that_does_not_fit_its_gpus_is_refused_with_what_would():
    engines = (engine("qwen3-8b", 4), engine("qwen3-32b"))
    l40s = read_gpu(DEFINITIONS, "l40s-48", "gpu")
    with pytest.raises(
        ConfigError, match=r"1 l40s-48 cannot hold qwen3-32b\.bf16\.full .* 2 of them do"
    ):
        check_fit(run_on(l40s, 1), engines)
    with pytest.raises(ConfigError, match=r"0\.1 l40s-48 cannot hold qwen3-8b\.gptq4\.full"):
        check_fit(run_on(l40s, 0.1), engines)
    check_fit(run_on(l40s, 2), engines)
    check_fit(run_on(None, 1), engines)
    check_fit(run_on(l40s, 0), engines)
