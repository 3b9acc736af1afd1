"""Changes of bytes, and values that a note may have instead of what it should."""

from hypothesis import strategies as st

NOTES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[str, int, bytes]]:
    """Up to five changes, counted from the end of the file, where the footer is."""
    kinds = st.sampled_from(["flip", "flip", "set", "insert", "drop", "cut"])
    return [
        (draw(kinds), draw(st.integers(1, 6000)), draw(st.binary(min_size=1, max_size=6)))
        for _ in range(draw(st.integers(1, 5)))
    ]


def applied(data: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    made = bytearray(data)
    for how, back, value in changes:
        place = max(0, len(made) - 1 - back % max(1, len(made)))
        if how == "flip" and made:
            made[place] ^= value[0] or 1
        elif how == "set":
            made[place : place + len(value)] = value
        elif how == "insert":
            made[place:place] = value
        elif how == "drop":
            del made[place : place + len(value)]
        elif how == "cut":
            del made[len(made) - back % 64 :]
    return bytes(made)
