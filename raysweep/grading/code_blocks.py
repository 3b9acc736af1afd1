"""The fenced blocks of a text, as models write them and CommonMark reads them, and the solution among them.

A fence is three or more backticks or tildes, indented in a list or not, after a line's words if it names
Python. It is closed by one at least as long, also at the end of the code's last line. One that names a
language inside an open block starts another block, since the model forgot to close the first.

The solution is the last block that can solve the question by itself: a program that reads and writes, or
the function that is asked for. Usage, examples and outputs after it, and drafts before it, are not.
"""

import builtins
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PYTHON = re.compile(r"(?:i?python|pypy|py)[\d.]*|.*\.py")
MARKDOWN = ("markdown", "md")  # a fence around a whole text, blocks and all
FENCE = re.compile(
    r"(?P<before>[ \t]*(?:(?:[-*+]|\d+[.)])[ \t]+)?)(?P<fence>`{3,}|~{3,})(?P<info>.*)"
)
AFTER_WORDS = re.compile(r"[^`]*[^`\s][^`]*(?P<fence>`{3,})(?P<info>[ \t]*(?:python3?|py)[ \t]*)")
MARK = re.compile(r"[ \t]*\{?[ \t]*\.?([\w.+#-]*)")
MOST_INDENT = 3  # of a closing fence, beyond that of the opening one

READS = re.compile(r"\binput\s*\(|\bstdin\b|\bopen\s*\(|\bfileinput\b|\bos\.read\b")
WRITES = re.compile(r"\bprint\s*\(|\bstdout\b|\bos\.write\b")
RETURNS = re.compile(r"\b(?:return|yield|lambda)\b")
DEFINED = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
GIVEN_INPUT = re.compile(r"\bsys\.stdin\s*=\s*(?:io\.)?StringIO\s*\(\s*[frb]?[\"']", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    """`mark` names its language in lower case; one that is not `closed` is the text's last."""

    mark: str
    code: str
    closed: bool

    @property
    def is_marked(self) -> bool:
        return bool(PYTHON.fullmatch(self.mark))

    @property
    def may_be_python(self) -> bool:
        return self.is_marked or not self.mark


@dataclass(frozen=True)
class Opening:
    fence: str
    mark: str
    indent: int


def find_blocks(text: str) -> list[Block]:
    """All blocks, in the order of the text."""
    lines = iter(text.replace("\r\n", "\n").split("\n"))
    found: list[Block] = []
    around: list[Opening] = []
    opening = next_opening(lines, around)
    while opening:
        block, reopened = read_block(opening, lines)
        found.append(block)
        opening = reopened or next_opening(lines, around)
    return found


def next_opening(lines: Iterator[str], around: list[Opening]) -> Opening | None:
    """The next fence that opens a block; `around` holds the open ones around whole texts."""
    for line in lines:
        opening = opening_of(line)
        if opening is None:
            continue
        if opening.mark in MARKDOWN:
            around.append(opening)
        elif around and not opening.mark and closes(opening, around[-1]):
            around.pop()
        else:
            return opening
    return None


def read_block(opening: Opening, lines: Iterator[str]) -> tuple[Block, Opening | None]:
    """The block up to its end, and the one that its last line opens."""
    inside: list[str] = []
    for line in lines:
        ending = ending_of(line, opening)
        if ending:
            code, reopened = ending
            return block_of(opening, [*inside, *code], closed=True), reopened
        inside.append(line)
    return block_of(opening, inside, closed=False), None


def opening_of(line: str) -> Opening | None:
    """The fence that a line outside all blocks opens."""
    match = FENCE.fullmatch(line)
    if match and not (match["fence"][0] == "`" and "`" in match["info"]):
        return Opening(match["fence"], mark_of(match["info"]), len(match["before"]))
    match = AFTER_WORDS.fullmatch(line)
    return Opening(match["fence"], mark_of(match["info"]), 0) if match else None


def mark_of(info: str) -> str:
    """The language that an info string names: `python`, `{.python}` and `Python title="a.py"` alike."""
    found = MARK.match(info)
    return found[1].lower() if found else ""


def closes(fence: Opening, opening: Opening) -> bool:
    """Whether a fence is one that may end the block of another."""
    return fence.fence.startswith(opening.fence) and fence.indent <= opening.indent + MOST_INDENT


def ending_of(line: str, opening: Opening) -> tuple[list[str], Opening | None] | None:
    """What of the line is code still, and the block that it opens; None if the block goes on."""
    match = FENCE.fullmatch(line)
    if match:
        fence = Opening(match["fence"], mark_of(match["info"]), len(match["before"]))
        if match["before"].strip() or not closes(fence, opening):
            return None
        names_language = len(match["info"].split()) == 1 or PYTHON.fullmatch(fence.mark)
        return [], fence if fence.mark and names_language else None
    code = line.rstrip()
    before = code.rstrip("`")
    is_comment = before.lstrip().startswith("#")
    if code[len(before) :].startswith(opening.fence) and "`" not in before and not is_comment:
        return [before], None
    return None


def block_of(opening: Opening, lines: list[str], closed: bool) -> Block:
    """The block, without the indentation of its fence or of all its code."""
    indent = opening.indent
    code = "\n".join(line[:indent].lstrip(" \t") + line[indent:] for line in lines)
    if code.lstrip("\n")[:1].isspace():
        code = textwrap.dedent(code)
    return Block(opening.mark, code + "\n" * (closed and bool(lines)), closed)


def solution(blocks: Sequence[Block], function: str | None) -> Block:
    """The last of those blocks that do most of what a solution does: which is to define `function`, or,
    where that is None, to read and write.
    """
    defined: set[str] = set()
    ranks = []
    for block in blocks:
        ranks.append(rank(block, function, defined))
        defined |= set(DEFINED.findall(block.code))
    return max(zip(ranks, range(len(blocks)), blocks, strict=True))[-1]


def rank(block: Block, function: str | None, defined: set[str]) -> int:
    """How much of a solution a block is, from 0 to 3; `defined` are functions of blocks before it."""
    does = defines(block.code, function) if function else reads_and_writes(block.code)
    if does and not calls(block.code, defined):
        return 3
    if block.is_marked:
        return 2 if does or (not function and WRITES.search(block.code)) else 1
    return 0


def defines(code: str, function: str) -> bool:
    """Whether it defines the function, and not its head alone."""
    name = re.escape(function)
    head = rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{name}\b|^[ \t]*{name}[ \t]*=(?!=)"
    return bool(re.search(head, code, re.MULTILINE) and RETURNS.search(code))


def reads_and_writes(code: str) -> bool:
    return bool(READS.search(code) and WRITES.search(code) and not GIVEN_INPUT.search(code))


def calls(code: str, names: set[str]) -> bool:
    """Whether it calls one of the names, which it does not define: it is usage of what does."""
    foreign = names - set(DEFINED.findall(code)) - set(dir(builtins))
    return "import *" not in code and any(
        re.search(rf"(?<![\w.]){name}\s*\(", code) and not binds(code, name) for name in foreign
    )


def binds(code: str, name: str) -> bool:
    """Whether an assignment or an import gives the name a value."""
    assigned = rf"\b{name}\s*=(?!=)|^[ \t]*(?:from|import)\b.*\b{name}\b"
    return bool(re.search(assigned, code, re.MULTILINE))
