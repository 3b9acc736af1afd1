"""Every message about bad input names the way out, after a semicolon."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "raysweep").rglob("*.py"), *(ROOT / "actors").rglob("*.py")])


def messages(source: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each ConfigError that a module makes, with {} for values."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ConfigError":
            yield node.lineno, text_of(node.args[0])


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(value) for value in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return "{}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_message_names_the_way_out(source: Path):
    for line, message in messages(source):
        # What ends with something filled in hands on a message that has been made elsewhere.
        assert ";" in message or message.endswith(("{}", "?")), f"line {line}: {message}"


def test_messages_are_found():
    found = [message for source in SOURCES for _, message in messages(source)]
    assert len(found) > 100
    assert any(message.endswith("; write [...]") for message in found)
