r"""Where a text without a box states its answer: "#### 73", "The answer is 73, since ...", "**73**".

Marks are tried in that order, and of each the last one counts. A statement ends with its sentence, or
with the delimiter that opens it, so that a check or an explanation after it is no part of it.
"""

import re

DELIMITED = r"(?<!\\)\$\$?(?:[^$\\]|\\.)+\$\$?|\\\(.+?\\\)|\\\[.+?\\\]|\*\*[^*\n]+\*\*"
SENTENCE = (
    r"[^\n]+?(?=\.?\s*(?:\n|\Z)|(?<!\\)[.;!?]\s|,\s+[a-z]|\s+(?:because|since|as|which|so|where)\s)"
)
# A number, its sign apart or not, directly after the mark; else a delimited expression, else a sentence.
VALUE = rf"({DELIMITED}|{SENTENCE})"
MARKS = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"\\boxed\s*(\d+|\\frac\s*\d\s*\d|[A-Za-z])(?![\w{])",
        r"####\s*([^\n]*\S)",
        r"(?i:\banswer\b(?:\s+to\s+(?:the|this)\s+\w+)?(?:\s+is|\s*=|\*{0,2}\s*:)(?:\s+(?:therefore|thus|then|not\b[^.\n]*?\bbut))?"
        rf"[\s:*]*?)[\s:]*{VALUE}",
    )
]
BOLD = re.compile(r"\*\*([^*\n]*[\d$\\][^*\n]*)\*\*")
HEADING = re.compile(
    r"(?i)\s*(?:step|case|part|problem|question|example|option|method|\d+[.)]\s)|.*:\s*\Z"
)
CONCLUSION = re.compile(r"(?i)\b(?:thus|therefore|hence|so|finally|total|answer)\b[^\n]*\d")


def stated(text: str) -> str | None:
    """The answer that a text marks as such."""
    for mark in MARKS:
        if found := mark.findall(text):
            return found[-1].strip("* \t") or None
    return _in_bold(text)


def _in_bold(text: str) -> str | None:
    """The last bold value, if no later sentence concludes with a number."""
    values = [one for one in BOLD.finditer(text) if not HEADING.match(one[1])]
    if not values or CONCLUSION.search(text, values[-1].end()):
        return None
    return values[-1][1].strip()
