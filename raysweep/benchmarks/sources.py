"""Where a benchmark's rows come from: a file on this machine, or one of a data set on the Hugging Face hub.

A source becomes a `File`: a path that can be read, its SHA-256, and where it came from. A hub file is
pinned by its revision and kept in the hub's cache, so that HF_HUB_OFFLINE=1 and a file once fetched
suffice; what a moving revision such as `main` pointed to is read off the cache. A pinned SHA-256 is
checked for both.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from raysweep.errors import ConfigError


@dataclass(frozen=True)
class File:
    """A file to read rows from. `origin` is a path, or hf://datasets/<set>@<commit>/<file>."""

    path: Path
    origin: str
    sha256: str

    @property
    def pinned(self) -> str:
        """Where it came from and what was in it, on one line."""
        return f"{self.origin}#sha256={self.sha256}"


def local_file(path: Path, expected_sha256: str | None, field: str) -> File:
    """The file at `path`, which `field` of the input names. Raises ConfigError if it cannot be read."""
    return _checked(path, str(path), expected_sha256, field)


def hub_file(
    data_set: str, file: str, revision: str, expected_sha256: str | None, field: str
) -> File:
    """A file of the hub's data set `data_set` ("owner/name"), fetched if the cache lacks it."""
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(data_set, file, repo_type="dataset", revision=revision)
    except Exception as error:  # of the hub's, of its HTTP client's, or of the file system
        _refuse(data_set, file, revision, field, error)
    commit = Path(path).parts[-1 - len(Path(file).parts)]  # .../snapshots/<commit>/<file>
    origin = f"hf://datasets/{data_set}@{commit}/{file}"
    return _checked(Path(path), origin, expected_sha256, field)


def is_cached(data_set: str, file: str, revision: str) -> bool:
    """Whether a file of the hub lies on this machine already."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(data_set, file, revision=revision, repo_type="dataset")
    except HFValidationError:
        return False
    return isinstance(found, str)


def _checked(path: Path, origin: str, expected_sha256: str | None, field: str) -> File:
    try:
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"{field}: '{path}' can't be read: {error.strerror}; give a file's path, or "
            "{hub: owner/name, revision: ..., file: ...}"
        ) from error
    if expected_sha256 not in (None, sha256):
        raise ConfigError(
            f"{field}: {origin} has the SHA-256 {sha256}, not {expected_sha256} as pinned; "
            "fetch the file again, or pin what you have"
        )
    return File(path, origin, sha256)


def _refuse(data_set: str, file: str, revision: str, field: str, error: Exception) -> NoReturn:
    """Say what the hub said, and the way out."""
    from huggingface_hub import errors

    what = f"{field}: {file} of {data_set}@{revision}"
    own_copy = "give the path of your own copy as source"
    if isinstance(error, errors.GatedRepoError):
        reason = "is gated"
        way_out = f"accept its terms at hf.co/datasets/{data_set} and set HF_TOKEN, or {own_copy}"
    elif isinstance(error, errors.RevisionNotFoundError):
        reason, way_out = "is not there: no such revision", "correct the revision"
    elif isinstance(error, errors.RepositoryNotFoundError):
        reason = "is not there, or is private"
        way_out = f"correct the data set's name, or set HF_TOKEN, or {own_copy}"
    elif isinstance(error, errors.RemoteEntryNotFoundError):
        reason, way_out = "is not there: no such file", "correct the file's name"
    elif isinstance(error, errors.HFValidationError):
        reason, way_out = "is no name that the hub can have", "write owner/name"
    else:
        reason = f"is not in the cache and can't be fetched ({type(error).__name__})"
        way_out = f"fetch it once where there is a network, and keep the cache, or {own_copy}"
    raise ConfigError(f"{what} {reason}; {way_out}") from error
