"""Drawing without sorting, against `sampling.draw_tokens`, which sorts."""

import pytest
import torch
from support.interpreted import counted

from actors.kernels.draw import CANDIDATES, draw
from actors.torch_engine.sampling import draw_tokens
from raysweep.spec import Sampling

KINDS = [
    Sampling(temperature=0.6, top_p=0.95, top_k=20),  # Qwen3
    Sampling(temperature=1.0),
    Sampling(temperature=0.6, top_p=0.95),  # DeepSeek's distillations
    Sampling(temperature=0.0, top_p=0.95, top_k=20),
    Sampling(temperature=1.5, min_p=0.1),
    Sampling(temperature=0.8, top_p=0.8, top_k=1000, min_p=0.02),
    Sampling(temperature=0.3),
    Sampling(temperature=1.0, top_k=3),
    Sampling(temperature=1.0, top_k=5, min_p=0.3),
    Sampling(temperature=1.0, top_p=0.3),
    Sampling(temperature=1.0, top_p=0.9, top_k=1),
]
NEAR = 1e-5  # of a boundary between tokens, where 32-bit sums may fall on either side


def drawn(logits: torch.Tensor, draws: torch.Tensor, kinds: list[Sampling]) -> torch.Tensor:
    """What the kernel draws if each row is sampled in its own way."""

    def column(name: str, dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor([getattr(kind, name) for kind in kinds], dtype=dtype)

    top_k = column("top_k", torch.int32)
    floats = [column(name, torch.float32) for name in ("temperature", "top_p", "min_p")]
    return draw(logits, draws, floats[0], top_k, *floats[1:])


def check(logits: torch.Tensor, seed: int) -> None:
    """A row's token has the logit of the twin's: of equal logits the twin takes them in any order."""
    generator = torch.Generator().manual_seed(seed)
    kinds = [KINDS[row % len(KINDS)] for row in range(len(logits))]
    draws = torch.rand(len(logits), generator=generator, dtype=torch.float64)
    for row, token in enumerate(drawn(logits, draws, kinds).tolist()):
        near = (draws[row] + torch.tensor([-NEAR, 0, NEAR])).clamp(0, 1 - 2**-53)
        twins = draw_tokens(logits[row].expand(3, -1), near.numpy(), kinds[row])
        assert logits[row, token] in logits[row, twins], (kinds[row], draws[row])


def random_logits(rows: int, vocabulary: int, spread: float, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(vocabulary)
    return (spread * torch.randn(rows, vocabulary, generator=generator) + 3).to(dtype)


# 11 ways of sampling, 22 rows each in bf16 and 11 in 32 bit: 3 * 22 + 3 * 22 + 4 * 11 + 3 * 11 = 209 cases.
@pytest.mark.parametrize("vocabulary", [2, 151, 3000])
@pytest.mark.parametrize("spread", [0.5, 4.0], ids=["flat", "peaked"])
def test_16_bit_logits_with_many_equal_ones(vocabulary, spread):
    check(random_logits(22, vocabulary, spread, torch.bfloat16), seed=vocabulary)


@pytest.mark.parametrize("vocabulary", [1, 40, 1024, 5000])
def test_32_bit_logits(vocabulary):
    check(random_logits(11, vocabulary, 3.0, torch.float32), seed=vocabulary)


@pytest.mark.parametrize("vocabulary", [5, 200, 2500])
def test_tokens_that_are_excluded_by_an_infinite_logit_are_never_drawn(vocabulary):
    logits = random_logits(11, vocabulary, 2.0, torch.float32)
    logits[:, ::2] = float("-inf")
    check(logits, seed=vocabulary)


def test_more_tokens_than_there_is_scratch_for_are_searched_in_the_row_itself():
    """Of a flat row more than 1,024 tokens are kept, and the last of them is drawn."""
    logits = random_logits(2, 4000, 0.001, torch.float32)
    kinds = [Sampling(temperature=1.0, top_p=0.9), Sampling(temperature=1.0, top_k=3000)]
    draws = torch.tensor([0.9999, 0.9999], dtype=torch.float64)
    tokens = drawn(logits, draws, kinds)
    for row, kept in enumerate((3600, 3000)):
        likelier = int((logits[row] > logits[row, tokens[row]]).sum())
        assert CANDIDATES.value < kept - 10 < likelier < kept


def test_equal_logits_come_in_the_order_of_the_vocabulary():
    """Tokens 1, 4, 5 and 7 are the likeliest, and three of them are kept."""
    logits = torch.tensor([0.0, 9, 1, 2, 9, 9, 3, 9]).expand(4, -1).contiguous()
    draws = torch.tensor([0.1, 0.5, 0.9, 0.0], dtype=torch.float64)
    three = Sampling(temperature=1.0, top_k=3)
    greedy = Sampling(temperature=0.0)
    assert drawn(logits, draws, [three, three, three, greedy]).tolist() == [1, 4, 5, 1]


def test_zeros_of_either_sign_are_equal():
    logits = torch.tensor([[-1.0, -0.0, 0.0, -2.0]])
    assert drawn(logits, torch.zeros(1).double(), [Sampling(temperature=0.0)]).tolist() == [1]


@pytest.mark.parametrize("draw_of_row", [0.0, 1 - 2**-53])
def test_draws_at_the_ends_mean_the_first_and_the_last_token_that_is_kept(draw_of_row):
    logits = torch.tensor([[1.0, 3.0, 2.0, 0.0, float("-inf")]]).expand(4, -1).contiguous()
    kinds = [
        Sampling(temperature=1.0),
        Sampling(temperature=1.0, top_k=2),
        Sampling(temperature=1.0, top_p=0.9),
        Sampling(temperature=1.0, min_p=0.1),
    ]
    draws = torch.full((4,), draw_of_row, dtype=torch.float64)
    expected = [0, 1, 1, 1] if draw_of_row == 0 else [3, 2, 0, 0]
    assert drawn(logits, draws, kinds).tolist() == expected


def test_a_row_whose_largest_logit_is_not_finite_gets_no_token():
    logits = torch.zeros(4, 6)
    logits[0, 2] = float("nan")
    logits[1, 3] = float("inf")
    logits[2] = float("-inf")
    draws = torch.full((4,), 0.5, dtype=torch.float64)
    assert drawn(logits, draws, [KINDS[0]] * 4).tolist() == [-1, -1, -1, 3]
    assert drawn(logits, draws, [Sampling(temperature=0.0)] * 4).tolist() == [-1, -1, -1, 0]


def test_the_vocabulary_is_read_four_times():
    """And 20 candidates, with what else is in their bins, are copied; a pass over scratch reads all of it."""
    vocabulary, room = 8192, CANDIDATES.value
    logits = random_logits(1, vocabulary, 4.0, torch.bfloat16)
    with counted() as traffic:
        drawn(logits, torch.tensor([0.3], dtype=torch.float64), [KINDS[0]])
    candidates, parameters = 3 * 4 + 4 + 1, 8 + 4 * 4 + 4
    assert traffic.loaded == 4 * 2 * vocabulary + candidates * 2 * room + parameters
    copied = (traffic.stored - 2 * room - 8) / (2 + 4)
    assert 20 <= copied <= 40


def test_on_the_meta_device_nothing_is_run():
    logits = torch.empty(3, 151936, dtype=torch.bfloat16, device="meta")
    numbers = torch.empty(3, device="meta")
    tokens = draw(logits, numbers.double(), numbers, numbers.int(), numbers, numbers)
    assert tokens.shape == (3,) and tokens.dtype == torch.int64
