"""The definitions that come with raysweep, by name: models, precisions, KV policies and kinds of GPU.

These are the configuration's names for Python: `model("qwen3-8b")` is the model that
`sweep.models=[qwen3-8b]` names. This needs no network and reads no weights, because the definitions contain
the architectures of published models.

>>> model("qwen3-8b").params
8190735360
>>> weights("gptq-4").slug, kv_policy("r_kv-4096").slug
('gptq4', 'r_kv-4096')
>>> gpu("a100-80").memory_bytes // 2**30
80
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raysweep.configuration import definitions as read
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions
from raysweep.configuration.models import read_model
from raysweep.kv_policy import KVPolicy
from raysweep.run_config import Gpu
from raysweep.spec import ModelSpec, WeightSpec

Entry = str | dict[str, Any]  # a name, or the keys of a definition


def model(entry: Entry, folders: Sequence[str | Path] = ()) -> ModelSpec:
    """A model by name, or by the keys of its definition: a hub repository or a folder.

    folders  folders of your own definitions, as `--config-dir` names one

    Raises ConfigError for an unknown model, and for a folder that is not a whole checkpoint.

    >>> model("qwen3-0.6b").architecture.kv_heads
    8
    """
    return read_model(_definitions(folders), entry, "model")


def weights(entry: Entry, folders: Sequence[str | Path] = ()) -> WeightSpec:
    """A precision of the large linear layers. Raises ConfigError for an unknown one.

    >>> weights({"method": "gptq", "bits": 4, "group_size": 32}).slug
    'gptq4-g32'
    """
    return read.read_weights(_definitions(folders), entry, "weights")


def kv_policy(entry: Entry, folders: Sequence[str | Path] = ()) -> KVPolicy:
    """A KV policy with its parameters. Raises ConfigError for an unknown one.

    >>> kv_policy({"method": "streaming_llm", "sinks": 4, "window": 60}).held(1000).tokens
    64
    """
    return read.read_kv_policy(_definitions(folders), entry, "kv_policy")


def gpu(entry: Entry, folders: Sequence[str | Path] = ()) -> Gpu:
    """A kind of GPU with its memory. Raises ConfigError for an unknown one."""
    return read.read_gpu(_definitions(folders), entry, "gpu")


def names(kind: str, folders: Sequence[str | Path] = ()) -> list[str]:
    """The names of a kind of definition: `model`, `weights`, `kv_policy`, `benchmark`, `gpu`, ...

    >>> names("weights")[:2]
    ['awq-4', 'bf16']
    """
    return _definitions(folders).names(kind)


def _definitions(folders: Sequence[str | Path]) -> Definitions:
    return Definitions((conf_folder(), *(Path(folder).absolute() for folder in folders)))
