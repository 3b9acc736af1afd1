"""Addresses of the Hugging Face hub, `hf://owner/name`, and its files in this machine's cache.

A plan needs no network and looks up what is there. The stage generate fetches tokenizers (`fetched`), and
workers fetch checkpoints (`actors.checkpoint_files`).
"""

from collections.abc import Sequence
from pathlib import Path

from raysweep.errors import ConfigError

HUB = "hf://"


def hub_path(repository: str) -> str:
    return HUB + repository


def repository_of(path: str) -> str | None:
    """`owner/name` of a hub address. None for any other path."""
    return path.removeprefix(HUB) if path.startswith(HUB) else None


def local_file(path: str, revision: str, name: str) -> Path | None:
    """The file `name` of a checkpoint if it can be read without a network, else None.

    path, revision  as in `Checkpoint`; files of the hub are looked up in the cache of huggingface_hub
    """
    repository = repository_of(path)
    if repository is None:
        return Path(path) / name
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def fetched(path: str, revision: str, names: Sequence[str], field: str) -> Path:
    """The folder in the hub's cache with those of the files that a repository has, fetched if missing.

    Raises ConfigError if they cannot be fetched. Messages name `field`.
    """
    from huggingface_hub import snapshot_download

    repository = repository_of(path)
    assert repository is not None
    try:
        folder = snapshot_download(repository, revision=revision, allow_patterns=list(names))
    except Exception as error:  # from the hub, its HTTP client or the file system
        raise ConfigError(
            f"{field}: the tokenizer of {path}@{revision} is not on this machine and cannot be fetched "
            f"({type(error).__name__}); fetch it once with a network and keep the cache, or set HF_TOKEN "
            "if its terms must be accepted"
        ) from error
    return Path(folder)
