"""An OpenAI-compatible server over a language of a few rules, which fails as it is told.

Its next token is a hash of all tokens before, so a greedy answer depends on the prompt alone, and a sampled
one on its seed too. `Manners` are what servers do differently, `faults` are what goes wrong.
"""

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from aiohttp import web
from transformers import AutoTokenizer

from actors.server_engine.background import Background

# What a faulty server does to a request, one of these by a name.
FAULTS = (
    *("too many", "unavailable", "internal", "drop", "half a body", "no json", "miscount"),
    *("too few", "aborted", "slow"),
)

# What stands before a server that is away, and takes its connections: it closes them, as a tunnel does, says
# that the server is late, as a gateway does, or answers nothing.
Front = Literal["", "closes", "late", "silent"]
LATE = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Manners:
    """How a server differs from vLLM.

    ids         the field that makes it give token ids; "": none does
    no_top_k    what it takes as a `top_k` that keeps all
    forbids     fields that it refuses
    ignores     fields that it takes without effect
    bos         tokens that it puts before a prompt
    gives_stop  whether the token that ended an answer is among its ids
    context     tokens of its context, and whether /models says so
    """

    ids: str = "return_token_ids"
    no_top_k: tuple[int, ...] = (-1, 0)
    forbids: frozenset[str] = frozenset()
    ignores: frozenset[str] = frozenset()
    bos: int = 0
    gives_stop: bool = True
    context: int = 512
    says_context: bool = True
    key: str = ""
    models: tuple[str, ...] = ("tiny",)
    spelling: Callable[[str], str] = str


@dataclass
class FaultyServer:
    """Serves on a port of this machine from `start` to `stop`, as often as wanted.

    faults          a fault, or "", for each request in turn; without more of them, none
    most_at_a_time  requests beyond which one is refused as too many
    pause_s         seconds that each answer takes, and `slow_s` those of a slow one besides
    seen            how often each answer was given in full, by prompt and seed
    failed          how often each fault happened
    taken           connections that a front has taken
    """

    tokenizer: Any
    ends: frozenset[int]
    manners: Manners = field(default_factory=Manners)
    faults: Iterable[str] = ()
    port: int = 0
    most_at_a_time: int = 10**6
    pause_s: float = 0.002
    slow_s: float = 0.1

    def __post_init__(self) -> None:
        self.faults = iter(self.faults)
        self.seen: Counter[tuple] = Counter()
        self.failed: Counter[str] = Counter()
        self.headers: list[Any] = []
        self.now = self.taken = 0
        self._background: Background[int] = Background()
        self._runner: Any = None
        self._front: asyncio.Server | None = None
        self._held: list[asyncio.StreamWriter] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> "FaultyServer":
        self._background.wait_for(self._start())
        return self

    def stop(self, front: Front = "") -> None:
        """End at once, and drop all connections. Then a `front` takes connections until `start`."""
        self._background.wait_for(self._stop(front))

    def close(self) -> None:
        self.stop()
        self._background.close()

    async def _stop(self, front: Front) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None
        await self._close_front()
        if front:
            take = partial(self._take, front)
            self._front = await asyncio.start_server(take, "127.0.0.1", self.port)

    def _take(self, front: Front, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        if front == "silent":
            self._held.append(writer)
            return
        if front == "late":
            writer.write(LATE)
        writer.close()

    async def _close_front(self) -> None:
        if self._front is not None:
            self._front.close()
        for writer in self._held:
            writer.close()
        self._front = None
        self._held.clear()

    async def _start(self) -> None:
        await self._close_front()
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_get("/elsewhere/models", self._moved)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _moved(self, request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/v1/models")

    async def _models(self, request: web.Request) -> web.Response:
        self._check_key(request)
        said = {"max_model_len": self.manners.context} if self.manners.says_context else {}
        cards = [{"id": name, "owned_by": "a stub", **said} for name in self.manners.models]
        return web.json_response({"data": cards})

    def _check_key(self, request: web.Request) -> None:
        self.headers.append(dict(request.headers))
        sent = request.headers.get("Authorization", "")
        if self.manners.key and sent != f"Bearer {self.manners.key}":
            said = json.dumps({"error": {"message": f"wrong key {sent}"}})
            raise web.HTTPUnauthorized(text=said, content_type="application/json")

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        self._check_key(request)
        body = await request.json()
        self.now += 1
        try:
            if self.now > self.most_at_a_time:
                return _error(429, "too many", {"Retry-After": "0"})
            await asyncio.sleep(self.pause_s)
            fault = next(self.faults, "")  # pyright: ignore[reportArgumentType, reportCallIssue]
            if fault:
                self.failed[fault] += 1
            return await self._answered(request, body, fault)
        finally:
            self.now -= 1

    async def _answered(
        self, request: web.Request, body: dict[str, Any], fault: str
    ) -> web.StreamResponse:
        match fault:
            case "too many":
                return _error(429, "too many requests", {"Retry-After": "0.01"})
            case "unavailable":
                return _error(503, "loading")
            case "internal":
                return _error(500, "an exception")
            case "drop":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "slow":
                await asyncio.sleep(self.slow_s)
        answer = self.answer(body)
        if isinstance(answer, web.Response):
            return answer
        match fault:
            case "half a body":
                return await _half(request, json.dumps(answer).encode())
            case "no json":
                return web.Response(text="<html>", content_type="text/html")
            case "miscount":
                answer["usage"]["completion_tokens"] += 3
            case "too few":
                answer["choices"][0]["finish_reason"] = "length"
                answer["choices"][0]["token_ids"] = answer["choices"][0]["token_ids"][:0]
                answer["usage"]["completion_tokens"] = 0
            case "aborted":
                answer["choices"][0]["finish_reason"] = "abort"
        if fault in ("", "slow"):
            self.seen[tuple(body["prompt"]), body.get("seed")] += 1
        return web.json_response(answer)

    def answer(self, body: dict[str, Any]) -> Any:
        """The answer to a completion, as a body or as a refusal."""
        manners = self.manners
        if body["model"] not in manners.models:
            return _error(404, f"no model {body['model']}")
        if wrong := manners.forbids & set(body):
            return _error(400, f"Extra inputs are not permitted: {min(wrong)}")
        body = {name: value for name, value in body.items() if name not in manners.ignores}
        top_k = body.get("top_k", -1)
        if top_k < 1 and top_k not in manners.no_top_k:
            return _error(400, f"top_k must not be {top_k}")
        if len(body["prompt"]) + body["max_tokens"] > manners.context:
            return _error(400, f"This model's maximum context length is {manners.context} tokens")
        tokens, stopped = self.generated(body)
        given = tokens[:-1] if stopped and not manners.gives_stop else tokens
        text = self.tokenizer.decode(tokens[:-1] if stopped else tokens, skip_special_tokens=False)
        wants_ids = manners.ids in body and body[manners.ids] == (manners.ids != "detokenize")
        choice = {
            "text": manners.spelling(text),
            "finish_reason": "stop" if stopped else "length",
            "stop_reason": tokens[-1] if stopped else None,
            **({"token_ids": given} if wants_ids else {}),
        }
        prompt = len(body["prompt"]) + manners.bos
        usage = {"prompt_tokens": prompt, "completion_tokens": len(tokens)}
        return {"choices": [choice], "usage": usage, "system_fingerprint": "stub-1"}

    def generated(self, body: dict[str, Any]) -> tuple[list[int], bool]:
        """Tokens up to one to stop at, and whether there was one."""
        stop, tokens = frozenset(body.get("stop_token_ids", ())), []
        one = (
            body["temperature"] == 0
            or body.get("top_k") == 1
            or body.get("min_p") == 1
            or body["top_p"] < 0.01
        )
        drawn = "" if one else body["seed"] if "seed" in body else random.random()
        while len(tokens) < body["max_tokens"]:
            tokens.append(self.next_token(drawn, [*body["prompt"], *tokens]))
            if tokens[-1] in stop:
                return tokens, True
        return tokens, False

    def next_token(self, drawn: Any, before: list[int]) -> int:
        """One in about forty ends the text, and as many close the thinking."""
        text = f"{drawn} {before[-8:]} {len(before)}"
        digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        close = self.tokenizer.encode("</think>", add_special_tokens=False)
        if digest % 20 == 0:
            return [min(self.ends), *close][digest // 20 % 2]
        return 10 + digest % 60


def a_server(model: str, **changes: Any) -> FaultyServer:
    """A server with the tokenizer of a shipped model's folder, started."""
    from support.tiny_models import END_OF_TURN, MODELS

    tokenizer = AutoTokenizer.from_pretrained(MODELS / model)
    return FaultyServer(tokenizer, frozenset({END_OF_TURN}), **changes).start()


def at_random(share: float, seed: int) -> Iterable[str]:
    """Any fault for that share of the requests."""
    drawn = random.Random(seed)
    while True:
        yield drawn.choice(FAULTS) if drawn.random() < share else ""


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


async def _half(request: web.Request, whole: bytes) -> web.StreamResponse:
    """The first half of a body, and then the end of the connection."""
    response = web.StreamResponse(headers={"Content-Length": str(len(whole))})
    response.content_type = "application/json"
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    assert request.transport is not None
    request.transport.abort()
    return response
