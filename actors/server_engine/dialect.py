"""How a server is asked for tokens, and how its answer is read.

OpenAI's completions take token ids but neither end tokens nor `top_k`, and give no token ids. Servers extend
them alike, but not in all: vLLM and SGLang give ids for `return_token_ids`, TensorRT-LLM for a request not to
make text; SGLang writes "no top_k" as -1, TensorRT-LLM as 0. What holds is tried out (`probing`).

What a field could change is always said, since a server has defaults of its own, often those of the
checkpoint's generation_config.json.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from actors.sample_requests import Request
from actors.server_engine.failures import BadAnswer, ServerRefused
from actors.tokenization import Texts
from raysweep.spec import Sampling

Way = Literal["ids", "no_text", "text"]

# What a request says besides, for the ids of its answer.
FOR_IDS: dict[Way, dict[str, Any]] = {
    "ids": {"return_token_ids": True},
    "no_text": {"detokenize": False, "include_stop_str_in_output": True},
    "text": {},
}
# Not in OpenAI's API. Without them a server's own end of text could end one that should go on, or its
# default could make repeated tokens less likely.
EXTRAS = {"ignore_eos": True, "skip_special_tokens": False, "repetition_penalty": 1.0, "min_p": 0.0}
# The tokens before an answer in which a text to stop at may begin.
BEFORE = 32


@dataclass(frozen=True)
class Dialect:
    """One server's way to be asked.

    way       how it gives token ids; "text": it gives none, and the text is tokenised again
    no_top_k  how it writes that `top_k` keeps all tokens
    extras    whether it takes EXTRAS
    """

    way: Way
    no_top_k: int
    extras: bool = True

    def body(self, model: str, sampling: Sampling, request: Request) -> dict[str, Any]:
        """The body of a completion."""
        extras = {**EXTRAS, "min_p": sampling.min_p} if self.extras else {}
        return {
            "model": model,
            "prompt": list(request.prompt),
            "max_tokens": request.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k or self.no_top_k,
            "seed": request.seed,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "stop_token_ids": sorted(request.stop),
            **({"stop": [request.stop_text]} if request.stop_text else {}),
            **extras,
            **FOR_IDS[self.way],
        }


@dataclass(frozen=True)
class Output:
    """The tokens of an answer, the last one an end if it ended by itself.

    cached  tokens of the prompt that were in the server's cache; None if it does not say
    text    as the server wrote it
    maker   what the server calls itself, "" if nothing
    """

    tokens: list[int]
    cached: int | None
    text: str = ""
    maker: str = ""


def read_output(answer: Any, request: Request, texts: Texts, way: Way) -> Output:
    """The output of a request.

    Raises BadAnswer for one that cannot be right, ServerRefused where every other one would be as wrong.
    """
    try:
        (choice,), usage = answer["choices"], answer["usage"]
        finish, text = choice["finish_reason"], choice.get("text") or ""
        counted, prompt = usage["completion_tokens"], usage["prompt_tokens"]
        given = None if way == "text" else choice.get("token_ids")
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadAnswer("its answer is not that of a completion") from None
    if prompt != len(request.prompt):
        raise ServerRefused(
            f"the server reads a prompt of {len(request.prompt)} tokens as {prompt}; let it add none"
        )
    if finish not in ("stop", "length"):
        raise BadAnswer(f"it ended an answer with {finish!r}")
    stopped = finish == "stop"
    if way == "text":
        tokens = _tokenised(text, choice, request, texts, stopped)
    else:
        tokens = _whole(_checked(given, counted), choice, request, texts, stopped)
    if not tokens or len(tokens) > request.max_tokens:
        raise BadAnswer(f"it gave {len(tokens)} tokens for at most {request.max_tokens}")
    if not stopped and way != "text" and len(tokens) < request.max_tokens:
        raise BadAnswer(
            f"it ended an answer after {len(tokens)} of {request.max_tokens} tokens; is its context shorter?"
        )
    return Output(tokens, cached, text, str(answer.get("system_fingerprint") or ""))


def _checked(given: Any, counted: Any) -> list[int]:
    """The given token ids, if they are as many as the server has counted. One may be counted and not given.

    Raises ServerRefused if the server gives none at all.
    """
    if not isinstance(given, list) or not all(type(token) is int for token in given):
        raise ServerRefused("the server's answers have no token ids")
    if counted not in (len(given), len(given) + 1):
        raise BadAnswer(f"it gave {len(given)} token ids and counted {counted}")
    return given


def _whole(
    tokens: list[int], choice: Mapping[str, Any], request: Request, texts: Texts, stopped: bool
) -> list[int]:
    """The tokens with the one that ended them, which some servers leave out."""
    if not stopped or (tokens and tokens[-1] in request.stop):
        return tokens
    if request.stop_text and request.stop_text in _spelled(tokens, request, texts):
        return tokens
    return [*tokens, _end(choice, request, texts)]


def _end(choice: Mapping[str, Any], request: Request, texts: Texts) -> int:
    """The token that ended an answer, if the server says so. Where it says nothing, the tokenizer's own."""
    said = choice.get("stop_reason", choice.get("matched_stop"))
    end = texts.tokenizer.eos_token_id if said is None else said
    if end not in request.stop:
        raise BadAnswer(f"it stopped at {said!r}, which ends no text of this checkpoint")
    return end


def _tokenised(
    text: str, choice: Mapping[str, Any], request: Request, texts: Texts, stopped: bool
) -> list[int]:
    """The tokens of a text, as many as were asked for at most."""
    end: list[int] = []
    if stopped:
        said = choice.get("stop_reason", choice.get("matched_stop"))
        if request.stop_text and said == request.stop_text:
            text += "" if request.stop_text in text else request.stop_text
        else:
            end = [_end(choice, request, texts)]
    tokens = texts.tokenizer.encode(text, add_special_tokens=False)
    if end and tokens and tokens[-1] == end[0]:
        end = []
    return [*tokens[: request.max_tokens - len(end)], *end]


def _spelled(tokens: list[int], request: Request, texts: Texts) -> str:
    both = [*request.prompt[-BEFORE:], *tokens]
    return texts.tokenizer.decode(
        both, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
