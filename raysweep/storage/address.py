"""Addresses of folders: a local path, or a URI whose query holds options of the file system.

    s3://bucket/runs?endpoint_override=localhost:9000&scheme=http

The name of a file below goes before the query, so a name is never simply appended.
"""

import os
import re

FOLDED = re.compile(r"^([^?]*)(\?[^/]*)/(.*)$")


def is_local(address: str) -> bool:
    return "://" not in address


def below(address: str, name: str) -> str:
    """The address of `name` below a folder."""
    if is_local(address):
        return f"{address.rstrip('/')}/{name}"
    place, mark, query = unfolded(address).partition("?")
    return f"{place.rstrip('/')}/{name}{mark}{query}"


def parted(address: str) -> tuple[str, str]:
    """The folder that holds what is at an address, and its name there: the inverse of `below`."""
    place, mark, query = (
        (address, "", "") if is_local(address) else unfolded(address).partition("?")
    )
    folder, _, name = place.rstrip("/").rpartition("/")
    return f"{folder}{mark}{query}", name


def unfolded(address: str) -> str:
    """The address with its query last, even if a name was appended to it as in `${out}/checkpoints`."""
    found = None if is_local(address) else FOLDED.match(address)
    return f"{found[1].rstrip('/')}/{found[3]}{found[2]}" if found else address


def absolute(address: str) -> str:
    """The address of the same folder for a process with another working directory."""
    return os.path.abspath(address) if is_local(address) else unfolded(address)
