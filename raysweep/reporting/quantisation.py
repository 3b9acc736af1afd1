"""Which quantisation of the KV cache was run, in words, from the parameters that the tables hold."""

from typing import Any

import pandas as pd

from raysweep.system.json_text import parsed_json

# What the layouts of `quantized` are; the last two are those of version 0.1.0.
FORMS = {
    "hqq": "HQQ (asymmetric, refined zero points)",
    "kivi": "KIVI (asymmetric)",
    "symmetric": "symmetric levels with 0 among them",
    "channel": "symmetric levels without 0",
    "token": "symmetric levels without 0",
}
ALONG = ("tokens per channel", "channels per token")


def quantisations(scenarios: pd.DataFrame) -> list[str]:
    """`quantized-8, quantized-4: HQQ (...), groups of 64 tokens per channel, ...`.

    Policies that differ only in their bits, and in what they evict, share an entry.
    """
    alike: dict[str, list[str]] = {}
    for name, text in scenarios[["kv_policy", "kv_params"]].drop_duplicates().values.tolist():
        parameters = parsed_json(text)
        if parameters.get("layout") in FORMS:
            alike.setdefault(_in_words(parameters), []).append(name)
    return [f"{', '.join(names)}: {words}" for words, names in alike.items()]


def _in_words(parameters: dict[str, Any]) -> str:
    layout, sinks = parameters["layout"], parameters.get("sinks", 0)
    axis = parameters.get("axis", 1 if layout == "token" else 0)
    along = f"{ALONG[0]} (keys) and {ALONG[1]} (values)" if layout == "kivi" else ALONG[axis]
    kept = f"{parameters['residual']} newest" + (f" and {sinks} first" if sinks else "")
    return f"{FORMS[layout]}, groups of {parameters['group_size']} {along}, {kept} tokens in 16 bit"
