r"""Multiple choice: the letter A to H that a text settles on.

What is stated counts, not what is mentioned last. The strongest kind of statement that a text has decides,
and of that kind the last: a box with a letter in it; "the answer is B"; a phrase that finds a letter right
or chooses it; a letter that stands alone. A letter of the prose is no choice ("A" is an article, "C" a
vitamin), and a statement of several letters is none either. A text that ran into its limit has answered
only where the box is whole.
"""

import re
from itertools import islice

from raysweep.grading import phrases
from raysweep.grading.boxes import has_box, open_box, whole_boxes
from raysweep.grading.dressing import plain
from raysweep.grading.outcomes import Nothing, nothing

MOST_BOXES = 100  # from the end; a text with more is no answer that anyone meant
BOXED = re.compile(rf"(?:{phrases.LETTERS}|{phrases.OPEN}{phrases.NAMED}([A-H])(?=\s+[0-9]))")
FOUND = (phrases.CONDITIONAL, phrases.CHOSEN, phrases.FOUND_RIGHT, phrases.CONCLUDED)
ALONE = re.compile(
    r"(?m:^)[\W_]{0,12}([A-H]|\A[\W_]{0,12}[a-h](?=\W*\Z))(?:[)\].:,]\W{0,12})?\s{0,12}(?:$|\n)"
)
# A line of a list: a marked letter and what it stands for.
LISTED = re.compile(
    rf"(?m:^)[ \t#>(\[-]{{0,12}}(?:{phrases.OPTION}[ \t]+)?\(?([A-Ha-h])(?:[)\]:]|\.(?!\w)|\s+-\s)"
    r"(?!\s*[A-H]\b)[ \t]*(.*)"
)
# After a letter and a point: the rest of a name, not of a choice.
NAME = re.compile(
    r"[A-Z]\.|[A-Z][\w-]+ (?:et al|and [A-Z]|(?:first )?(?:show|prov|found|discover|argu|claim|propos|"
    r"suggest|demonstrat|report|wrote|describ|invent|publish|introduc|formulat|said)\w*\b)|"
    + phrases.SPECIES
)
YES = re.compile(r"\W*(?:yes|correct|right|true|richtig|正确|对|✓|✔|✅)", re.IGNORECASE)
NO = re.compile(
    r"\W*(?:no|not|in(?:correct|valid)|wrong|false|too|falsch|错|✗|✘|❌)\b", re.IGNORECASE
)
PARENTHESISED = re.compile(
    r"(?<![^\s])\(([A-H])\)(?![-=/^_\w]|\s*(?:=|(?:is|would be) (?:not|wrong|inc|false|too)))"
)


def chosen_letter(text: str, ended: bool) -> str | Nothing:
    """The letter that the text settles on, as a capital."""
    letters = boxed_letters(text, ended)
    if letters is None and ended:
        bare = plain(text)
        letters = stated_letters(bare) or lone_letter(bare)
    return letters if letters is not None and len(letters) == 1 else nothing(ended)


def boxed_letters(text: str, ended: bool) -> str | None:
    """The letters of the last whole box that has any; of an open box where the text's end closes it."""
    if not has_box(text):
        return None
    boxes = [*islice(whole_boxes(text), MOST_BOXES)]
    if not boxes and ended:
        boxes = [open_box(text) or ""]
    return next((letters for box in boxes if (letters := letters_in_box(plain(box)))), None)


def letters_in_box(box: str) -> str | None:
    found = BOXED.match(box)
    return distinct(found[1] or found[2]) if found else stated_letters(box) or parenthesised(box)


def stated_letters(text: str) -> str | None:
    """The letters of the last statement of the strongest kind that the text has."""
    letters = last_statement(text) or last_finding(text)
    return distinct(letters) if letters else None


def last_statement(text: str) -> str | None:
    said, lowered = None, text.lower()
    for opening in phrases.OPENING.finditer(lowered):
        stated = phrases.STATED.match(text, opening.end())
        if stated is None or denied(lowered, opening.start()):
            continue
        # On the next line after "options:", a list of them begins.
        if "\n" not in stated[0] or opening[0] in phrases.ANSWER_WORDS:
            said = stated[1]
    return said


def last_finding(text: str) -> str | None:
    lowered = text.lower()
    said = [
        (found.end(1), found[1])
        for pattern in FOUND
        for found in pattern.finditer(text)
        if not denied(lowered, found.start())
    ]
    return max(said)[1] if said else None


def denied(lowered: str, start: int) -> bool:
    """Whether what stands before a phrase denies it, or says it under a condition."""
    for word in reversed(lowered[max(0, start - 60) : start].split()):
        if word not in phrases.BETWEEN:
            return word in phrases.DENYING or word.endswith(phrases.DENYING_END)
    return False


def distinct(letters: str) -> str:
    """Each letter of "B and D" once; a small letter is said as a capital."""
    if len(letters) == 1:
        return letters.upper()
    return "".join(sorted(set(re.findall(r"(?<!\w)[A-H](?!\w)", letters))))


def lone_letter(text: str) -> str | None:
    """A line that is nothing but a letter; the line of a list that is right; a letter in parentheses."""
    if alone := ALONE.findall(text):
        return alone[-1].strip().upper()[-1]
    return listed(text) or parenthesised(text)


def listed(text: str) -> str | None:
    """The letter of the one line that is found right, or of a line that is no part of the list.

    A list ascends, so a first letter that the next does not follow, or a last one that follows none, is
    the answer.
    """
    lines = [
        (letter.upper(), said) for letter, said in LISTED.findall(text) if not NAME.match(said)
    ]
    right = [letter for letter, said in lines if YES.match(said)]
    if len(right) == 1:
        return right[0]
    letters = [letter for letter, _ in lines]
    if len(letters) > 1 and letters[-1] <= letters[-2]:
        letter, said = lines[-1]
    elif letters and (len(letters) == 1 or letters[1] <= letters[0]):
        letter, said = lines[0]
    else:
        return None
    return None if NO.match(said) else letter


def parenthesised(text: str) -> str | None:
    """The letter in parentheses, if all there are are the same."""
    letters = {*PARENTHESISED.findall(text)}
    return letters.pop() if len(letters) == 1 else None
