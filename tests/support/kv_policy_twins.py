"""Slow twins of the KV-cache policies: what the papers say, in loops, for one sequence at a time.

R-KV is arXiv 2505.24133 (and its published code), SnapKV 2404.14469, H2O 2306.14048, StreamingLLM
2309.17453. All in float64 numpy, with nothing of the project imported, so that an agreement with
the fast code means something. `keys` is [kv_heads, tokens, head_dim], already rotated; `queries`
is [kv_heads, group, tokens, head_dim]. Every `kept_by_...` answers with the positions held after
each token; of equal scores, which max-pooling makes common, the older position is kept.
"""

import math
from collections.abc import Callable

import numpy as np

SIMILAR = 0.5  # two keys whose cosine exceeds this are near copies, to R-KV
NORM_GUARD = 1e-8  # added to every norm, so that a zero key has cosine 0 with all others

Kept = list[list[list[int]]]  # [token][kv head] -> positions held, increasing


def softmax(logits: np.ndarray) -> np.ndarray:
    """[n] -> [n], summing to 1."""
    powers = np.exp(logits - np.max(logits))
    return powers / np.sum(powers)


def attention_weights(query: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The weights [held] of one query [head_dim] over the keys [held, head_dim]."""
    return softmax(np.array([query @ key / math.sqrt(len(query)) for key in keys]))


def attention(queries_at_t: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[group, head_dim], [held, head_dim], [held, head_dim] -> [group, head_dim]."""
    outputs = []
    for query in queries_at_t:
        output = np.zeros(values.shape[1])
        for weight, value in zip(attention_weights(query, keys), values, strict=True):
            output += weight * value
        outputs.append(output)
    return np.array(outputs)


def after_compression(
    held: list[int], scores: list[float], *, budget: int, window: int
) -> list[int]:
    """The positions kept of `held`; `scores` are those of the held tokens before the window."""
    older, newest = held[: len(held) - window], held[len(held) - window :]
    ranked = sorted(range(len(older)), key=lambda place: (-scores[place], place))
    return sorted(older[place] for place in ranked[: budget - window]) + newest


def importance(
    keys: np.ndarray, queries: np.ndarray, held: list[int], *, window: int, kernel: int
) -> list[float]:
    """SnapKV's score of each held token before the window.

    One KV head's keys [tokens, head_dim] and queries [group, tokens, head_dim].
    """
    older, now = held[: len(held) - window], held[-1]
    totals = np.zeros(len(older))
    for position in range(now - window + 1, now + 1):
        logits = []
        for other in older:
            dots = [query @ keys[other] for query in queries[:, position]]
            # Before the softmax: the group's heads share one ranking, the strongest of them wins.
            logits.append(max(dots) / math.sqrt(keys.shape[1]))
        totals += softmax(np.array(logits))
    means = totals / window
    return max_pooled(means, kernel)


def max_pooled(scores: np.ndarray, kernel: int) -> list[float]:
    """[n] -> n scores: the largest within kernel // 2 places, of those that there are."""
    assert kernel % 2 == 1, "an even kernel has no middle"
    reach = kernel // 2
    return [float(max(scores[max(0, i - reach) : i + reach + 1])) for i in range(len(scores))]


def redundancy(keys: np.ndarray) -> list[float]:
    """R-KV's redundancy of each held token, from the keys [held, head_dim] of one KV head."""
    held = len(keys)
    unit = [key / (math.sqrt(key @ key) + NORM_GUARD) for key in keys]
    cosines = np.zeros((held, held))
    for i in range(held):
        for j in range(held):
            if i != j:  # a token is no copy of itself
                cosines[i, j] = unit[i] @ unit[j]
    spared = cosines.copy()
    for i in range(held):
        similar = [j for j in range(held) if cosines[i, j] > SIMILAR]
        # The newest near copy is not counted as redundant. Without any, the published code's
        # "last index" comes out as 0 and the oldest token is spared: a quirk, kept on purpose.
        newest = similar[-1] if similar else 0
        spared[i, newest] = 0.0
    means = [sum(spared[i, j] for i in range(held)) / held for j in range(held)]
    return softmax(np.array(means)).tolist()


def kept_by_scores(
    scores_of: Callable[[int, list[int]], list[float]],
    *,
    kv_heads: int,
    tokens: int,
    budget: int,
    window: int,
    buffer: int,
) -> Kept:
    """Decode token by token; `scores_of(head, held)` scores the held tokens before the window."""
    held: list[list[int]] = [[] for _ in range(kv_heads)]
    history = []
    for token in range(tokens):
        for head in range(kv_heads):
            held[head] = [*held[head], token]
            if len(held[head]) == budget + buffer:
                scores = scores_of(head, held[head])
                held[head] = after_compression(held[head], scores, budget=budget, window=window)
        history.append([list(positions) for positions in held])
    return history


def kept_by_snap_kv(
    keys: np.ndarray, queries: np.ndarray, *, budget: int, window: int, buffer: int, kernel: int
) -> Kept:
    """What the last window's queries look at is kept."""

    def scores_of(head: int, held: list[int]) -> list[float]:
        return importance(keys[head], queries[head], held, window=window, kernel=kernel)

    kv_heads, tokens, _ = keys.shape
    return kept_by_scores(
        scores_of, kv_heads=kv_heads, tokens=tokens, budget=budget, window=window, buffer=buffer
    )


def kept_by_r_kv(
    keys: np.ndarray,
    queries: np.ndarray,
    *,
    budget: int,
    window: int,
    buffer: int,
    kernel: int,
    importance_weight: float,
) -> Kept:
    """What is looked at and is not said again elsewhere is kept."""

    def scores_of(head: int, held: list[int]) -> list[float]:
        looked_at = importance(keys[head], queries[head], held, window=window, kernel=kernel)
        # Copies in the window count too, and the softmax is over all that is held. The published
        # code takes the keys of the batch's first row for every row; a row's own are taken here.
        copied = redundancy(keys[head][held])[: len(looked_at)]
        return [
            importance_weight * a - (1 - importance_weight) * b
            for a, b in zip(looked_at, copied, strict=True)
        ]

    kv_heads, tokens, _ = keys.shape
    return kept_by_scores(
        scores_of, kv_heads=kv_heads, tokens=tokens, budget=budget, window=window, buffer=buffer
    )


def kept_by_h2o(
    keys: np.ndarray, queries: np.ndarray, *, budget: int, window: int, buffer: int
) -> Kept:
    """What has drawn the most attention, summed since it came, is kept."""
    kv_heads, tokens, _ = keys.shape
    held: list[list[int]] = [[] for _ in range(kv_heads)]
    drawn = np.zeros((kv_heads, tokens))  # never reset: a kept token's sum outlives a compression
    history = []
    for token in range(tokens):
        for head in range(kv_heads):
            held[head] = [*held[head], token]
            for query in queries[head, :, token]:
                weights = attention_weights(query, keys[head][held[head]])
                for position, weight in zip(held[head], weights, strict=True):
                    drawn[head, position] += weight
            if len(held[head]) == budget + buffer:
                older = held[head][: len(held[head]) - window]
                scores = [float(drawn[head, position]) for position in older]
                held[head] = after_compression(held[head], scores, budget=budget, window=window)
        history.append([list(positions) for positions in held])
    return history


def kept_by_streaming_llm(tokens: int, *, sinks: int, window: int) -> list[list[int]]:
    """The first `sinks` positions and the newest `window`, after each token."""
    return [
        [position for position in range(now + 1) if position < sinks or position > now - window]
        for now in range(tokens)
    ]


def rounded_symmetric(group: np.ndarray, bits: int) -> np.ndarray:
    """[n] -> [n]: the nearest of 2**bits - 1 levels that lie evenly about 0, which is one of them."""
    half = 2 ** (bits - 1) - 1
    # The scale is stored in float16, so that the codes are chosen for the scale that is read back.
    scale = float(np.float16(max(abs(float(x)) for x in group) / half))
    if scale == 0:
        return np.zeros(len(group))
    # halves go to the even level
    return np.array([min(max(round(float(x) / scale), -half), half) * scale for x in group])


def rounded_asymmetric(group: np.ndarray, bits: int) -> np.ndarray:
    """[n] -> [n]: the nearest of 2**bits levels from the least to the greatest of the group."""
    top = 2**bits - 1
    zero = float(np.float16(min(group)))
    scale = float(np.float16((float(max(group)) - float(min(group))) / top))
    if scale == 0:
        return np.full(len(group), zero)
    values = []
    for x in group:
        code = min(max(round((float(x) - zero) / scale), 0), top)
        values.append(code * scale + zero)
    return np.array(values)
