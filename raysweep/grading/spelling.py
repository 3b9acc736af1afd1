r"""The spelling of mathematics: one LaTeX text for the many ways in which models and data sets write it.

`spelled` maps Unicode to LaTeX, drops what changes no value (delimiters, fonts, thin spaces, units,
"The answer is"), and rewrites what a LaTeX parser misreads: grouped digits, `1.2e5`, `3 1/2`,
`0.\overline{3}`, `\mathrm{i}`, degrees and bases. Each rule is a pattern and what takes its place. No
rule computes, but that a repeating decimal becomes its fraction.
"""

# ruff: noqa: RUF001, SIM905  (signs that look alike are what this module is about; words are a list)

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

LONGEST = 2000  # characters; what is longer is left as it is, since some rules take quadratic time
LONGEST_MEASURED = 120  # of a number with its unit, or of a sentence with one number


def rules(*pairs: tuple[str, str | Callable[[re.Match[str]], str]]) -> tuple[Rule, ...]:
    return tuple((re.compile(pattern, re.DOTALL), new) for pattern, new in pairs)


# Characters

_WIDE = {chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)}
_SAME = {
    **dict.fromkeys("−–‐‑‒﹣", "-"),
    **dict.fromkeys("\ufeff\u200b\u200c\u200d\u2060€£¢", ""),
    **dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " "),
    **dict.fromkeys("·⋅∙", r"\cdot "),
    **dict.fromkeys("°º˚", r"^\circ "),
    **dict.fromkeys("⁄∕÷", "/"),
}
_COMMANDS = dict(
    zip(
        "∞π×≤≥⩽⩾≠≈∪∩∈∅±∖…ℝℤℕℚℂαβγδθλμφω⌊⌋⌈⌉",
        r"infty pi times le ge le ge ne approx cup cap in emptyset pm setminus ldots "
        r"mathbb{R} mathbb{Z} mathbb{N} mathbb{Q} mathbb{C} "
        r"alpha beta gamma delta theta lambda mu phi omega lfloor rfloor lceil rceil".split(),
        strict=True,
    )
)
CHARACTERS = str.maketrans(
    {**_WIDE, **_SAME, **{sign: f"\\{name} " for sign, name in _COMMANDS.items()}, "。": "."}
)
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}


def _vulgar(found: re.Match[str]) -> str:
    above, below = unicodedata.normalize("NFKC", found[0]).split("\N{FRACTION SLASH}")
    return rf"\frac{{{above}}}{{{below}}}"


SIGNS = rules(
    ("[⁰¹²³⁴-⁹⁺⁻ⁿ]+", lambda found: f"^{{{found[0].translate(RAISED)}}}"),
    ("[₀-₉]+", lambda found: f"_{{{found[0].translate(LOWERED)}}}"),
    ("[¼-¾⅐-⅞]", _vulgar),
    (r"([√∛∜])\s*\(([^()]*)\)", lambda found: f"{ROOTS[found[1]]}{{{found[2]}}}"),
    (
        r"([√∛∜])\s*(\d+(?:\.\d+)?|[A-Za-z]|\{[^{}]*\})",
        lambda found: f"{ROOTS[found[1]]}{{{found[2]}}}",
    ),
    (r"(?<=\d)\s*[\u3040-\u30ff\u4e00-\u9fff]+", ""),  # a counter: 6个
)

# Layers: what stands around an expression and does not change it

FONT = (
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|hbox|boldsymbol|bm|operatorname)\s*"
)
LEAD = (
    r"(?:so|thus|therefore|hence)?,?\s*(?:the\s+|our\s+|my\s+)?(?:final\s+|correct\s+)?"
    r"(?:answer|result|solution)\s*(?:is|are|[:=])\s*:?"
)
LAYERS = [
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        r"\$\$?((?:[^$\\]|\\.)*)\$\$?",
        r"\\\(((?:(?!\\\().)*)\\\)",
        r"\\\[((?:(?!\\\[).)*)\\\]",
        r"\*\*([^*]*)\*\*",
        r"\\boxed\s*\{(.*)\}",
        FONT + r"\{([^{}]*)\}",
        r"\{([^{}]*)\}",
        r"\\(?:large|huge|bf|rm|displaystyle|phantom\{[^{}]*\})(?![a-z])\s*(.*)",
        r"\\(?:text)?color\s*\{[^{}]*\}\s*(.*)",
        r"\\underline\s*\{([^{}]*)\}",
        r"\\text\w*\s*\{[^{}]*(?:answer[^{}]*|\b(?:about|approximately|total|is)|:)\s*\}\s*(.*)",
        r"(?:approximately|approx\.|about|roughly|exactly)\s+(.*)",
        LEAD + r"(?=[\s\d$\\*-])\s*(.*)",
        r"(?:=|\\approx\b|\\equiv\b)\s*(.*)",
        r"(.*\S)\s*\\pmod\s*\{[^{}]*\}",
        r"(.*\S)\s*(?:[,;]|\\\\|(?<!\\)(?<!\\right)(?<!\.\.)\.)",  # a full stop, or what stands for one
        r"((?:(?!\\\[).)*\S)\s*\\\]",  # a delimiter that was opened before the box
        r"((?:(?!\\\().)*\S)\s*\\\)",
        r"([^$]*[^$\s\\])\s*\$\$?",
        r"(.*\S)\s*```",
        r"(.*?[\d})])\s*,?\s+(?:\\text\s*\{\s*|\(\s*)?(?:because|since|as|which)\b.*",
        r"(.*?[\d})$])\s*[.;]\s+(?-i:[A-Z])[a-z]+\b.*",  # another sentence
    )
]

# Rules of notation, in this order

SPACES = rules(
    (r"(?<=\d)\s*(?:,\s*\\!|\\!\s*,|\{,\}|\\!|,\s*\{\s*\\!\s*\})\s*(?=\d{3}(?!\d))", ""),
    (r"\\!", ""),
    (r"(?<!\\)\\(?:[,;:> ]|quad(?![a-z])|qquad(?![a-z]))|~", " "),
)
# Words after a number that are no unit of it.
NO_UNIT = (
    r"\b(?:and|or|to|if|is|base|[ap]\.?m|hundred|thousand|million|billion|trillion|dozen|half|third"
    r"|squared|cubed|factorial|plus|minus|sqrt|infty)\b"
)
COMMANDS = rules(
    (r"\\[dtc]frac(?![a-z])", r"\\frac"),
    (r"\\[dt]binom(?![a-z])", r"\\binom"),
    (r"\\(?:dots|cdots|dotsc)(?![a-z])", r"\\ldots"),
    (r"\\(?:varnothing|O)(?![a-z])", r"\\emptyset"),
    (r"\\le(?:q|qslant|slant)(?![a-z])|<=", r"\\le "),
    (r"\\ge(?:q|qslant|slant)(?![a-z])|>=", r"\\ge "),
    (r"!=", r"\\ne "),
    (r"\\phantom\s*\{[^{}]*\}|\\displaystyle(?![a-z])", ""),
    (r"\\\\\s*\[[^\]\\]*\]", r"\\\\ "),  # a line's height: \\[4pt]
    (r"(?:\\\\\s*)+(?=\\end\b)", ""),
    (FONT + r"\{\s*([ie]|\d+)\s*\}", r" \1"),
    (r"\\imath(?![a-z])", " i"),
    (r"(?<![\\A-Za-z])pi(?![A-Za-z])", r"\\pi "),
    (r"(?<![\\A-Za-z])(?:inf|infinity|infty)(?![A-Za-z])", r"\\infty "),
    (r"\+\s*(?=\\infty)", ""),
    (r"(?<![\\A-Za-z])sqrt\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+))",
     lambda found: rf"\sqrt{{{found[1] or found[2] or found[3]}}}"),
    (r"\\?(?<![A-Za-z])exp\s*(?:\\left)?\(([^()]*?)(?:\\right)?\)", r"e^{\1}"),
    (r"\\log\s*_\s*\{?\s*e\s*\}?", r"\\ln "),
    (r"(?<![\\A-Za-z])(ln|log|sin|cos|tan|arcsin|arccos|arctan)(?![A-Za-z])", r"\\\1 "),
    (r"(?<=\w)\*\*(?=[\w({])", "^"),
    (r"(?<=[\w)}])\s*\*\s*(?=[\w({\\])", r"\\cdot "),
)  # fmt: skip
DEGREE = r"(?:\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\\degree(?![a-z])|\\textdegree(?![a-z]))"
DEGREES_OF_ANGLE = re.compile(rf"(\d+(?:\.\d+)?)\s*{DEGREE}")
TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
UNIT_WORD = (
    r"(?:[A-Za-z]{4,}\.?|(?:mm|cm|km|in|ft|yd|mi|mg|kg|lb|oz|ml|hr|min|sec|mph|kph|st|nd|rd|th|sq|deg|rad"
    r"|day|way)s?\b\.?|\\text\w*\s*\{[^{}]*\})(?:\^\{?\d\}?)?"
)
UNITS = rules(
    (rf"\s*{DEGREE}(?:\s*(?:\\(?:text|mathrm)\s*)?\{{?\s*[CF]\b\}}?)?", ""),
    (r"\\\$(?=\s*[\d.\\-])", ""),
    (r"(?<=[\d}])\s*\^\s*\{\s*\\(?:text|mathrm)\s*\{\s*(?:st|nd|rd|th)\s*\}\s*\}", ""),
    (r"\s*(?:\\(?:text|mbox|mathrm)\s*\{)?\s*(?<![A-Za-z])(?:percent(?:age points?)?|pct\.?|per cent)\s*\}?$",
     r"\\%"),
    (rf"(?<=[\d}})])\s*(?:\\(?:text|mbox|mathrm|textrm|hbox)\s*\{{(?![^{{}}]*{NO_UNIT})[^{{}}]*[A-Za-z][^{{}}]*\}}"
     r"\s*(?:\^\s*\{?\s*-?\d\s*\}?)?\s*[./]?\s*)+$", ""),
)  # fmt: skip
MEASURED = re.compile(
    r"([^A-Za-z\\]*\d[^A-Za-z\\]*?|[+-]?\d*\s*(?:\\frac\s*\{\d+\}\s*\{\d+\}|\\sqrt\s*\{\d+\}|\\pi))"
    rf"\s*(?!.*{NO_UNIT})\(?{UNIT_WORD}(?:\s*[ /]\s*(?:{UNIT_WORD}|[hsm]\b))*\)?",
    re.DOTALL,
)
NUMBER_IN_WORDS = re.compile(
    r"[A-Za-z ,'$]*(?<![\w.,])(-?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?)(?![\w,/^])[A-Za-z ,.'$]*"
)
WORD = re.compile(r"[A-Za-z]{2,}")
CHANGES = re.compile(rf"(?i){NO_UNIT}|\b(?:not|no|negative|times|root|over|less|more|of)\b")
BASES = "two three four five six seven eight nine ten eleven twelve".split()
_DIGITS = r"(\d[0-9A-F]*)"
_WRITTEN_BASE = r"(\d+|" + "|".join(BASES) + ")"
BASE = re.compile(
    rf"\(?{_DIGITS}\)?\s*(?:_\s*\{{?\s*\(?\s*(?:\\text\s*\{{\s*)?{_WRITTEN_BASE}\s*\}}?\s*\)?\s*\}}?"
    rf"|(?:\\text\s*\{{)?\s*\(?\s*(?:in\s+)?base[\s-]*\}}?\s*{_WRITTEN_BASE}\s*\)?\s*\}}?)"
)
REPEATING = re.compile(
    r"(\d*)\.(\d*)(?:\\(?:overline|bar|dot)\s*(?:\{(\d+)\}|(\d))|\((\d+)\)(?!\s*[\w(])"
    r"|(?<=\d)(?:\.\.\.|\\ldots))"
)
PERIOD = re.compile(r"(\d*?)(\d+?)\2{2,}|(\d*?)(\d{3,}?)\4+")
NOTATION = rules(
    (r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})(?![\w.])", r"\1\\times 10^{\2}"),
    (r"(?<![\w.}])(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d.])", r"\1\\frac{\2}{\3}"),
    (r"(?<![\w.])(\d+)\s+(?=\\frac\s*\{\d+\}\s*\{\d+\})", r"\1"),
    (r"\+\s*-\s*(?=\d)", "-"),
    (r"([a-z])\s*\\ne\s*([^,<>=]+),\s*([^,<>=]+)$", r"\1\\ne \2\\text{ and }\1\\ne \3"),
)
SET_BUILDER = re.compile(
    r"\\\{\s*([a-z])\s*(?:\\in\s*\\mathbb\{R\}\s*)?(?:\\mid|\\vert|\||:)\s*([^|]*?[<>\\=][^|]*)\\\}"
)
GROUPED = re.compile(r"([+-]?\d{1,3})((?:(?:,|\{,\}| )\d{3})+)(\.\d+)?")
GROUPED_BY_SPACES = re.compile(r"(?<![\d.,])([+-]?\d{1,3})((?:(?:\{,\}| )\d{3})+)(?![\d,])")


def in_latex(text: str) -> str:
    """With LaTeX for the signs of Unicode."""
    if text.isascii():
        return text
    for pattern, new in SIGNS:
        text = pattern.sub(new, text)
    return text.translate(CHARACTERS)


@lru_cache(maxsize=4096)
def spelled(text: str) -> str:
    """The expression in a text, in one spelling."""
    if text.isascii() and text.isdigit():
        return text
    if len(text) > LONGEST:
        return text.strip()
    plain = _grouped(undressed(text))
    if plain.isdigit():
        return plain
    plain = _bare(_units(_replaced(plain, COMMANDS)).strip())
    if base := BASE.fullmatch(plain):
        return _in_base(base)
    if built := SET_BUILDER.fullmatch(plain):
        plain = built[2].strip()
    plain = REPEATING.sub(_fraction, plain)
    return _grouped(_replaced(plain, NOTATION)).strip()


def undressed(text: str) -> str:
    """Without the layers around an expression, or around words."""
    if len(text) > LONGEST:
        return text.strip()
    return _bare(_replaced(in_latex(text), SPACES).strip())


def is_percent(text: str) -> bool:
    return text.endswith("%")


def without_percent(text: str) -> str:
    return re.sub(r"\s*\\?%$", "", text)


def _replaced(text: str, by: tuple[Rule, ...]) -> str:
    for pattern, new in by:
        text = pattern.sub(new, text)
    return text


def _bare(text: str) -> str:
    while found := next(filter(None, (layer.fullmatch(text) for layer in LAYERS)), None):
        text = found[1].strip()
    return text


def _grouped(text: str) -> str:
    """Without what groups digits by three. A comma groups only where all is one number."""
    if found := GROUPED.fullmatch(text):
        return found[1] + re.sub(r"\D", "", found[2]) + (found[3] or "")
    return GROUPED_BY_SPACES.sub(lambda n: n[1] + re.sub(r"\D", "", n[2]), text)


def _units(text: str) -> str:
    if TRIGONOMETRY.search(text):
        return DEGREES_OF_ANGLE.sub(r"\\left(\\frac{\1\\pi}{180}\\right)", text)
    text = _replaced(text, UNITS)
    if len(text) > LONGEST_MEASURED:
        return text
    if measured := MEASURED.fullmatch(text):
        return measured[1].strip()
    said = len(WORD.findall(text)) > 1 and NUMBER_IN_WORDS.fullmatch(text)
    return said[1] if said and not CHANGES.search(text) else text


def _in_base(found: re.Match[str]) -> str:
    named = found[2] or found[3]
    base = str(BASES.index(named) + 2) if named in BASES else named
    return found[1] if base == "10" else f"{found[1]}_{base}"


def _fraction(found: re.Match[str]) -> str:
    r"""0.1\overline{6} as \frac{15}{90}; "0.333..." by what its digits repeat."""
    whole, fixed, period = found[1], found[2], found[3] or found[4] or found[5]
    if period is None:
        repeated = PERIOD.fullmatch(fixed[:LONGEST_MEASURED])
        if repeated is None:
            return found[0]
        fixed, period = repeated[1] or repeated[3] or "", repeated[2] or repeated[4]
    above = int(whole + fixed + period or "0") - int(whole + fixed or "0")
    return rf"\frac{{{above}}}{{{'9' * len(period)}{'0' * len(fixed)}}}"
