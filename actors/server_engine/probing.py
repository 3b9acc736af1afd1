"""What a server can do, found by tiny requests when an engine is loaded, and never by its name.

A server that would change results in silence is refused in one line: it gives no end of its own to a text
that should stop, reads other tokens than it is sent, or ignores how tokens are to be drawn.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from actors.sample_requests import Request
from actors.server_engine.client import Client
from actors.server_engine.dialect import Dialect, Output, Way, read_output
from actors.server_engine.failures import BadAnswer, Overdue, ServerRefused
from actors.tokenization import Texts
from raysweep.errors import one_line
from raysweep.spec import EngineSpec, Sampling

ASKED = "Question: what is 12 plus 30? Let us think step by step."
GREEDY = Sampling(0.0)
PROBE_TOKENS, SEED_TOKENS = 12, 32
# At such a temperature two answers of so many tokens are the same by chance in no language.
HOT = Sampling(2.0)
PROBE_S, PROBE_TRIES = 120.0, 3
# Two logits may be so near that a later token of a greedy answer is decided by rounding.
SURE_TOKENS = 4

WAYS: tuple[Way, ...] = ("ids", "no_text", "text")
DIALECTS = tuple(
    Dialect(way, no_top_k, extras)
    for extras, way, no_top_k in itertools.product((True, False), WAYS, (-1, 0))
)


@dataclass(frozen=True)
class Found:
    """What is known of a server.

    model         the name under which it serves the engine's model
    reproducible  see `Trace`
    context       tokens of its longest sequence; None if it does not say
    """

    model: str
    dialect: Dialect
    reproducible: str
    context: int | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Probe:
    """Asks a server about one engine."""

    client: Client
    spec: EngineSpec
    texts: Texts

    async def find(self) -> Found:
        """Raises ServerRefused for a server that cannot be used, ServerUnavailable if it is away."""
        card = self._card(await self.client.get("models"))
        model = str(card["id"])
        dialect, greedy = await self._dialect(model)
        ask = partial(self._ask, model, dialect)
        self._check_tokenizer(greedy, dialect)
        await self._check_stop(ask, greedy)
        await self._check_sampling(ask, greedy, dialect)
        seeded = await self._draws_by_seed(ask)
        warnings = tuple(self._warnings(card, greedy, dialect, seeded))
        reproducible = "seeded" if seeded else "unseeded"
        return Found(model, dialect, reproducible, card.get("max_model_len"), warnings)

    def _card(self, listed: Any) -> Mapping[str, Any]:
        """The server's entry for the engine's model."""
        try:
            cards = {str(card["id"]): card for card in listed["data"]}
        except (KeyError, TypeError):
            raise self.client.refused(
                "its /models lists no models; is the address right?"
            ) from None
        wanted, names = self.client.server.model, one_line(", ".join(cards)) or "none"
        if wanted is None and len(cards) != 1:
            raise self.client.refused(f"it serves {names}; say which by `model`")
        if wanted is not None and wanted not in cards:
            raise self.client.refused(f"it does not serve {wanted!r}; it serves {names}")
        return cards[wanted] if wanted is not None else next(iter(cards.values()))

    async def _dialect(self, model: str) -> tuple[Dialect, Output]:
        """The first way to ask that the server takes, with its greedy answer; if it can be, one with ids."""
        said = ""
        for dialect in DIALECTS:
            try:
                return dialect, await self._ask(model, dialect, GREEDY, self._request())
            except (ServerRefused, BadAnswer, Overdue) as error:
                said = said or str(error)
        raise ServerRefused(said)

    async def _ask(
        self, model: str, dialect: Dialect, sampling: Sampling, request: Request
    ) -> Output:
        body = dialect.body(model, sampling, request)
        read = partial(read_output, request=request, texts=self.texts, way=dialect.way)
        return await self.client.complete(body, read, PROBE_S, PROBE_TRIES)

    def _request(self, most: int = PROBE_TOKENS, seed: int = 1) -> Request:
        prompt = tuple(self.texts.tokenizer.encode(ASKED, add_special_tokens=False))
        return Request("probe", prompt, most, self.texts.end, seed)

    def _check_tokenizer(self, greedy: Output, dialect: Dialect) -> None:
        """The text of an answer must be that of its tokens by the checkpoint's own tokenizer."""
        if dialect.way != "ids" or not dialect.extras:
            return
        kept = greedy.tokens[:-1] if greedy.tokens[-1] in self.texts.end else greedy.tokens
        ours = self.texts.tokenizer.decode(kept, skip_special_tokens=False)
        if _bare(ours) != _bare(greedy.text):
            raise self.client.refused(
                f"its tokenizer is not that of {self.spec.model.name}: it writes {greedy.text!r}, which is "
                f"{ours!r} here; serve the same files"
            )

    async def _check_stop(self, ask: Any, greedy: Output) -> None:
        """It must stop at any token that it is told."""
        request = self._request()
        token = next((t for t in greedy.tokens[:-1] if t not in self.texts.end), None)
        if token is None:
            return
        stopped = await ask(GREEDY, replace(request, stop=request.stop | {token}))
        if stopped.tokens[-1] != token or len(stopped.tokens) >= len(greedy.tokens):
            raise self.client.refused(
                "it does not stop at `stop_token_ids`, so that no thinking would end where the model ends it"
            )

    async def _check_sampling(self, ask: Any, greedy: Output, dialect: Dialect) -> None:
        """What the family's sampling keeps of a distribution, brought to its extreme, keeps one token."""
        wanted = self.spec.model.family.sampling
        if wanted.temperature == 0:
            return
        extremes = {
            "top_p": (wanted.top_p < 1, replace(HOT, top_p=1e-6)),
            "top_k": (wanted.top_k > 0, replace(HOT, top_k=1)),
            "min_p": (wanted.min_p > 0, replace(HOT, min_p=1.0)),
        }
        for name, (used, extreme) in extremes.items():
            if not used:
                continue
            drawn = None
            if name != "min_p" or dialect.extras:
                drawn = await ask(extreme, self._request())
            if drawn is None or drawn.tokens[:SURE_TOKENS] != greedy.tokens[:SURE_TOKENS]:
                raise self.client.refused(
                    f"it ignores `{name}`, by which {self.spec.model.family.name} is sampled"
                )

    async def _draws_by_seed(self, ask: Any) -> bool:
        """Whether an answer is drawn from the request's seed, so that it is the same when it is repeated."""
        first, again, other = [
            (await ask(HOT, self._request(SEED_TOKENS, seed))).tokens for seed in (1, 1, 2)
        ]
        if self.spec.model.family.sampling.temperature > 0 and first == again == other:
            raise self.client.refused(
                "it answers the same to every seed at temperature 2: it does not sample"
            )
        return first == again

    def _warnings(
        self, card: Mapping[str, Any], greedy: Output, dialect: Dialect, seeded: bool
    ) -> Any:
        maker = greedy.maker or card.get("owned_by") or "an unknown server"
        engine = self.spec.engine_id
        yield one_line(
            f"{engine}: answered by {maker} as its model {card['id']!r}; that it holds these weights and "
            "this KV format is not checked, and bytes are those of the memory model"
        )
        if not seeded:
            yield (
                f"{engine}: its server draws no answer from the request's seed, so no sample can be repeated"
            )
        if dialect.way == "text":
            yield (
                f"{engine}: its server gives no token ids, so texts are tokenised again, and budgets may be "
                "off by some tokens"
            )


def _bare(text: str) -> str:
    """A text without what servers and tokenizers treat differently at its ends."""
    return text.strip().strip("\ufffd").strip()
