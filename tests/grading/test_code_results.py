"""How a program's output and a function's result are compared with the expected one."""

import pytest

from raysweep.grading.code_results import same_result, same_text


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("6", "6\n"),
        ("1 2 3 \n", "1 2 3"),
        ("3.0", "3"),
        ("1e-07", "0.0000001"),
        ("+1 .5", "1 0.50"),
        ("a\fb", "a\fb"),
        ("a\r\nb", "a\nb"),
        ("1" + "0" * 5000, "1" + "0" * 5000 + ".0"),
    ],
)
def test_texts_that_say_the_same_line_by_line_are_equal(said: str, expected: str):
    assert same_text(said, expected)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("YES", "Yes"),
        ("0.33", "0.333333333333"),
        ("0.3333333333333333", "0.333333333333"),
        ("50000000000000001", "50000000000000000"),
        ("1_0", "10"),
        ("\uff11\uff12", "12"),
        ("inf", "INF"),
        ("1\n2", "1 2"),
        ("a\fb", "a\nb"),
        ("a\u2028b", "a\nb"),
        ("x 1.0", "x 1"),
        ("1e999999999999999999999", "1"),
        ("", "0"),
    ],
)
def test_texts_that_differ_are_not(said: str, expected: str):
    assert not same_text(said, expected)


@pytest.mark.parametrize(
    ("said", "expected", "same"),
    [
        ("0.333333", "0.333333333333", True),
        ("0.3334", "0.333333333333", False),
        ("1000000.5", "1000000", True),
        ("3.0000001", "3", True),
        ("Case 1: 0.1000001", "Case 1: 0.1", True),
        ("Case 2: 0.1", "Case 1: 0.1", False),
        ("100000000000000001", "100000000000000000", False),
        ("1e999999999999999999", "1", False),
        ("inf", "1.5", False),
        ("nan", "1.5", False),
        ("0.1 0.2", "0.1", False),
    ],
)
def test_a_tolerance_is_for_real_numbers_alone(said: str, expected: str, same: bool):
    assert same_text(said, expected, 1e-6) is same


@pytest.mark.parametrize(
    ("said", "expected", "tolerance", "same"),
    [
        ("[1, 2]", "[1,2]", None, True),
        ("2.0", "2", None, True),
        ("1", "true", None, True),
        ("null", "null", None, True),
        ("9" * 5000, "9" * 5000, None, True),
        ("9" * 5000, "9" * 4999 + "8", None, False),
        ("0.30000000000000004", "0.3", None, False),
        ("NaN", "2", None, False),
        ("[1]", "[1, 2]", None, False),
        ("", "1", None, False),
        ("[" * 100_000, "1", None, False),
        ("0.30000000000000004", "0.3", 1e-6, True),
        ('{"a": [0.30000000000000004, 4]}', '{"a": [0.3, 4]}', 1e-6, True),
        ('{"b": 0.3}', '{"a": 0.3}', 1e-6, False),
        ("[0.3]", "[0.3, 0.3]", 1e-6, False),
        ("1000001.0", "1000000", 1e-6, True),
        ("10000001", "10000000", 1e-6, False),
        ("true", "1.0000001", 1e-6, False),
        ("NaN", "2.5", 1e-6, False),
        ("5", "Infinity", 1e-6, False),
        ('"0.3"', '"0.30"', 1e-6, False),
    ],
)
def test_results_are_compared_as_json(
    said: str, expected: str, tolerance: float | None, same: bool
):
    assert same_result(said, expected, tolerance) is same
