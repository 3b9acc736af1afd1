"""On a real model too, a row's sample is the same alone and in a batch."""

import pytest
import torch
from support.tiny_models import run
from with_real_model.real_model import decoded, make_engine, requests

from actors.kv.full import Full
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from raysweep.kv_policy import KVPolicy

# Small enough to evict or pack within a prompt and these few tokens.
POLICIES = [
    Full(),
    RKV(budget=32, buffer=16),
    Quantized(4, group_size=16, residual=16),
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)
def test_a_row_alone_equals_the_row_in_a_batch(policy: KVPolicy):
    wanted = requests(16, temperature=1.0)
    together = run(make_engine(policy, len(wanted), torch.bfloat16), wanted)
    (alone,) = run(make_engine(policy, 1, torch.bfloat16), {3: wanted[3]}).values()
    assert decoded(alone) == decoded(together[3])
