"""The frontier in words and in the terminal: sentences and cells agree with the table."""

import io
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console
from support import result_tables
from support.candidates import contest, rival

from raysweep.analysis.threshold import POOLED
from raysweep.reporting.findings import Finding, best_point, find, memory_points
from raysweep.reporting.results import Results, points_of, where
from raysweep.reporting.study_findings import ADJUSTED, eviction_in_words, votes_in_words
from raysweep.reporting.terminal import MOST_ROWS, frontier_table
from raysweep.reporting.threshold_words import smooth_in_words, threshold_in_words, threshold_notes
from raysweep.storage.schemas import SCENARIOS
from raysweep.system.quantities import duration, human_bytes, human_count, interval, percent, tied


def found(frontier: pd.DataFrame) -> tuple[Finding, ...]:
    """Findings from a frontier alone, without the scores that the study's questions need."""
    return find(Results(SCENARIOS.empty_table().to_pandas(), frontier, {}))


def test_findings_pick_the_best_configuration_within_a_memory():
    frontier = result_tables.frontier(result_tables.scenarios())
    points = points_of(where(frontier, benchmark="chain", batch_size=1))
    for memory_bytes in (121e3, 1e6, 5e6, 1e9):
        affordable = [p.accuracy for p in points if p.memory_bytes <= memory_bytes]
        best = best_point(points, memory_bytes)
        assert best is not None
        assert best.accuracy == max(affordable)
    assert best_point(points, 1e3) is None
    finding = found(frontier)[0]
    assert percent(points[-1].expected) in finding.headline
    assert finding.picks[-1].accuracy == percent(points[-1].expected)


def test_findings_of_a_single_point_make_sense():
    one = result_tables.frontier(result_tables.scenarios()).head(1)
    (finding,) = found(one)
    assert finding.headline.startswith("The frontier has one configuration: ")
    assert len(finding.picks) == 1


@pytest.mark.parametrize(
    ("group_sizes", "shares", "said"),
    [
        ([1], [0.9], ["1 of 1 configuration stays on"]),
        (
            [1, 4],
            [0.9, 0.2],
            ["1 of 2 configurations on the frontier uses voting", "1 of 2 configurations stays on"],
        ),
        (
            [2, 4],
            [0.2, 0.2],
            ["2 of 2 configurations on the frontier use voting", "0 of 2 configurations stay on"],
        ),
    ],
)
def test_findings_count_one_in_the_singular(group_sizes, shares, said):
    frontier = result_tables.frontier(result_tables.scenarios())
    rows = where(frontier, benchmark="chain", batch_size=1).head(len(shares))
    (finding,) = found(rows.assign(group_size=group_sizes, p_on_frontier=shares))
    for words in said:
        assert words in " ".join(finding.notes)


def test_the_studys_questions_are_answered_in_words():
    chain, facts = find(result_tables.results())
    assert (
        "Scale threshold: 416 kB of weights (95% interval 208 kB to 788 kB). Below it, memory is better "
        "spent on more weights, above it on more tokens." in chain.notes
    )
    assert (
        "Scale threshold: these data do not decide it, because the difference between more weights and "
        "more tokens is not significant." in facts.notes
    )
    votes, other = (
        next(note for note in finding.notes if "thinks longer" in note)
        for finding in (chain, facts)
    )
    assert votes.startswith("One sample that thinks longer is better than votes at ")
    assert votes.endswith("of the 25 memories compared, and votes are at none" + ADJUSTED)
    assert other.startswith("Votes are first better than one sample that thinks longer at 190 kB")


def test_votes_are_announced_from_the_first_memory_where_the_data_decide_it():
    def said(gain: float, noise: float) -> str:
        voting = rival(10, 30, 0.5 + gain, group_size=4)
        (note,) = votes_in_words(contest(rival(10, 10, 0.5), voting, noise=noise), 1)
        return note

    assert said(0.2, noise=0.1).startswith(
        "Votes are first better than one sample that thinks longer at 40 B, where the best has G = 4. "
        "They are better at 1 of the 1 memory compared"
    )
    assert said(0.02, noise=0.3) == (
        "Whether votes are better than one sample that thinks longer is not decided by these data at any "
        "of the 1 memory compared."
    )


def test_models_where_evicting_is_better_are_named_only_if_the_data_decide_it():
    def said(gain: float, noise: float) -> list[str]:
        kinds = (("evicting", gain), ("quantized", 0.0))
        members = [
            rival(size, 10, 0.5 + more, kv_kind=kind, kv_policy=kind)
            for size in (10, 30)
            for kind, more in kinds
        ]
        return list(eviction_in_words(contest(*members, noise=noise), 1))

    assert said(0.2, noise=0.1) == [
        "In the KV cache, evicting tokens is better than storing them in fewer bits for toy-10 bf16, "
        f"toy-30 bf16, on average over memories (of 2 compared){ADJUSTED}"
    ]
    assert said(-0.2, noise=0.1)[0].startswith(
        "In the KV cache, storing tokens in fewer bits is better"
    )
    assert said(0.0, noise=0.0) == [
        "In the KV cache, evicting tokens and fewer bits are equally accurate on every question."
    ]
    assert said(0.0, noise=0.3) == [
        "Whether evicting tokens is better than storing them in fewer bits is not decided by these data for "
        "any model and precision (of 2 compared)."
    ]


def test_a_threshold_that_nothing_can_decide_has_no_numbers():
    said = threshold_in_words({"decided": False, "reason": "2 sizes are too few"})
    assert said == "Scale threshold: these data do not decide it, because 2 sizes are too few."


DECIDED = {
    "decided": True,
    "reason": "more weights win below it",
    "weights_bytes": 4e9,
    "weights_bytes_lo": 2e9,
    "weights_bytes_hi": 8e9,
}
UNDECIDED = {"decided": False, "reason": "no change is significant"}


def test_a_smooth_law_is_labelled_and_warned_of_where_it_does_not_fit():
    (fits,) = smooth_in_words({**UNDECIDED, "smooth": {**DECIDED, "fit_p_value": 0.31}})
    assert fits == (
        "By a smooth law of accuracy, which the data fit (p = 0.31): 4 GB of weights (95% interval 2 GB to "
        "8 GB). Below it, memory is better spent on more weights, above it on more tokens."
    )
    (unfit,) = smooth_in_words({**DECIDED, "smooth": {**UNDECIDED, "fit_p_value": 0.0002}})
    assert unfit == (
        "By a smooth law of accuracy, which the data do not fit (p < 0.001): these data do not decide it, "
        "because no change is significant. This second answer is unreliable."
    )
    assert not list(smooth_in_words({**DECIDED, "smooth": None}))


def test_a_pooled_threshold_says_whether_the_benchmarks_agree():
    agree, differ = (
        threshold_in_words({**DECIDED, "agreement_p_value": p_value}) for p_value in (0.6, 0.002)
    )
    for words in (agree, differ):
        assert words.startswith("Scale threshold of all benchmarks together: 4 GB of weights")
    assert agree.endswith("The benchmarks do not differ significantly (p = 0.6).")
    assert differ.endswith(
        "The benchmarks differ from each other (p = 0.002), so this describes none of them."
    )


def test_the_pooled_threshold_is_said_once_beside_the_last_benchmarks_own():
    results = result_tables.results()
    pooled = {**DECIDED, "benchmark": POOLED, "batch_size": 1, "agreement_p_value": 0.6}
    thresholds = [*results.summary["thresholds"], pooled, {**pooled, "batch_size": 16}]
    with_pooled = replace(results, summary={**results.summary, "thresholds": thresholds})
    (own,) = threshold_notes(with_pooled.of("chain"), batch_size=1)
    assert own.startswith("Scale threshold: ")
    own, together = threshold_notes(with_pooled.of("facts"), batch_size=1)
    assert own.startswith("Scale threshold: ")
    assert together.startswith("Scale threshold of all benchmarks together: ")


def test_memory_points_are_round_and_distinct():
    assert memory_points([120e3, 150e3, 1.2e6, 13e6], 4) == (200e3, 2e6, 20e6)
    assert memory_points([1e9], 4) == (1e9,)
    many = memory_points([1.1e9 * 1.5**i for i in range(20)], 4)
    assert len(many) == 4
    assert many[0] >= 1.1e9
    assert many[-1] >= 1.1e9 * 1.5**19


def test_the_terminal_table_fits_in_a_hundred_columns_and_keeps_its_numbers():
    frontier = result_tables.frontier(result_tables.scenarios())
    frontier = where(frontier, benchmark="chain", batch_size=1).head(MOST_ROWS)
    long = frontier.assign(model="deepseek-r1-distill-[red]qwen-1.5b", kv_policy="kv_policy-" * 4)
    for table in (frontier, long):
        output = io.StringIO()
        Console(file=output, width=100).print(frontier_table(table, "chain", 1, 375))
        assert max(map(len, output.getvalue().splitlines())) <= 100
        expected = 0.0
        for point in points_of(where(table, benchmark="chain", batch_size=1)):
            if point.expected > expected:
                assert human_bytes(point.memory_bytes) in output.getvalue()
                assert interval(point.expected_lo, point.expected_hi) in output.getvalue()
            expected = point.expected


def test_the_terminal_leaves_out_and_counts_points_that_are_not_expected_to_gain():
    frontier = where(
        result_tables.frontier(result_tables.scenarios()), benchmark="chain", batch_size=1
    ).head(MOST_ROWS)
    points = points_of(frontier)
    assert len(points) >= 4
    alike = {point.memory_bytes: points[1].expected for point in points[1:4]}
    shared = frontier.assign(
        expected=[
            alike.get(memory, expected)
            for memory, expected in zip(frontier.memory_bytes, frontier.expected, strict=True)
        ]
    )
    table = frontier_table(shared, "chain", 1, 375)
    assert table.row_count == len({point.expected for point in points_of(shared)})
    left_out = len(points) - table.row_count
    assert left_out >= 2
    assert f"left out: {left_out} points of the frontier without an expected gain" in str(
        table.title
    )
    gaining = frontier.drop_duplicates("expected").head(3).sort_values("memory_bytes")
    rising = gaining.assign(expected=[0.1, 0.2, 0.3])
    assert "left out" not in str(frontier_table(rising, "chain", 1, 375).title)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (human_bytes(12), "12 B"),
        (human_bytes(999_900), "1 MB"),
        (human_bytes(172_500), "173 kB"),
        (human_bytes(15.04e9), "15 GB"),
        (human_count(1_720_000_000), "1.72B"),
        (percent(0.1225), "12.3%"),
        (percent(float("nan")), "–"),
        (duration(12.34), "12.3 s"),
        (duration(304), "5 min 4 s"),
        (duration(12_000), "3 h 20 min"),
        (tied("from 5 kB, 2 B and 3 points"), "from 5\u00a0kB, 2\u00a0B and 3 points"),
    ],
)
def test_quantities_are_written_for_people(written, text):
    assert written == text
