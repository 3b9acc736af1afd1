"""How a run is cited: its data, by its name and what made it, and raysweep, by its version and revision."""

import re
from collections.abc import Mapping
from typing import Any

CODE_TITLE = "raysweep: how to spend a memory budget on reasoning models"
CODE_AUTHORS = "The raysweep authors"
# What the data hold, in the words of CITATION.cff and of the card.
DATA_TITLE = "Accuracy and memory of reasoning models"


def versions_in_words(summary: Mapping[str, Any]) -> str:
    """`raysweep 0.1.0, revision 1a2b3c, seed 0`, as far as the run recorded it."""
    version = (summary.get("versions") or {}).get("raysweep")
    revision, seed = summary.get("git_revision"), summary.get("seed")
    parts = [
        f"raysweep {version}" if version else "raysweep",
        *([f"revision {revision}"] if revision else []),
        *([f"seed {seed}"] if seed is not None else []),
    ]
    return ", ".join(parts)


def bibtex(summary: Mapping[str, Any]) -> str:
    """Two entries of BibTeX: the data of the run, and the code."""
    run = str(summary.get("run") or "run")
    version = (summary.get("versions") or {}).get("raysweep")
    revision = summary.get("git_revision")
    data = {
        "title": f"{{{DATA_TITLE}: run {_tex(run)}}}",
        "author": "{The authors of the run}",
        "howpublished": "Data set",
        "note": f"Measured with {_tex(versions_in_words(summary))}",
    }
    code = {
        "title": f"{{{CODE_TITLE}}}",
        "author": f"{{{CODE_AUTHORS}}}",
        **({"version": _tex(str(version))} if version else {}),
        **({"note": f"Revision {_tex(str(revision))}"} if revision else {}),
    }
    return (
        f"{_entry('misc', f'{_key(run)}-data', data)}\n\n{_entry('software', 'raysweep', code)}\n"
    )


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name:<12} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _key(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def _tex(text: str) -> str:
    """A text in which TeX's own characters stand for themselves."""
    return re.sub(r"([&%$#_{}])", r"\\\1", re.sub(r"[\\~^]", "-", text))


def citation_file(summary: Mapping[str, Any], license_name: str | None) -> dict[str, Any]:
    """CITATION.cff of the data, which refers to the code."""
    run = str(summary.get("run") or "run")
    version = (summary.get("versions") or {}).get("raysweep")
    revision = summary.get("git_revision")
    return {
        "cff-version": "1.2.0",
        "message": "If you use these data, please cite them, and the code that measured them.",
        "type": "dataset",
        "title": f"{DATA_TITLE}: run {run}",
        "authors": [{"name": "The authors of the run"}],
        "abstract": f"Measured with {versions_in_words(summary)}.",
        **({"license": license_name} if license_name else {}),
        "references": [
            {
                "type": "software",
                "title": CODE_TITLE,
                "authors": [{"name": CODE_AUTHORS}],
                **({"version": str(version)} if version else {}),
                **({"commit": str(revision)} if revision else {}),
            }
        ],
    }
