"""What a published bundle says of its run: provenance without secrets, and the card of a hub data set."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from raysweep.reporting.citation import DATA_TITLE, bibtex, versions_in_words
from raysweep.storage import result_files
from raysweep.system.safe_text import without_secrets

# The tables of a bundle, and what each holds.
TABLES = {
    result_files.SCENARIOS: "one row per scenario: a configuration with its accuracy and memory",
    result_files.FRONTIER: "the scenarios that no other beats, by benchmark and batch size",
    result_files.FRONTIERS: "the same among scenarios that share a model, a precision, a KV policy, or votes",
    result_files.SCORES: "each question's accuracy in every scenario, in the order of questions.parquet",
    result_files.QUESTIONS: "the ids of the questions, without their texts",
    result_files.THRESHOLDS: "whether memory is better spent on weights or on tokens, by size of the weights",
    result_files.FINDINGS: "a verdict on each of the study's findings, with its effect",
    result_files.CONTROLS: "how far backends differ",
    result_files.INFLATION: "how long engines think, beside the most bits and the full cache",
    result_files.CORRELATIONS: "how far the luck of two engines agrees",
    result_files.ENGINES: "one row per engine: a model at a precision under a KV policy",
}
# Those that are also there as CSV; the others hold lists, or are details.
AS_CSV = (
    *(result_files.SCENARIOS, result_files.FRONTIER, result_files.THRESHOLDS),
    *(result_files.FINDINGS, result_files.ENGINES),
)

# Keys whose values are places on a machine. Only an address on the hub is for others.
PLACES = ("out", "path", "checkpoints", "address", "key_env", "source")
HUB = "hf://"
# What is for the owner of the run alone.
LEFT_OUT = ("server", "stages", "loads")
# Versions may look like addresses.
VERSIONS = "versions"


def public(value: Any, mask: Callable[[str], str]) -> Any:
    """Plain values without secrets and without places; `mask` hides the rest that is private."""
    return _public(without_secrets(value), mask)


def _public(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: entry if key == VERSIONS else _public(entry, mask)
            for key, entry in value.items()
            if key not in LEFT_OUT and not (key in PLACES and not _is_public_place(entry))
        }
    if isinstance(value, list | tuple):
        return [_public(entry, mask) for entry in value]
    return mask(value) if isinstance(value, str) else value


def _is_public_place(value: Any) -> bool:
    return value is None or isinstance(value, Mapping) or str(value).startswith(HUB)


def public_summary(summary: Mapping[str, Any], mask: Callable[[str], str]) -> dict[str, Any]:
    """summary.json for others: files that were set aside keep their names alone."""
    aside = [str(path).rpartition("/")[2] for path in summary.get("parts_set_aside") or ()]
    return public({**summary, "parts_set_aside": aside}, mask)


def provenance(
    record: Mapping[str, Any],
    summary: Mapping[str, Any],
    nodes: Mapping[str, Any],
    mask: Callable[[str], str],
) -> dict[str, Any]:
    """Where the numbers come from: configuration, versions, hardware, and what the run counted."""
    configuration = copy.deepcopy(dict(record.get("configuration") or {}))
    for benchmark in (configuration.get("sweep") or {}).get("benchmarks") or ():
        if isinstance(benchmark.get("sources"), list):
            benchmark["sources"] = [_without_folder(str(one)) for one in benchmark["sources"]]
    return {
        "configuration": public(configuration, mask),
        "identity": public(record.get("identity") or {}, mask),
        "versions": record.get("versions"),
        "git_revision": record.get("git_revision"),
        "hardware": hardware(nodes),
        "summary": dict(summary),
    }


def _without_folder(source: str) -> str:
    """A file's origin and hash, of a file of this machine without its folder."""
    return source if source.startswith(HUB) else source.rpartition("/")[2]


def hardware(nodes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The nodes of the run by what they are, without their names."""
    kept = ("gpus", "driver", "cuda", "versions")
    found: list[dict[str, Any]] = []
    for node in nodes.get("nodes") or ():
        described = {key: node[key] for key in kept if node.get(key)}
        same = next((one for one in found if one["node"] == described), None)
        if same is None:
            found.append({"count": 1, "node": described})
        else:
            same["count"] += 1
    return found


def card(
    run: str,
    summary: Mapping[str, Any],
    tables: Mapping[str, int],
    lead: str,
    license_name: str | None,
    traces: bool,
    samples: bool,
) -> str:
    """README.md as the hub reads it: its front matter names every table that has rows.

    tables  their names, with the number of their rows
    """
    configs: list[dict[str, Any]] = [
        {"config_name": name.removesuffix(".parquet"), "data_files": f"tables/{name}"}
        for name, rows in tables.items()
        if rows
    ]
    if configs:
        configs[0]["default"] = True
    if samples:
        configs.append({"config_name": "samples", "data_files": "samples/*/*.parquet"})
    front = {
        **({"license": license_name} if license_name else {}),
        "pretty_name": f"{DATA_TITLE}: run {run}",
        "tags": ["raysweep", "reasoning", "quantization", "kv-cache", "test-time-scaling"],
        "configs": configs,
    }
    listed = "\n".join(f"| `tables/{name}` | {TABLES[name]} |" for name in tables)
    return f"""---
{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---

# {DATA_TITLE}: run {run}

{lead} Measured with {versions_in_words(summary)}.

`index.html` shows all of it: open it in a browser, from a disk or from any web host.

| file | what it holds |
| --- | --- |
{listed}
| `tables/csv/` | the main tables as CSV |
| `figures/` | every figure as SVG, PDF and PNG |
| `provenance.json` | configuration, versions, hardware, and what the run counted |
| `checksums.sha256` | SHA-256 of each file; `sha256sum --check checksums.sha256` checks them |
{_texts_in_words(traces, samples)}
## How to cite

```bibtex
{bibtex(summary)}```
"""


def _texts_in_words(traces: bool, samples: bool) -> str:
    rows = ""
    if traces:
        rows += "| `traces/` | pages with questions, thinking, answers and votes |\n"
    if samples:
        rows += "| `samples/` | every sample: token ids of its thinking, and its answers |\n"
    if traces or samples:
        return rows + (
            "\nTexts of questions, or of models that repeat them, are in these files. Some benchmarks ask "
            "not to publish their questions in plain form; their terms hold for these files too.\n"
        )
    return (
        "\nTexts of questions and of thinking are left out, since some benchmarks ask not to publish their "
        "questions in plain form.\n"
    )
