r"""What dresses a letter in LaTeX, Markdown and other scripts, and how it is taken off.

`plain` turns `\text{Answer: D}`, `**D**`, `"D"` and wide characters into what they say, so that phrases can
be looked for. A letter alone between two marks becomes `(D)`, because a marked letter is no article and no
part of a name.
"""

import re
import unicodedata

# ruff: noqa: RUF001 - characters of other scripts are meant
SPACES = re.compile(r"\\[,;:! ]|~")
DASHES = re.compile(r"\\q?quad(?![A-Za-z])")  # a wide space stands between a letter and its text
COLOURS = re.compile(r"\\(?:text)?color\s*\{[^{}]*\}")
COMMANDS = re.compile(
    r"\\(?:boxed|fbox|mbox|text\w*|math\w+|operatorname|underline|emph)\s*(?=\{)"
    r"|\\(?:displaystyle|textstyle|bf|bfseries|rm|it|sf|tt|large|Large|LARGE|huge|Huge)(?![A-Za-z])"
    r"|\\[()\[\]]"
)
MARKED = re.compile(
    r"[*_`\"'${](?<![\w^\\].)[*_`\"'${]{0,4}\s*[(\[]?([A-H])[)\]]?([.:]?)\s*[*_`\"'$}]+(?!\w)"
)
EMPHASIS = re.compile(r"(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9{])")
WIDER = str.maketrans({"İ": "I", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "「": '"', "」": '"',
                       "‘": "'", "’": "'", "。": ". ", "、": ", ", "—": " - ", "―": " - ",
                       "–": "-", "‑": "-", "‐": "-", "−": "-", "【": "[", "】": "]",
                       "⟨": "(", "⟩": ")"})  # fmt: skip
MARKS = '*`"${}'


def plain(text: str) -> str:
    """The text without its dressing; what separates words and sentences stays."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(WIDER)
    if "\\" in text or "~" in text:
        text = DASHES.sub(" - ", SPACES.sub(" ", text))
        text = COMMANDS.sub("", COLOURS.sub("", text))
    text = MARKED.sub(marked, text)
    for mark in MARKS:  # faster than str.translate
        text = text.replace(mark, "")
    return EMPHASIS.sub("", text) if "_" in text else text


def marked(letter: re.Match) -> str:
    return f" ({letter[1]}){letter[2]} "
