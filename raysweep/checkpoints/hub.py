"""Addresses of the Hugging Face hub, `hf://owner/name`, and its files in this machine's cache.

Nothing is fetched here, because a plan needs no network. Workers fetch (`actors.checkpoint_files`).
"""

from pathlib import Path

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
