"""Requests over HTTP to one OpenAI-compatible server, repeated until it has answered well.

    refused as one too many (429, 502, 503)      sent again, for as long as the server may be away
    no connection                                the same
    connection lost, half an answer, 500, ...    sent again, but each request only so often
    refused as wrong (400, 401, 404, ...)        an error

A tunnel or a proxy takes connections while the server behind it is away, and closes them or answers 500. So
after such a failure the server is first asked for its models, for as long as it may be away. Each request
fails only once per outage that way, and no outage uses up its attempts.

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

from actors.server_engine.failures import (
    BadAnswer,
    Failure,
    Overdue,
    ServerRefused,
    ServerUnavailable,
)
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


class Client:
    """Makes requests to one server. Must be made and used in one event loop.

    most  requests under way at a time
    key   goes with each request, and into no message; "": none

    trouble  that the server is away or silent, and for how long, in one line; "" while it answers
    """

    def __init__(self, server: Server, key: str, most: int):
        self.server, self.key, self.window = server, key, Window(most)
        self.session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"} if key else None,
            connector=aiohttp.TCPConnector(limit=0, socket_factory=_kept_alive),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        # The attempts that are under way, by what can end each, and when they began.
        self._begun: dict[asyncio.Timeout, float] = {}
        self._failing_since: float | None = None
        self._answered_at = time.monotonic()
        self.trouble = ""
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        self._watching.cancel()
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
            except BadAnswer as error:
                failure, counts = Failure(str(error)), True
            except Failure as error:
                failure, counts = error, error.unclear and body is not None
            except Overdue as error:
                self.window.refused()
                if body is not None:
                    raise
                failure, counts = Failure(str(error)), False
            else:
                self._failing_since, self._answered_at, self.trouble = None, time.monotonic(), ""
                self.window.answered()
                return answer
            counted += counts
            self._note(failure, counted, tries)
            await asyncio.sleep(failure.after_s + random.uniform(0, pause_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            if failure.unclear and body is not None:
                await self.get("models")

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
            raise self._away(str(failure), max(away_s, failure.after_s))
        if away_s > SAY_AFTER_S:
            self.trouble = f"{self._where}: {failure}; waiting for {away_s:.0f} of {most_s:.0f} s"

    def _works_on_others(self, now: float) -> bool:
        """Whether the server has had another request for longer than it takes to connect."""
        return bool(self._begun) and now - min(self._begun.values()) > 2 * CONNECT_S

    async def _watch(self) -> None:
        """Look after the requests of a server that answers none for longer than it may be away.

        If it still lists its models it may be slow, so that is only said. If not, its requests are ended.
        """
        while True:
            await asyncio.sleep(min(SHORT_S, self.server.patience_s))
            if self._silent_s < self.server.patience_s:
                continue
            try:
                await self._attempt("GET", "models", None, SHORT_S)
            except (Failure, BadAnswer, Overdue, ServerRefused):
                there = False
            else:
                there = True
            if self._silent_s < self.server.patience_s:
                continue
            if there:
                self.trouble = (
                    f"{self._where}: no answer to {len(self._begun)} requests for {self._silent_s / 60:.0f} "
                    "minutes, though it lists its models; it is slow, or hangs"
                )
                continue
            for limit in list(self._begun):
                limit.reschedule(asyncio.get_running_loop().time())

    @property
    def _silent_s(self) -> float:
        """Seconds for which the server has had requests, and answered none of any kind."""
        if not self._begun:
            return 0.0
        return time.monotonic() - max(self._answered_at, min(self._begun.values()))

    async def _timed(
        self, method: str, path: str, body: Mapping[str, Any] | None, deadline_s: float
    ) -> Any:
        """An attempt that `_watch` can end. Raises ServerUnavailable if it did."""
        try:
            async with asyncio.timeout(None) as limit:
                self._begun[limit] = time.monotonic()
                try:
                    return await self._attempt(method, path, body, deadline_s)
                finally:
                    del self._begun[limit]
        except TimeoutError:
            raise self._away("it takes requests and answers none", self.server.patience_s) from None

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
            raise Failure("it cannot be connected to") from None
        except TimeoutError:
            raise Overdue(f"{self._where}: no answer within {deadline_s:.0f} s") from None
        except aiohttp.ClientError as error:
            reason = f"the connection was lost ({type(error).__name__})"
            raise Failure(reason, unclear=True) from None

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
            raise Failure(f"status {status}", too_many=True, after_s=after_s)
        if status in UNAUTHORIZED:
            has = "the key in" if self.key else "no key in"
            raise self.refused(
                f"status {status} with {has} {self.server.key_env}; put the right key there"
            )
        if 300 <= status < 400:
            raise self.refused("it redirects elsewhere; give the final address")
        if 400 <= status < 500 and status not in PASSING:
            raise self.refused(f"status {status}: {self._said(text)}")
        raise Failure(f"status {status}: {self._said(text)}", unclear=True)

    def _away(self, why: str, silent_s: float) -> ServerUnavailable:
        return ServerUnavailable(
            f"{self._where}: no answer for {silent_s / 60:.0f} minutes ({why}); start it again, or raise "
            "server.patience_minutes"
        )

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
