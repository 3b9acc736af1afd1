r"""Multiple choice: the letter A to H that a text settles on.

A box says it best; then a sentence such as "the answer is (B)"; then a line that opens with a marked
letter, or a letter in parentheses. A letter in prose is no choice: "A" is an article, "C" a vitamin. A
text that ran into its limit has answered only where the box is whole.
"""

import re

from raysweep.grading.boxes import last_box, open_box
from raysweep.grading.outcomes import Nothing, nothing

WRAPPED = r"[\s*_`$({\[]*(?:\\(?:text|textbf|mathrm|mathbf|boxed)\s*\{\s*)?[\s*_($]*"
END = r"(?=\s*(?:[)\]}*_`$,;:.!]|$|\n))"  # what may follow a letter that is not a word in prose
# In a box, the letter alone or in front of what it stands for: "B", "(b)", "\text{B}", "B) 5 cm".
BOXED = re.compile(rf"{WRAPPED}(?:option|choice)?\s*\(?([A-Ha-h])(?![\w']){END}", re.IGNORECASE)
STATED = re.compile(
    r"\b(?:answer|option|choice)\b[\s*_`]*(?:is|should be|must be|would be)?[\s*_`]*[:=]?[\s*_`]*"
    r"(?:(?:option|choice|letter)\b)?"
    # Capitals but A may be followed by prose: "the answer is B because ...".
    rf"{WRAPPED}(?:(?-i:([B-H]))(?![\w'])|([A-Ha-h])(?![\w']){END})",
    re.IGNORECASE,
)
LINE = re.compile(r"^[\s*_`$(\[]*([A-Ha-h])(?![\w'])(?=\s*[)\]*_`$,;:.]|\s*$)", re.MULTILINE)
PARENTHESISED = re.compile(r"\(([A-H])\)")


def chosen_letter(text: str, ended: bool) -> str | Nothing:
    """The letter that the text settles on, as a capital."""
    box = last_box(text)
    if box is None and ended:
        box = open_box(text)
    if box:
        found = BOXED.match(box)
        return found[1].upper() if found else nothing(ended)
    if not ended:
        return Nothing.CUT_OFF
    for pattern in (STATED, LINE, PARENTHESISED):
        if found := pattern.findall(text):
            letters = found[-1]
            return (letters if isinstance(letters, str) else "".join(letters)).upper()
    return Nothing.UNANSWERED
