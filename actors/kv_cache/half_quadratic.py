"""Half-quadratic quantisation (HQQ, Badri & Shaji 2023), with the numbers of the library hqq 0.2.8.

A group's levels are (code - zero) * scale. Its scale spans the group, scale = (max x - min x) / top with
top = 2^bits - 1, and stays. Its zero point is a real number, which begins at -min x / scale, and is moved to
make the sum of |e|^p small, p = 0.7, over the errors e = x - (code - zero) * scale. That norm forgives a few
large errors, so it is split: w holds the part of the errors that is forgiven, and for given w the best zero
point is a mean.

    code = round(x / scale + zero), within 0 and top
    w    = sign(e) * max(0, |e| - |e|^(p - 1) / beta)                  beta = 10
    zero = mean over the group of code - (x - w) / scale

These lines are repeated up to 20 times. The round whose mean |e| over the whole block is no less than that of
the round before is the last one. A block is what one call of the library gets: here the tokens of one KV head
that are packed together. The library has a factor by which beta grows (kappa), but its default optimiser does
not use it.
"""

import torch

ITERATIONS = 20
NORM = 0.7  # p
BETA = 10.0
FORGIVEN_FROM = BETA ** (1 / (NORM - 2))  # errors up to this size have w = 0; powers are slow
NARROW = 1e-4  # groups that span no more than this have scale 1, so all their codes are 0
LARGEST_INVERSE = 2e4  # largest 1 / scale
# A zero point beyond 16 bit makes its group's scale wider. The library's would be infinite.
LARGEST_ZERO = 65_000.0


def half_quadratic(
    x: torch.Tensor, dim: int, top: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes, scales and zero points in 32 bit; the latter two have size 1 in `dim`.

    x [..., three dimensions of a block], each of its groups along `dim`
    """
    low, high = x.amin(dim, keepdim=True), x.amax(dim, keepdim=True)
    inverse = torch.where(high - low > NARROW, top / (high - low), 1.0)
    inverse = inverse.clamp(max=LARGEST_INVERSE).minimum(LARGEST_ZERO / low.abs())
    zero = _refined(x, inverse, -low * inverse, dim, top)
    return _codes(x, inverse, zero, top), 1 / inverse, zero


def _refined(
    x: torch.Tensor, inverse: torch.Tensor, zero: torch.Tensor, dim: int, top: int
) -> torch.Tensor:
    """The zero points, moved until the mean error of their block falls no further."""
    least = torch.full((*x.shape[:-3], 1, 1, 1), torch.inf, device=x.device)
    improving = torch.ones_like(least, dtype=torch.bool)
    for _ in range(ITERATIONS):
        codes = _codes(x, inverse, zero, top)
        errors = x - (codes - zero).div_(inverse)
        likely = (x - _forgiven(errors)).mul_(inverse)
        zero = torch.where(improving, codes.sub_(likely).mean(dim, keepdim=True), zero)
        error = errors.abs_().mean((-3, -2, -1), keepdim=True)
        improving = improving & (error < least)
        if not improving.any():
            break
        least = error
    return zero


def _codes(x: torch.Tensor, inverse: torch.Tensor, zero: torch.Tensor, top: int) -> torch.Tensor:
    return (x * inverse).add_(zero).round_().clamp_(0, top)


def _forgiven(errors: torch.Tensor) -> torch.Tensor:
    """The proximal operator of the norm: nothing of a small error, most of a large one."""
    sizes = errors.abs()
    if sizes.max() <= FORGIVEN_FROM:
        return torch.zeros_like(errors)
    return sizes.sub_((sizes ** (NORM - 1)).div_(BETA)).clamp_(min=0).mul_(errors.sign())
