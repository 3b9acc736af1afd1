"""Reads the configuration's `server`: which server makes the samples of which engine.

Engines must not share a served model, because their samples would be those of one. Keys stay in the
environment: an address with credentials is refused, and so is a key that would be sent in the open.
"""

import ipaddress
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from raysweep.configuration.fields import Fields
from raysweep.errors import ConfigError, shown
from raysweep.run_config import Server, Servers, Sweep
from raysweep.spec import engine_name
from raysweep.system.safe_text import printable

SERVER_KEYS = ("address", "model", "engines", "key_env", "patience_minutes")
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


def read_servers(fields: Fields, sweep: Sweep) -> Servers:
    """The servers that are named. Raises for a name that no engine has, be it left out or not."""
    fields.only(SERVER_KEYS)
    key_env, patience_s = read_key_env(fields), 60 * fields.number("patience_minutes")
    of_all = None
    if fields.value("address") is not None:
        of_all = read_server(fields, key_env, patience_s)
    engines = Fields.of(fields.value("engines") or {}, fields.at("engines"))
    names = itertools.starmap(engine_name, replace(sweep, leave_out=()).cells())
    known = set(itertools.chain.from_iterable(map(beginnings, names)))
    by_engine = []
    for name in engines.values:
        if name not in known:
            raise ConfigError(
                f"{engines.at(name)}: no engine's id begins with {shown(name)}; write a model, or one with "
                f"its precision, such as {min(known)!r}"
            )
        one = engines.below(name).only(("address", "model"))
        by_engine.append((name, read_server(one, key_env, patience_s)))
    return Servers(of_all, tuple(by_engine))


def read_server(fields: Fields, key_env: str, patience_s: float) -> Server:
    model = fields.values.get("model")
    name = None if model is None else fields.text("model")
    return Server(read_address(fields, key_env), name, key_env, patience_s)


def read_key_env(fields: Fields) -> str:
    """The name of an environment variable. What else stands there may be a key, and is not shown."""
    name = fields.value("key_env")
    if not isinstance(name, str) or not VARIABLE.fullmatch(name):
        raise ConfigError(
            f"{fields.at('key_env')}: not the name of an environment variable (A-Z, 0-9 and _); put the key "
            "into such a variable, and write its name here"
        )
    return name


def read_address(fields: Fields, key_env: str) -> str:
    """The address of a server, without a slash at its end."""
    text, place = fields.text("address"), fields.at("address")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"{place}: contains credentials; remove them, and put the key into the environment variable "
            f"{key_env}"
        )
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise ConfigError(
            f"{place}: {shown(text)} is not the address of a server; write it as in http://host:8000/v1"
        )
    if printable(text) != text or any(character.isspace() for character in text):
        raise ConfigError(f"{place}: {shown(text)} contains control characters; correct it")
    if os.environ.get(key_env, "").strip() and in_the_open(text):
        raise ConfigError(
            f"{place}: http would send the key in {key_env} to {host} in the open; use https or an ssh "
            f"tunnel to localhost, or unset {key_env} if the server wants no key"
        )
    return text.rstrip("/")


def in_the_open(address: str) -> bool:
    """Whether what is sent to an address can be read on its way."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    return parts.scheme == "http" and not here


def check_servers(servers: Servers, sweep: Sweep) -> None:
    """Raise unless each engine that is to be made by a server has one, and no two the same model of one."""
    if sweep.backend != "server":
        return
    taken: dict[tuple[str, str | None], str] = {}
    for engine_id in itertools.starmap(engine_name, sweep.cells()):
        server = servers.of(engine_id)
        if server is None:
            raise ConfigError(
                f"server.address: missing, and {engine_id} is to be made by a server; give its address, as "
                "in server.address=http://host:8000/v1"
            )
        other = taken.setdefault((server.address, server.model), engine_id)
        if other != engine_id:
            raise ConfigError(
                f"server.engines: {engine_id} and {other} would be made by the same model of "
                f"{server.address}; name the server or its model of each, as in server.engines="
                f"{{{engine_id}: {{address: ..., model: ...}}}}"
            )


def beginnings(engine_id: str) -> Iterator[str]:
    """Every name with which an engine may be named: the id up to each of its dots, and all of it."""
    parts = engine_id.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))
