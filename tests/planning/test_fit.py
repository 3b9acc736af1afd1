"""What fits on a GPU, against sums written out."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nouns import a_cluster, a_model, a_run_config, an_engine, some_shards
from support.unfit_engines import skipped

from actors.kv.full import Full
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.streaming_llm import StreamingLLM
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions, read_gpu
from raysweep.configuration.models import read_model
from raysweep.errors import ConfigError
from raysweep.memory import kv_bytes, kv_peak_bytes, weights_bytes, workspace_bytes
from raysweep.planning.fit import fit_of, fit_on, least_fit, placed
from raysweep.planning.jobs import jobs_of
from raysweep.planning.lengths import Lengths
from raysweep.planning.placements import placements
from raysweep.planning.unfit import unfit_engines, unused_checkpoints
from raysweep.run_config import Gpu, Pool, RunConfig
from raysweep.spec import Checkpoint, EngineSpec, WeightSpec

DEFINITIONS = Definitions((conf_folder(),))
A100 = read_gpu(DEFINITIONS, "a100-80", "gpu")
LONG = Lengths(30_000)


def engine(name: str, bits: int = 16) -> EngineSpec:
    model = read_model(DEFINITIONS, name, name)
    weights = WeightSpec("bf16", 16) if bits == 16 else WeightSpec("gptq", bits, 128)
    return an_engine(model=model, weights=weights, kv_policy=Full())


def test_rows_fill_what_weights_and_allowance_leave():
    spec = engine("qwen3-8b")
    a = spec.model.architecture
    fit = fit_on(spec, A100, 1, LONG)

    def needed(rows: int) -> int:
        cache = rows * kv_bytes(a, Full(), LONG.row)
        return weights_bytes(spec.model, spec.weights) + workspace_bytes(a, rows) + cache

    assert needed(fit.rows) <= A100.memory_bytes < needed(fit.rows + 1)


def test_a_model_that_is_too_large_for_one_gpu_is_split_over_more():
    whole = engine("qwen3-32b")
    l40s = read_gpu(DEFINITIONS, "l40s-48", "gpu")
    fits = {bits: least_fit(engine("qwen3-32b", bits), l40s, LONG) for bits in (16, 8, 4)}
    assert {bits: fit.gpus for bits, fit in fits.items() if fit} == {16: 2, 8: 1, 4: 1}
    split = fit_on(whole, A100, 4, LONG)
    assert split.weights_bytes == pytest.approx(
        weights_bytes(whole.model, whole.weights) / 4, rel=1e-3
    )
    assert split.row_bytes == pytest.approx(fit_on(whole, A100, 1, LONG).row_bytes / 4, rel=1e-3)


SMALL = Gpu("small", 2**30, 1e9, 1e12)


def test_what_no_node_holds_fits_nowhere():
    assert least_fit(engine("qwen3-32b"), SMALL, LONG) is None
    assert placed(engine("qwen3-32b"), SMALL, 128, LONG) is None


def test_a_small_engine_gets_the_least_share_that_holds_all_its_rows():
    spec = replace(engine("qwen3-0.6b"), kv_policy=RKV(2048))
    fit = placed(spec, A100, 32, LONG)
    a = spec.model.architecture
    row = kv_peak_bytes(a, spec.kv_policy, LONG.row) + 2 * 4 * a.vocab_size
    needed = weights_bytes(spec.model, spec.weights) + workspace_bytes(a, 0) + 32 * row
    assert fit is not None and fit.rows == 32 and fit.gpus < 0.5
    assert (fit.gpus - 1 / 20) * A100.memory_bytes < needed <= fit.gpus * A100.memory_bytes


def test_what_needs_more_than_half_a_gpu_has_one_to_itself():
    fit = placed(engine("qwen3-8b"), A100, 128, LONG)
    assert fit == fit_on(engine("qwen3-8b"), A100, 1, LONG)


def test_a_model_has_enough_rows_to_be_worth_reading_its_weights():
    spec = engine("qwen3-32b")
    alone = fit_on(spec, A100, 1, LONG)
    fit = placed(spec, A100, 128, LONG)
    assert fit is not None and alone.rows == 2 and (fit.gpus, fit.rows >= 8) == (2, True)
    two_at_a_time = placed(spec, A100, 2, LONG)
    assert two_at_a_time is not None and (two_at_a_time.gpus, two_at_a_time.rows) == (1, 2)
    tight = replace(A100, memory_bytes=12 * 10**9)
    few = placed(spec, tight, 128, LONG)  # no node has room for enough
    assert few is not None and few.gpus == 8 and 1 <= few.rows < 8


def test_on_a_cpu_nobody_looks_at_memory():
    fit = placed(engine("qwen3-8b"), None, 128, LONG)
    assert fit is not None and (fit.gpus, fit.rows) == (0, 128)


ENGINES = st.builds(
    lambda name, bits, policy: replace(engine(name, bits), kv_policy=policy),
    st.sampled_from(["qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b"]),
    st.sampled_from([16, 8, 4]),
    st.sampled_from([Full(), RKV(2048), StreamingLLM(4, 2044), Quantized(4)]),
)
KINDS = st.builds(
    lambda gib: Gpu("any", int(gib * 2**30), 1e12, 1e14), st.floats(8, 200, allow_nan=False)
)


@settings(deadline=None)
@given(
    st.lists(ENGINES, min_size=2, max_size=8), KINDS, st.integers(1, 64), st.integers(99, 30_000)
)
def test_engines_whose_shares_sum_to_one_fit_together(
    specs: list[EngineSpec], gpu: Gpu, rows: int, tokens: int
):
    together, share = 0, 0.0
    for spec in specs:
        fit = placed(spec, gpu, rows, Lengths(tokens))
        if fit is None or fit.gpus >= 1 or share + fit.gpus > 1:
            continue
        share += fit.gpus
        together += fit.peak_bytes(fit.rows)
    assert together <= gpu.memory_bytes


def run_on(gpu: Gpu | None, gpus: float | None):
    pools = () if gpu is None else (Pool(gpu),)
    cluster = replace(a_cluster(), pools=pools, gpus_per_actor=gpus)
    return a_run_config(models=(a_model(),), cluster=cluster)


def test_an_engine_that_does_not_fit_its_gpus_is_refused_with_what_would():
    engines = (engine("qwen3-8b", 4), engine("qwen3-32b"))
    l40s = read_gpu(DEFINITIONS, "l40s-48", "gpu")
    with pytest.raises(ConfigError) as raised:
        skipped(run_on(l40s, 1), engines, [SMALL, A100])
    assert str(raised.value) == (
        "cluster.gpus_per_actor: 1 l40s-48 cannot hold qwen3-32b.bf16.full with one sequence of 43 "
        "tokens; use 2 l40s-48 or 1 a100-80, name them in sweep.leave_out, or skip them by sweep.unfit=skip"
    )
    with pytest.raises(ConfigError, match=r"0\.1 l40s-48 cannot hold qwen3-8b\.gptq4\.full"):
        skipped(run_on(l40s, 0.1), engines)
    for gpu, gpus in ((l40s, 2), (l40s, None), (None, 1), (l40s, 0)):
        skipped(run_on(gpu, gpus), engines)


def test_no_engine_is_split_over_more_gpus_than_a_node_has():
    whole, cluster = engine("qwen3-32b"), a_cluster(gpus_per_actor=None)
    for per_node, gpus in ((None, 2), (8, 2), (1, 1)):
        fit = fit_of(whole, Pool(A100, 64, per_node), cluster, 128, LONG)
        assert fit is not None and fit.gpus == gpus
    l40s = read_gpu(DEFINITIONS, "l40s-48", "gpu")
    assert fit_of(whole, Pool(l40s, 64, 1), cluster, 128, LONG) is None
    assert fit_of(whole, Pool(l40s, 64, 2), cluster, 128, LONG) is not None


def test_an_engine_that_no_node_of_the_clusters_gpus_holds_is_refused_with_the_kinds_that_would():
    with pytest.raises(ConfigError) as raised:
        skipped(run_on(SMALL, None), [engine("qwen3-0.6b")], [A100])
    assert str(raised.value) == (
        "cluster.gpu: no node of small holds qwen3-0.6b.bf16.full with one sequence of 43 tokens; "
        "use 1 a100-80, name them in sweep.leave_out, or skip them by sweep.unfit=skip"
    )
    with pytest.raises(ConfigError, match="no known node holds it; lower the largest token budget"):
        skipped(run_on(SMALL, None), [engine("qwen3-0.6b")])


def test_an_engine_on_a_server_takes_no_gpu_of_the_cluster_however_large_it_is():
    tiny = Pool(Gpu("tiny", 2**20, 1e9, 1e12), 1)
    generation = a_run_config().generation
    spec = replace(engine("qwen3-32b"), backend="server")
    for cluster in (
        a_cluster(gpus_per_actor=None, pools=(tiny,)),
        a_cluster(gpus_per_actor=4.0),
        a_cluster(),
    ):
        assert skipped(replace(a_run_config(), cluster=cluster), [spec]) == ()
        (place,) = placements(spec, generation, cluster, LONG)
        assert place.fit.gpus == 0 and place.fit.rows == generation.max_rows
        assert place.token_price == (0, 0)
        (job,) = jobs_of([replace(some_shards()[0], engine=spec)], generation, cluster, LONG)
        assert [option.need.gpus for option in job.options] == [0]


def test_nobody_makes_the_files_that_only_skipped_engines_would_load():
    fits, large = engine("qwen3-0.6b"), engine("qwen3-32b")
    l4 = Pool(read_gpu(DEFINITIONS, "l4-24", "gpu"), per_node=1)
    config = a_run_config(pools=(l4,), gpus_per_actor=None, unfit="skip")
    assert unused(config, [fits, large]) == {large.checkpoint}
    shares = replace(fits, checkpoint=large.checkpoint)
    assert unused(config, [shares, large]) == set()
    refusing = a_run_config(pools=(l4,), gpus_per_actor=None)
    assert unused(refusing, [fits, large]) == set()


def unused(config: RunConfig, engines: list[EngineSpec]) -> set[Checkpoint]:
    return unused_checkpoints(config, engines, unfit_engines(config, engines, LONG))
