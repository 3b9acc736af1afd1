"""The source of a benchmark's rows: a file on this machine, or in a data set on the Hugging Face hub.

A source becomes a `File`: a readable path, its SHA-256, and its origin. A file of the hub is pinned by its
revision and kept in the hub's cache, so it can be used offline (HF_HUB_OFFLINE=1) after it was fetched once.
The cache tells which commit a moving revision such as `main` stood for. A pinned SHA-256 is checked for
both kinds of source.
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
        """The file's origin and hash on one line."""
        return f"{self.origin}#sha256={self.sha256}"


def local_file(path: Path, expected_sha256: str | None, field: str) -> File:
    """The file at `path`, which `field` names. Raises ConfigError if it cannot be read."""
    return _checked(path, str(path), expected_sha256, field)


OWN_COPY = "give the path of your own copy as source"


def hub_file(
    data_set: str,
    file: str,
    revision: str,
    expected_sha256: str | None,
    field: str,
    instead: str = OWN_COPY,
) -> File:
    """A file of the data set `data_set` ("owner/name"), which is fetched if the cache lacks it.

    instead  what messages advise where it cannot be fetched
    """
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(data_set, file, repo_type="dataset", revision=revision)
    except Exception as error:  # from the hub, its HTTP client or the file system
        _refuse(data_set, file, revision, field, error, instead)
    commit = Path(path).parts[-1 - len(Path(file).parts)]  # .../snapshots/<commit>/<file>
    origin = f"hf://datasets/{data_set}@{commit}/{file}"
    return _checked(Path(path), origin, expected_sha256, field)


def is_cached(data_set: str, file: str, revision: str) -> bool:
    """Whether the hub's cache on this machine has the file."""
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
            f"{field}: '{path}' cannot be read ({error.strerror}); give the path of a file, or "
            "{hub: owner/name, revision: ..., file: ...}"
        ) from error
    if expected_sha256 not in (None, sha256):
        raise ConfigError(
            f"{field}: {origin} has the SHA-256 {sha256}, not the pinned {expected_sha256}; "
            "fetch the file again, or pin the one that you have"
        )
    return File(path, origin, sha256)


def _refuse(
    data_set: str, file: str, revision: str, field: str, error: Exception, instead: str
) -> NoReturn:
    """Raise the hub's error as a ConfigError with the way out."""
    from huggingface_hub import errors

    what = f"{field}: {file} of {data_set}@{revision}"
    if isinstance(error, errors.GatedRepoError):
        reason = "is gated"
        way_out = f"accept its terms at hf.co/datasets/{data_set} and set HF_TOKEN, or {instead}"
    elif isinstance(error, errors.RevisionNotFoundError):
        reason, way_out = "does not exist: no such revision", "correct the revision"
    elif isinstance(error, errors.RepositoryNotFoundError):
        reason = "does not exist or is private"
        way_out = f"correct the data set's name, set HF_TOKEN, or {instead}"
    elif isinstance(error, errors.RemoteEntryNotFoundError):
        reason, way_out = "does not exist: no such file", "correct the file's name"
    elif isinstance(error, errors.HFValidationError):
        reason, way_out = "is not a valid name on the hub", "write owner/name"
    else:
        reason = f"is not in the cache and cannot be fetched ({type(error).__name__})"
        way_out = f"fetch it once with a network and keep the cache, or {instead}"
    raise ConfigError(f"{what} {reason}; {way_out}") from error
