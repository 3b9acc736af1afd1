"""Requests over HTTP to one OpenAI-compatible server, repeated until it has answered well.

    refused as one too many (429, 502, 503)      sent again, for as long as the server may be away
    no connection                                the same
    connection lost, half an answer, 500, ...    sent again, but each request only so often
    refused as wrong (400, 401, 404, ...)        an error

All waits are random, so that the requests of an outage do not return all at once. Nothing is lost by sending
a request again: the server keeps no state of it, and its seed is the same.
"""

import asyncio
import json
import random
import socket
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp

from actors.server_engine.window import Window
from raysweep.errors import one_line
from raysweep.run_config import Server
from raysweep.system.safe_text import MASK

# The longest random wait doubles with each failure of a request, from the first of these to the second.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
# Attempts at a request whose own fault it may be that the server fails.
MOST_TRIES = 10
CONNECT_S = 10.0
SHORT_S = 30.0  # the longest time of a request that generates nothing
SAY_AFTER_S = 5.0
SHOWN_CHARACTERS = 200
# A connection whose other end is gone is noticed after about two minutes of silence.
KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}

TOO_MANY = {429, 502, 503}
PASSING = {408, 425}  # the other statuses from 400 to 499 say that the request is wrong
UNAUTHORIZED = {401, 403}

Read = TypeVar("Read")


class ServerUnavailable(RuntimeError):  # noqa: N818 - the driver knows it by this name
    """The server was away for too long. The message is one line."""


class ServerRefused(ValueError):  # noqa: N818
    """The server, or what it says, cannot be used. The message is one line."""


class BadAnswer(RuntimeError):  # noqa: N818
    """An answer that cannot be right, though another attempt may be."""


class Overdue(RuntimeError):  # noqa: N818
    """A request took longer than its deadline."""


class Failure(RuntimeError):  # noqa: N818
    """An attempt that failed, and may be repeated.

    counts    whether the request itself may be the cause
    too_many  whether the server had too much to do
    after_s   seconds that the server asks to wait
    """

    def __init__(
        self, reason: str, counts: bool = True, too_many: bool = False, after_s: float = 0.0
    ):
        super().__init__(reason)
        self.counts, self.too_many, self.after_s = counts, too_many, after_s


class Client:
    """Makes requests to one server. Must be made and used in one event loop.

    most  requests under way at a time
    key   goes with each request, and into no message; "": none

    trouble  that the server is away, and for how long, in one line; "" while it answers
    """

    def __init__(self, server: Server, key: str, most: int):
        self.server, self.key, self.window = server, key, Window(most)
        self.session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"} if key else None,
            connector=aiohttp.TCPConnector(limit=0, socket_factory=_kept_alive),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._begun: list[float] = []  # when the attempts that are under way began
        self._failing_since: float | None = None
        self.trouble = ""

    async def close(self) -> None:
        await self.session.close()

    async def get(self, path: str) -> Any:
        """The JSON at a path below the address. Waits for a server that is away."""
        return await self._ask("GET", path, None, lambda answer: answer, SHORT_S)

    async def complete(
        self,
        body: Mapping[str, Any],
        read: Callable[[Any], Read],
        deadline_s: float,
        tries: int = MOST_TRIES,
    ) -> Read:
        """What `read` makes of the answer to a completion; it raises BadAnswer for one that cannot be right.

        tries  attempts that may fail by the request's own fault

        Raises Overdue after `deadline_s` seconds of one attempt.
        """
        return await self._ask("POST", "completions", body, read, deadline_s, tries)

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        read: Callable[[Any], Read],
        deadline_s: float,
        tries: int = MOST_TRIES,
    ) -> Read:
        pause_s, counted = FIRST_PAUSE_S, 0
        while True:
            try:
                async with self.window:
                    answer = read(await self._timed(method, path, body, deadline_s))
            except (Failure, BadAnswer) as error:
                failure = error if isinstance(error, Failure) else Failure(str(error))
            except Overdue as error:
                self.window.refused()
                if body is not None:
                    raise
                failure = Failure(str(error), counts=False)
            else:
                self._failing_since, self.trouble = None, ""
                self.window.answered()
                return answer
            counted += failure.counts
            self._note(failure, counted, tries)
            await asyncio.sleep(failure.after_s + random.uniform(0, pause_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _note(self, failure: Failure, counted: int, tries: int) -> None:
        """Take in a failed attempt. Raises if there have been enough of them."""
        if failure.too_many:
            self.window.refused()
        if counted >= tries:
            raise BadAnswer(f"{self._where}: failed {counted} times, last: {failure}")
        now = time.monotonic()
        if self._failing_since is None or self._works_on_others(now):
            self._failing_since = now
        away_s, most_s = now - self._failing_since, self.server.patience_s
        if max(away_s, failure.after_s) > most_s:
            raise ServerUnavailable(
                f"{self._where}: no answer for {max(away_s, failure.after_s) / 60:.0f} minutes ({failure}); "
                "start it again, or raise server.patience_minutes"
            )
        if away_s > SAY_AFTER_S:
            self.trouble = f"{self._where}: {failure}; waiting for {away_s:.0f} of {most_s:.0f} s"

    def _works_on_others(self, now: float) -> bool:
        """Whether the server has had another request for longer than it takes to connect."""
        return bool(self._begun) and now - min(self._begun) > 2 * CONNECT_S

    async def _timed(
        self, method: str, path: str, body: Mapping[str, Any] | None, deadline_s: float
    ) -> Any:
        begun = time.monotonic()
        self._begun.append(begun)
        try:
            return await self._attempt(method, path, body, deadline_s)
        finally:
            self._begun.remove(begun)

    async def _attempt(
        self, method: str, path: str, body: Mapping[str, Any] | None, deadline_s: float
    ) -> Any:
        limit = aiohttp.ClientTimeout(total=deadline_s, sock_connect=min(CONNECT_S, deadline_s))
        url = f"{self.server.address}/{path}"
        try:
            async with self.session.request(
                method, url, json=body, timeout=limit, allow_redirects=False
            ) as response:
                return self._taken(response, await response.read())
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise self.refused(f"{type(error).__name__}; mend its TLS") from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise Failure("it cannot be connected to", counts=False) from None
        except TimeoutError:
            raise Overdue(f"{self._where}: no answer within {deadline_s:.0f} s") from None
        except aiohttp.ClientError as error:
            raise Failure(f"the connection was lost ({type(error).__name__})") from None

    def _taken(self, response: aiohttp.ClientResponse, text: bytes) -> Any:
        """The JSON of a good answer. Raises for any other."""
        status = response.status
        if status == 200:
            try:
                return json.loads(text)
            except ValueError:
                raise BadAnswer("its answer is no JSON") from None
        if status in TOO_MANY:
            after_s = seconds_of(response.headers.get("Retry-After", ""))
            raise Failure(f"status {status}", counts=False, too_many=True, after_s=after_s)
        if status in UNAUTHORIZED:
            has = "the key in" if self.key else "no key in"
            raise self.refused(
                f"status {status} with {has} {self.server.key_env}; put the right key there"
            )
        if 300 <= status < 400:
            raise self.refused("it redirects elsewhere; give the final address")
        if 400 <= status < 500 and status not in PASSING:
            raise self.refused(f"status {status}: {self._said(text)}")
        raise Failure(f"status {status}: {self._said(text)}")

    def refused(self, why: str) -> ServerRefused:
        """The error for a server that cannot be used."""
        return ServerRefused(self._without_key(one_line(f"{self._where}: {why}")))

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, MASK) if self.key else text

    @property
    def _where(self) -> str:
        return f"server {self.server.address}"

    def _said(self, text: bytes) -> str:
        """What the server says of its error, on one short line without the key."""
        said = text.decode(errors="replace")
        try:
            answer = json.loads(said)
            said = str((answer.get("error") or answer).get("message") or said)
        except (ValueError, AttributeError):
            pass
        return self._without_key(one_line(said))[:SHOWN_CHARACTERS] or "nothing"


def seconds_of(retry_after: str) -> float:
    """The seconds of a header Retry-After, which has seconds or a date; 0 for anything else."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def _kept_alive(where: tuple[Any, ...]) -> socket.socket:
    """A socket that notices if the other machine is gone, however long an answer takes."""
    made = socket.socket(*where[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
