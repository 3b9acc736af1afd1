"""Counter-based sampling: a token is a function of its logits, its sample's key and its position.

There is no generator with a state, so neither the order of a batch nor a restart changes a sample.
"""

from collections.abc import Sequence

import numpy as np
import torch

from actors import kernels
from raysweep.spec import Sampling

# Candidates for a token where top-p or min-p is set without top-k, and the factor by which they grow.
FIRST_CANDIDATES = 1024
NOTHING = -1  # in place of a token that cannot be drawn
MORE_CANDIDATES = 8

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def uniforms(keys: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """One number in [0, 1) for each (key, position): SplitMix64's mixing of the pair (Steele 2014)."""
    counters = keys.astype(np.uint64) + _mix(positions.astype(np.uint64) * _GOLDEN)
    return (_mix(counters) >> np.uint64(11)).astype(np.float64) / 2.0**53


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def draw_each(
    logits: torch.Tensor, draws: np.ndarray, samplings: Sequence[Sampling]
) -> torch.Tensor:
    """A token for each row [rows], sampled in the row's own way; NOTHING if its logits are not finite."""
    if kernels.used_on(logits.device):
        return _draw_by_kernel(logits, draws, samplings)
    ways: dict[Sampling, list[int]] = {}
    for row, sampling in enumerate(samplings):
        ways.setdefault(sampling, []).append(row)
    tokens = torch.empty(len(logits), dtype=torch.long, device=logits.device)
    for sampling, rows in ways.items():
        tokens[rows] = draw_tokens(logits[rows], draws[rows], sampling)
    return torch.where(is_finite(logits), tokens, NOTHING)


def _draw_by_kernel(
    logits: torch.Tensor, draws: np.ndarray, samplings: Sequence[Sampling]
) -> torch.Tensor:
    from actors.kernels.draw import draw

    def each(name: str, dtype: torch.dtype) -> torch.Tensor:
        numbers = [getattr(sampling, name) for sampling in samplings]
        return torch.tensor(numbers, dtype=dtype, device=logits.device)

    temperature, top_p, min_p = (
        each(name, torch.float32) for name in ("temperature", "top_p", "min_p")
    )
    uniform = torch.from_numpy(draws).to(logits.device)
    return draw(logits, uniform, temperature, each("top_k", torch.int32), top_p, min_p)


def draw_tokens(logits: torch.Tensor, draws: np.ndarray, sampling: Sampling) -> torch.Tensor:
    """A token for each row of logits [rows, vocabulary], chosen by `draws` [rows] in [0, 1).

    Top-k is applied first, then top-p, then min-p, as in transformers. Top-p keeps the smallest set of the
    likeliest tokens whose probability reaches it. Min-p keeps the tokens whose probability is at least that
    share of the likeliest one's. The likeliest token is always kept.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    scaled = logits.float() / sampling.temperature
    if sampling.top_k == 0 and sampling.top_p == 1 and sampling.min_p == 0:
        return _invert(scaled.softmax(-1), draws)
    vocabulary = scaled.shape[-1]
    if sampling.top_k:
        best, tokens = scaled.topk(min(sampling.top_k, vocabulary), dim=-1)
        return _choose(best.softmax(-1), tokens, draws, sampling)[0]
    return _draw_from_nucleus(scaled.softmax(-1), draws, sampling, FIRST_CANDIDATES)


def _draw_from_nucleus(
    probabilities: torch.Tensor, draws: np.ndarray, sampling: Sampling, candidates: int
) -> torch.Tensor:
    """Draw where top-p or min-p drops an end of the sorted vocabulary: only its likeliest tokens are sorted.

    A row in which all `candidates` are kept may keep more tokens, and is drawn again from more of them. So
    the result is that of sorting the whole vocabulary.

    probabilities: [rows, vocabulary]
    """
    vocabulary = probabilities.shape[-1]
    best, tokens = probabilities.topk(min(candidates, vocabulary), dim=-1)
    drawn, ends = _choose(best, tokens, draws, sampling)
    open_rows = (~ends).nonzero()[:, 0]
    if len(open_rows) and candidates < vocabulary:
        again = draws[open_rows.numpy(force=True)]
        more = MORE_CANDIDATES * candidates
        drawn[open_rows] = _draw_from_nucleus(probabilities[open_rows], again, sampling, more)
    return drawn


def _choose(
    probabilities: torch.Tensor, tokens: torch.Tensor, draws: np.ndarray, sampling: Sampling
) -> tuple[torch.Tensor, torch.Tensor]:
    """A token for each row, and whether top-p or min-p drops the row's last candidate: [rows] each.

    probabilities, tokens: [rows, candidates], the likeliest first
    """
    before = probabilities.cumsum(-1) - probabilities
    dropped = (before >= sampling.top_p) | (probabilities < sampling.min_p * probabilities[:, :1])
    dropped[:, 0] = False
    chosen = _invert(probabilities.masked_fill(dropped, 0.0), draws)
    return tokens.gather(-1, chosen[:, None])[:, 0], dropped[:, -1]


def is_finite(logits: torch.Tensor) -> torch.Tensor:
    """For each row of logits [rows, vocabulary], whether a token can be drawn: [rows].

    Only the largest logit is checked: NaN counts as the largest, and -inf excludes a token on purpose.
    """
    return logits.amax(-1).isfinite()


def _invert(probabilities: torch.Tensor, draws: np.ndarray) -> torch.Tensor:
    """The first index at which the cumulative probability exceeds the draw's share of the total."""
    cumulative = probabilities.double().cumsum(-1)
    thresholds = torch.from_numpy(draws).to(cumulative.device) * cumulative[:, -1]
    # A draw just below 1 may round up to the total; the last token with any probability is meant then.
    thresholds = torch.minimum(
        thresholds, torch.nextafter(cumulative[:, -1], torch.zeros_like(thresholds))
    )
    found = torch.searchsorted(cumulative, thresholds[:, None], right=True)[:, 0]
    return found.clamp_max(cumulative.shape[-1] - 1)  # nothing is found among NaN, see `is_finite`
