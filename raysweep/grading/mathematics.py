r"""Mathematics: the last whole box, or what math-verify finds in a text without one.

Nearly all answers are plain numbers: those are read here, exactly, without loading a computer algebra
system. The rest is `symbolic`'s, in a worker process. A number has one canonical form (70, 3/2), so that
votes can be counted; where an answer has none it stays as it was written.
"""

import re
from fractions import Fraction
from functools import lru_cache

from raysweep.grading.boxes import last_box, open_box
from raysweep.grading.outcomes import Graded, Nothing

LONGEST = 2000  # characters of a text without a box; an answer stands at its end

# A layer around an expression that does not change it.
LAYERS = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"\$\$?([^$]*)\$\$?",
        r"\\\(((?:(?!\\\().)*)\\\)",
        r"\\\[((?:(?!\\\[).)*)\\\]",
        r"\*\*([^*]*)\*\*",
        r"\\boxed\{(.*)\}",
        r"\\(?:text|textbf|mathrm|mathbf|displaystyle)\s*\{([^{}]*)\}",
        r"\{([^{}]*)\}",
        r"\\(?:large|Large|LARGE|huge|Huge|bf|rm)\b\s*(.*)",
        r"\\(?:text)?color\s*\{[^{}]*\}\s*(.*)",
        r"\\underline\s*\{([^{}]*)\}",
        r"\\text\w*\s*\{[^{}]*[Aa]nswer[^{}]*\}\s*(.*)",
        r"(?:=|≈|\\approx\b|\\equiv\b)\s*(.*)",
        r"(.*\S)\s*\\pmod\s*\{[^{}]*\}",
        r"(.*\S)\s*(?:[,;]|\\\\|(?<!\\)(?<!\\right)\.)",  # a full stop, or what stands for one
    )
]
SPACE = re.compile(r"(?<!\\)\\[,;:!> ]|\\quad|\\qquad|~|[\u00a0\u2009\u202f\u200b]")
# Groups of three digits: a comma groups only where nothing but one number stands, and not in (1,200).
COMMAS = re.compile(r"([+-]?\d{1,3})((?:(?:,|\{,\}| )\d{3})+)(\.\d+)?")
SPACES = re.compile(r"(?<![\d.,])([+-]?\d{1,3})((?:(?:\{,\}| )\d{3})+)(?![\d,])")
PERCENT = re.compile(r"\s*\\?%$")
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
DECIMAL = re.compile(NUMBER)
FRACTION = re.compile(
    rf"({NUMBER})\s*/\s*({NUMBER})|([+-]?)\\[dt]?frac\{{({NUMBER})\}}\{{({NUMBER})\}}"
)
SHORT_FRACTION = re.compile(r"([+-]?)\\[dt]?frac\s*(\d)\s*(\d)")
CANONICAL = re.compile(r"[-\d/.,e≈∞i+\N{UNION}{}()\[\] ]+")

TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf)\s*\{([^{}]*)\}")
STATED = re.compile(r"(?i)\banswer(?:\s+is)?[\s:*]+([^\n]+)\s*\Z")
WORD = re.compile(r"[A-Za-z]{2}")


def extract(text: str, ended: bool) -> str | Nothing:
    """The answer in its box; the text's end where no box was opened."""
    box, opened = last_box(text), open_box(text)
    if not ended and (box is None or opened is not None):
        return Nothing.CUT_OFF
    if box is None and opened is not None:
        box = opened.split("\n")[0]
    if box is not None:
        return boxed(box) if undressed(box).strip("\\ ") else Nothing.UNANSWERED
    return text.strip()[-LONGEST:] or Nothing.UNANSWERED


def boxed(expression: str) -> str:
    return f"\\boxed{{{expression}}}"


def judge(answer: str, gold: str) -> Graded | None:
    """The outcome where plain reading decides it; None where algebra must."""
    said, expected = number(answer), number(gold)
    if said is not None and expected is not None:
        if said == expected:
            return Graded(str(said), "correct")
        if said.denominator == expected.denominator == 1:
            return Graded(str(said), "wrong")
        return None
    if is_text(gold) and WORD.search(last_box(answer) or answer):
        same = plain_text(answer) == plain_text(gold)
        return Graded(plain_text(answer), "correct" if same else "wrong")
    return None


def check_gold(gold: str) -> None:
    """Raise ValueError for a gold answer that is no answer. Whether algebra reads it is seen later."""
    if not gold.strip():
        raise ValueError("the gold answer is empty")
    if last_box(boxed(gold)) is None:
        raise ValueError("its braces are not balanced")


@lru_cache(maxsize=4096)
def number(text: str) -> Fraction | None:
    """The value of a text that is one number and nothing else, however it is dressed."""
    plain = undressed(text)
    if grouped := COMMAS.fullmatch(plain):
        plain = grouped[1] + re.sub(r"\D", "", grouped[2]) + (grouped[3] or "")
    if DECIMAL.fullmatch(plain):
        return Fraction(plain)
    if short := SHORT_FRACTION.fullmatch(plain):
        plain = f"{short[1]}{short[2]}/{short[3]}"
    if found := FRACTION.fullmatch(plain):
        sign = -1 if found[3] == "-" else 1
        above, below = Fraction(found[1] or found[4]), Fraction(found[2] or found[5])
        return sign * above / below if below else None
    return None


def undressed(text: str) -> str:
    """Without what changes no value: delimiters, spaces between groups of digits, a percent sign."""
    plain = SPACE.sub(" ", text.replace("\N{MINUS SIGN}", "-")).strip()
    while found := next(filter(None, (layer.fullmatch(plain) for layer in LAYERS)), None):
        plain = found[1].strip()
    plain = PERCENT.sub("", plain)
    return SPACES.sub(lambda n: n[1] + re.sub(r"\D", "", n[2]), plain)


def is_text(gold: str) -> bool:
    """Whether a gold answer is words, not an expression: "Evelyn", "\\text{east}"."""
    words = plain_text(gold)
    marked = bool(TEXT_COMMAND.fullmatch(gold.strip().strip("$")))
    return bool(re.fullmatch(r"[a-z][a-z ,.'-]*", words)) and (marked or len(words) > 3)


def plain_text(text: str) -> str:
    """In lower case, without text commands, delimiters and superfluous spaces."""
    box = last_box(text)
    stated = STATED.search(text) if box is None else None
    bare = TEXT_COMMAND.sub(r"\1", (stated and stated[1]) or box or text)
    return " ".join(bare.strip("$().*\\ \n").casefold().split())


def has_canonical_form(answer: str) -> bool:
    """Whether equal answers in this form are equal texts; others must be compared by algebra."""
    return CANONICAL.fullmatch(answer) is not None
