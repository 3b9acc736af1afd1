"""Bytes that the study prints elsewhere than in its Table 1: its introduction, its Table 2, and 16 samples.

It writes KB and GB for KiB and GiB, but for one figure of its introduction.
"""

import pytest

from actors.kv.full import Full
from raysweep import catalogue
from raysweep.memory import kv_bytes, kv_bytes_per_token, weights_bytes

KIB, GIB = 2**10, 2**30

# Table 2 (arXiv 2510.10964): layers, KV heads, numbers per head, and KB of KV cache per token.
TABLE_2 = {
    "qwen3-0.6b": (28, 8, 128, 112),
    "qwen3-1.7b": (28, 8, 128, 112),
    "qwen3-4b": (36, 8, 128, 144),
    "qwen3-8b": (36, 8, 128, 144),
    "qwen3-14b": (40, 8, 128, 160),
    "qwen3-32b": (64, 8, 128, 256),
}

# Table 1: the KV cache of 16 samples of 30,000 tokens, in GiB. Its 65.91 is 65.918, and not rounded.
OF_16_SAMPLES = {"qwen3-0.6b": 51.27, "qwen3-4b": 65.91, "qwen3-8b": 65.91, "qwen3-32b": 117.19}


@pytest.mark.parametrize("name", TABLE_2)
def test_the_studys_table_2_is_reproduced(name: str):
    a = catalogue.model(name).architecture
    printed = (a.layers, a.kv_heads, a.head_dim, kv_bytes_per_token(a) / KIB)
    assert printed == TABLE_2[name]


@pytest.mark.parametrize("name", OF_16_SAMPLES)
def test_the_caches_of_16_samples_are_those_of_the_studys_table_1(name: str):
    a = catalogue.model(name).architecture
    assert 16 * kv_bytes(a, Full(), 30_000) / GIB == pytest.approx(OF_16_SAMPLES[name], abs=0.01)


def test_the_introductions_cache_is_table_1s_in_another_unit():
    model = catalogue.model("qwen3-4b")
    cache = kv_bytes(model.architecture, Full(), 30_000)
    assert cache / 1e9 == pytest.approx(4.42, abs=0.00501)
    assert cache / GIB == pytest.approx(4.12, abs=0.00501)


def test_the_introductions_weights_are_in_the_other_unit_so_the_cache_is_less_than_1_8_times_them():
    model = catalogue.model("qwen3-4b")
    weights = weights_bytes(model, catalogue.weights("gptq-4"))
    cache = kv_bytes(model.architecture, Full(), 30_000)
    assert weights / GIB == pytest.approx(2.49, abs=0.00501)
    assert cache / weights == pytest.approx(1.65, abs=0.01)
