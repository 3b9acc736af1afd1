"""How a run is cited, whatever its name."""

import re

from raysweep.reporting.citation import bibtex


def test_a_name_of_a_run_is_plain_text_to_tex():
    entries = bibtex({"run": "a_b%c", "git_revision": "x~y"})
    assert r"run a\_b\%c" in entries and "revision x-y" in entries
    assert re.findall(r"@(\w+)\{([\w-]+),", entries) == [
        ("misc", "a_b-c-data"),
        ("software", "raysweep"),
    ]
