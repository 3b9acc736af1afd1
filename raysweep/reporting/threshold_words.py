"""The scale threshold in words: what these data, a smooth law, and all benchmarks together say of it."""

from collections.abc import Iterator

from raysweep.analysis.configurations import Row
from raysweep.analysis.threshold import POOLED
from raysweep.analysis.uncertainty import LEVEL
from raysweep.reporting.results import Results
from raysweep.system.quantities import human_bytes

# A p-value below this is called a difference, or a lack of fit.
SIGNIFICANT = 1 - LEVEL


def threshold_notes(results: Results, batch_size: int) -> Iterator[str]:
    """The threshold of these results, which are of one benchmark.

    The threshold of all benchmarks together is said once, beside the last of them by name.
    """
    known = results.summary.get("thresholds", [])
    last = max((one["benchmark"] for one in known if one["benchmark"] != POOLED), default="")
    for threshold in known:
        pooled = threshold["benchmark"] == POOLED and threshold["batch_size"] == batch_size
        if (pooled and last in results.candidates) or is_of(threshold, results, batch_size):
            yield " ".join([threshold_in_words(threshold), *smooth_in_words(threshold)])


def is_of(threshold: Row, results: Results, batch_size: int) -> bool:
    """Whether a threshold of summary.json is of these results and the batch size."""
    is_ours = threshold["benchmark"] in results.candidates
    return is_ours and threshold["batch_size"] == batch_size


def threshold_in_words(threshold: Row) -> str:
    """`Scale threshold: these data do not decide it, because ...`"""
    agreement = threshold.get("agreement_p_value")
    if agreement is None:
        return f"Scale threshold: {_verdict(threshold)}"
    said = (
        f"The benchmarks differ from each other ({_p(agreement)}), so this describes none of them."
        if agreement < SIGNIFICANT
        else f"The benchmarks do not differ significantly ({_p(agreement)})."
    )
    return f"Scale threshold of all benchmarks together: {_verdict(threshold)} {said}"


def smooth_in_words(threshold: Row) -> Iterator[str]:
    """`By a smooth law of accuracy, which the data fit (p = 0.31): 477 kB of weights ...`"""
    smooth = threshold.get("smooth")
    if not smooth:
        return
    fits = smooth["fit_p_value"] >= SIGNIFICANT
    law = f"which the data {'fit' if fits else 'do not fit'} ({_p(smooth['fit_p_value'])})"
    warning = "" if fits else " This second answer is unreliable."
    yield f"By a smooth law of accuracy, {law}: {_verdict(smooth)}{warning}"


def _verdict(threshold: Row) -> str:
    if not threshold["decided"]:
        return f"these data do not decide it, because {threshold['reason']}."
    size, low, high = (
        human_bytes(threshold[f"weights_bytes{bound}"]) for bound in ("", "_lo", "_hi")
    )
    return (
        f"{size} of weights (95% interval {low} to {high}). Below it, memory is better "
        "spent on more weights, above it on more tokens."
    )


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
