"""The nouns of a sweep: frozen dataclasses that say what is to be computed, and their identities.

Everything a result depends on is a field of one of these, and work is named by the hash of all that
determines it (`content_hash`). No I/O, no Hydra, no torch: these travel unchanged between the driver
and the actors.
"""

import hashlib
import json
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any

from raysweep.kv_policy import KVPolicy

INCIDENTAL = {"incidental": True}  # a field that says where or how to look, not what is computed


def content_hash(*parts: Any) -> str:
    """16 hex digits that name `parts` (dataclasses, tuples, dicts, plain values) by their content."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        named = {f.name: getattr(value, f.name) for f in fields(value) if f.metadata != INCIDENTAL}
        return {"": type(value).__name__, **named}
    raise TypeError(f"cannot name a {type(value).__name__} by its content")


@dataclass(frozen=True)
class Architecture:
    """The numbers of a decoder (Qwen3's shape) that bytes and costs depend on."""

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    tied_embeddings: bool
    context: int
    qk_norm: bool = True
    qkv_bias: bool = False


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn. Temperature 0 is greedy; top_p 1 and top_k 0 keep all tokens."""

    temperature: float
    top_p: float = 1.0
    top_k: int = 0


@dataclass(frozen=True)
class Family:
    """What models of one family share: how they think, and how they are sampled.

    think_open  ends every prompt (added where the chat template does not)
    think_close is the one token that ends the thinking
    """

    name: str
    sampling: Sampling
    think_open: str = "<think>\n"
    think_close: str = "</think>"


@dataclass(frozen=True)
class ModelSpec:
    """One checkpoint. `path` is a folder or a hub id, `revision` pins its content."""

    name: str
    family: Family
    path: str = field(metadata=INCIDENTAL)
    revision: str
    architecture: Architecture

    @property
    def params(self) -> int:
        """Number of parameters, a tied head counted once."""
        a = self.architecture
        q_size, kv_size = a.heads * a.head_dim, a.kv_heads * a.head_dim
        attention = a.hidden_size * (2 * q_size + 2 * kv_size)
        mlp = 3 * a.hidden_size * a.intermediate_size
        norms = 2 * a.hidden_size + (2 * a.head_dim if a.qk_norm else 0)
        bias = q_size + 2 * kv_size if a.qkv_bias else 0
        embeddings = a.vocab_size * a.hidden_size * (1 if a.tied_embeddings else 2)
        return a.layers * (attention + mlp + norms + bias) + a.hidden_size + embeddings


@dataclass(frozen=True)
class WeightSpec:
    """Precision of the large linear layers: method (`bf16`, later `gptq`, ...) and bits."""

    method: str
    bits: int
    group_size: int = 0

    @property
    def slug(self) -> str:
        return self.method if self.bits == 16 else f"{self.method}{self.bits}"


@dataclass(frozen=True)
class EngineSpec:
    """What one actor holds: a model at a precision under a KV policy, run by a backend."""

    model: ModelSpec
    weights: WeightSpec
    kv_policy: KVPolicy
    backend: str

    @property
    def engine_id(self) -> str:
        """Readable and unique within a run: `qwen3-8b.gptq4.r_kv-4096`."""
        return f"{self.model.name}.{self.weights.slug}.{self.kv_policy.slug}"


@dataclass(frozen=True)
class Question:
    question_id: str
    prompt: str
    gold: str


@dataclass(frozen=True)
class Benchmark:
    """Questions, and how an answer is opened by force, limited, extracted and graded.

    answer_opener  follows the family's think_close when thinking is closed by force
    answer_tokens  the most tokens an answer may take, the forced ones not counted
    grader         a name in `raysweep.benchmarks.grading`
    """

    name: str
    questions: tuple[Question, ...]
    grader: str
    answer_opener: str
    answer_tokens: int


@dataclass(frozen=True)
class Decoding:
    """All that determines a sample besides engine and question."""

    seed: int
    sampling: Sampling
    think_open: str
    think_close: str
    forced_closing: str
    answer_tokens: int
    token_budgets: tuple[int, ...]


@dataclass(frozen=True)
class Shard:
    """One actor call and one Parquet part: some questions, a range of sample indices of each."""

    engine: EngineSpec
    benchmark: str
    grader: str = field(metadata=INCIDENTAL)
    decoding: Decoding
    questions: tuple[Question, ...]
    sample_start: int
    sample_count: int

    @cached_property
    def shard_id(self) -> str:
        return content_hash(self)

    @cached_property
    def stream_id(self) -> str:
        """Names the endless stream of samples of which shards are finite pieces."""
        return content_hash(self.engine, self.benchmark, self.decoding)

    @property
    def samples(self) -> int:
        return len(self.questions) * self.sample_count


@dataclass(frozen=True)
class Sweep:
    """The grid. Token budgets in tokens and increasing; every group size is at most `samples`."""

    models: tuple[ModelSpec, ...]
    weights: tuple[WeightSpec, ...]
    kv_policies: tuple[KVPolicy, ...]
    benchmarks: tuple[Benchmark, ...]
    token_budgets: tuple[int, ...]
    group_sizes: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    samples: int
    backend: str


@dataclass(frozen=True)
class Generation:
    """How the work is cut and fed; changes speed and the size of a loss, never a sample.

    max_rows         sequences that one engine decodes together
    shard_questions  questions a shard
    shard_samples    samples of each question a shard
    max_attempts     tries of a shard before it is given up
    """

    max_rows: int
    shard_questions: int
    shard_samples: int
    max_attempts: int


@dataclass(frozen=True)
class Cluster:
    """Where the actors run. `address` is "local" (start Ray here) or a Ray address.

    Without a number of `actors` there are as many as the engines need and this machine affords.
    """

    address: str
    actors: int | None
    cpus_per_actor: float
    gpus_per_actor: float


@dataclass(frozen=True)
class Wish:
    """What a configuration is recommended for: the stage `recommend`.

    memory_bytes      for the weights and the KV caches of a whole batch; None if the stage is not run
    benchmark         one of the sweep's, None for each of them
    max_token_budget  None for no limit
    """

    memory_bytes: float | None
    batch_size: int
    benchmark: str | None
    max_token_budget: int | None


@dataclass(frozen=True)
class RunConfig:
    """A whole run as the user asked for it, validated."""

    out: str
    run: str
    seed: int
    stages: tuple[str, ...]
    sweep: Sweep
    generation: Generation
    cluster: Cluster
    recommend: Wish = Wish(None, 1, None, None)

    def decoding(self, model: ModelSpec, benchmark: Benchmark) -> Decoding:
        family = model.family
        return Decoding(
            seed=self.seed,
            sampling=family.sampling,
            think_open=family.think_open,
            think_close=family.think_close,
            forced_closing=family.think_close + benchmark.answer_opener,
            answer_tokens=benchmark.answer_tokens,
            token_budgets=self.sweep.token_budgets,
        )
