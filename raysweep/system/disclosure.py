"""What must be in no file that others will read: secrets of the environment, and places on this machine.

What is written is made of fields that are fit for all. This is the net below: it masks in texts what
it knows, and finds it in the bytes of a finished file, even where they are packed.
"""

import base64
import binascii
import gzip
import os
import re
import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from raysweep.system.safe_text import SECRET_KEY

# A shorter one could be any word, or its beginning.
SHORTEST_SECRET = 8
SHORTEST_PLACE = 5
SHORTEST_HOST = 4
IN_ADDRESS = re.compile(r"://(?P<user>[^/?#\s@]*)@|[?&](?:[^=&\s?]+)=(?P<value>[^&\s]+)")
IPV4 = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b")
# How gzip begins in base64: data of the pages.
PACKED = re.compile(rb"H4sI[A-Za-z0-9+/]+=*")
HIDDEN = "…"


@dataclass(frozen=True)
class Private:
    """Texts that are not for others.

    secrets  by name
    places   folders and addresses, the longest first
    hosts    names of machines
    """

    secrets: Mapping[str, str]
    places: tuple[str, ...]
    hosts: tuple[str, ...] = ()

    def masked(self, text: str) -> str:
        """The text without all of them, and without IP addresses."""
        for secret in self.secrets.values():
            text = text.replace(secret, HIDDEN)
        for place in self.places:
            text = re.sub(_alone(place), HIDDEN, text)
        for host in self.hosts:
            text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", HIDDEN, text)
        return IPV4.sub(HIDDEN, text)

    def found_in(self, data: bytes) -> str | None:
        """What a file gives away, in words; also in what it holds as packed data. None for nothing."""
        for readable in (data, *_unpacked(data)):
            for name, value in self.secrets.items():
                if value.encode() in readable:
                    return f"the value of {name}"
            for place in self.places:
                if re.search(_alone(place).encode(), readable):
                    return f"the place {place}"
        return None


def _alone(place: str) -> str:
    """The pattern of a place that is no beginning of another name."""
    return rf"{re.escape(place)}(?![\w-])"


def private_here(
    addresses: Iterable[str], keys: Iterable[str] = (), hosts: Iterable[str] = ()
) -> Private:
    """What is private on this machine and of the addresses, which may hold secrets of their own.

    keys   names of further environment variables with secrets
    hosts  names of machines
    """
    addresses, keys = list(addresses), set(keys)
    secrets = {
        name: value
        for name, value in os.environ.items()
        if (name in keys or SECRET_KEY.search(name)) and len(value) >= SHORTEST_SECRET
    }
    for address in addresses:
        secrets |= {f"a part of the address {n}": part for n, part in enumerate(_parts(address))}
    folders = [str(Path.home()), os.getcwd(), sys.prefix, str(Path(__file__).parents[2])]
    places = {*folders, *(re.sub(r"\?.*", "", one) for one in addresses)}
    places |= {os.path.abspath(one) for one in addresses if "://" not in one}
    kept = [one.rstrip("/") for one in places if os.path.isabs(one) or "://" in one]
    long = {one for one in kept if len(one) >= SHORTEST_PLACE}
    named = tuple(host for host in hosts if len(host) >= SHORTEST_HOST)
    return Private(secrets, tuple(sorted(long, key=lambda one: (-len(one), one))), named)


def _parts(address: str) -> list[str]:
    """User, password and values of options in an address, as far as they are long."""
    found = [value for match in IN_ADDRESS.finditer(address) for value in match.groups() if value]
    parts = [part for text in found for part in (text, *text.split(":"))]
    return [part for part in parts if len(part) >= SHORTEST_SECRET]


def _unpacked(data: bytes) -> Iterable[bytes]:
    for match in PACKED.finditer(data):
        try:
            yield gzip.decompress(base64.b64decode(match[0]))
        except (OSError, EOFError, zlib.error, binascii.Error):
            continue
