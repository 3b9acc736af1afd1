"""The nouns of a sweep: frozen dataclasses that describe what to compute, and their identities.

Everything that a result depends on is a field of one of these. Work is named by a hash (`system.content`).
There is no I/O, Hydra or torch here, so nouns pass unchanged from driver to actors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from raysweep.kv_policy import KVPolicy
from raysweep.system.content import ADDED, INCIDENTAL, canonical, content_hash

USUAL_GROUP = 128  # which a slug leaves out


@dataclass(frozen=True)
class Architecture:
    """The numbers of a decoder (Qwen3, Qwen2 or Llama) that determine bytes and costs."""

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
    o_bias: bool = False


@dataclass(frozen=True)
class WeightSpec:
    """Precision of the large linear layers. Embedding, head and norms are always 16 bit.

    method      `bf16`, `gptq`, `awq` or `fp8`
    bits        bits per weight
    group_size  input features that share a scale (fp8: both sides of a block); -1: all, 0: no scales
    symmetric   whether the zero point is always in the middle of the range
    act_order   whether features are grouped in the order of their activations
    """

    method: str
    bits: int
    group_size: int = 0
    symmetric: bool = True
    act_order: bool = False

    @property
    def precision(self) -> str:
        """Method and bits without the groups: `bf16`, `gptq4`."""
        return self.method if self.bits == 16 else f"{self.method}{self.bits}"

    @property
    def slug(self) -> str:
        if self.bits == 16:
            return self.method
        unusual = []
        if self.group_size != USUAL_GROUP:
            unusual.append("column" if self.group_size < 0 else f"g{self.group_size}")
        if self.symmetric == (self.method == "awq"):
            unusual.append("sym" if self.symmetric else "asym")
        if self.act_order:
            unusual.append("act")
        return "-".join([self.precision, *unusual])


BF16 = WeightSpec("bf16", 16)


@dataclass(frozen=True)
class Checkpoint:
    """The files that an engine loads, in Hugging Face form.

    path      a folder, a folder at an address such as s3://, or `hf://owner/name`
    revision  identifies the content: a fingerprint, a commit on the hub, or the id of its recipe
    """

    path: str = field(metadata=INCIDENTAL)
    revision: str


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn.

    temperature  divides the logits; 0 is greedy
    top_p        keeps the most likely tokens that together have this probability; 1 keeps all
    top_k        keeps this number of most likely tokens; 0 keeps all
    min_p        keeps tokens with at least this share of the best probability (arXiv 2407.01082); 0 keeps all
    """

    temperature: float
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0


@dataclass(frozen=True)
class Family:
    """What models of one family share: how they are asked, how they think, and how they are sampled.

    think_open   text that ends every prompt, added if the chat template does not end with it; "": none
    think_close  the one token that ends the thinking. Forcing `direct` allows any text, and "": none
    system       text of a system message before the question; None: no such message
    template     further variables of the chat template, such as `enable_thinking`: plain values by name
    prompt_date  the day (YYYY-MM-DD) that the chat template is told as today; None: it is told none
    """

    name: str
    sampling: Sampling
    think_open: str = "<think>\n"
    think_close: str = "</think>"
    system: str | None = field(default=None, metadata=ADDED)
    template: Mapping[str, Any] = field(default_factory=dict, hash=False, metadata=ADDED)
    prompt_date: str | None = field(default=None, metadata=ADDED)


@dataclass(frozen=True)
class ModelSpec:
    """A model with its own files of the precision `weights` (`path`, `revision`, as in `Checkpoint`).

    quantized  published files at other precisions
    """

    name: str
    family: Family
    path: str = field(metadata=INCIDENTAL)
    revision: str
    architecture: Architecture
    weights: WeightSpec = BF16
    quantized: tuple[tuple[WeightSpec, Checkpoint], ...] = field(default=(), metadata=INCIDENTAL)

    def published(self, weights: WeightSpec) -> Checkpoint | None:
        """The published files at that precision. None if raysweep has to make them."""
        own = (self.weights, Checkpoint(self.path, self.revision))
        return dict([own, *self.quantized]).get(weights)

    @property
    def params(self) -> int:
        """Number of parameters. A tied head counts once."""
        a = self.architecture
        q_size, kv_size = a.heads * a.head_dim, a.kv_heads * a.head_dim
        attention = a.hidden_size * (2 * q_size + 2 * kv_size)
        mlp = 3 * a.hidden_size * a.intermediate_size
        norms = 2 * a.hidden_size + (2 * a.head_dim if a.qk_norm else 0)
        bias = (q_size + 2 * kv_size if a.qkv_bias else 0) + (a.hidden_size if a.o_bias else 0)
        embeddings = a.vocab_size * a.hidden_size * (1 if a.tied_embeddings else 2)
        return a.layers * (attention + mlp + norms + bias) + a.hidden_size + embeddings


@dataclass(frozen=True)
class EngineSpec:
    """What one actor holds: a model at a precision (`checkpoint`), a KV policy and a backend."""

    model: ModelSpec
    weights: WeightSpec
    kv_policy: KVPolicy
    backend: str
    checkpoint: Checkpoint
    control: bool = field(default=False, metadata=ADDED)  # repeats an engine on another backend

    @cached_property
    def content(self) -> str:
        return content_hash(self)

    @cached_property
    def canonical(self) -> str:
        return canonical(self)  # of which the names of its many streams are made

    @cached_property
    def engine_id(self) -> str:
        name = engine_name(self.model, self.weights, self.kv_policy)
        return f"{name}.control" if self.control else name


def engine_name(model: ModelSpec, weights: WeightSpec, kv_policy: KVPolicy) -> str:
    """Readable and unique within a run: `qwen3-8b.gptq4.r_kv-4096`."""
    return f"{model.name}.{weights.slug}.{kv_policy.slug}"


@dataclass(frozen=True)
class Question:
    """A question of a benchmark.

    rendered  `prompt` in a model's chat template, with thinking opened; "" where no model is meant
    """

    question_id: str
    prompt: str
    gold: str
    rendered: str = field(default="", metadata=INCIDENTAL)

    @cached_property
    def asked(self) -> str:
        """Names what a model is asked; a corrected gold answer leaves the samples what they are."""
        return content_hash("asked", self.question_id, self.prompt)

    @cached_property
    def content(self) -> str:
        """Names question and gold answer, as version 0.1.0 named the question of a sample."""
        return content_hash(self)


@dataclass(frozen=True)
class Benchmark:
    """Questions, and how an answer is opened by force, limited, extracted and graded.

    answer_opener   text that follows the family's think_close when thinking is closed by force
    answer_tokens   the most tokens of an answer, without the forced ones
    grader          a name in `raysweep.grading`; it does not change the samples
    sources         the files that the questions were read from, each with its SHA-256
    stands_in       whether its questions are placeholders for missing files, which suffices for a plan
    text_is_answer  whether `end_closes` grades a text that ends during thinking as it is, or an opened answer
    """

    name: str
    questions: tuple[Question, ...]
    grader: str = field(metadata=INCIDENTAL)
    answer_opener: str
    answer_tokens: int
    sources: tuple[str, ...] = field(default=(), metadata=INCIDENTAL)
    stands_in: bool = field(default=False, metadata=INCIDENTAL)
    text_is_answer: bool = field(default=False, metadata=INCIDENTAL)

    @property
    def asked(self) -> str:
        """Names what models are asked and how they may answer; gold answers may be corrected."""
        questions = [question.asked for question in self.questions]
        return content_hash("asked", self.name, questions, self.answer_opener, self.answer_tokens)


@dataclass(frozen=True)
class Forcing:
    """How thinking is held to its budget.

    extension      text that replaces an early end of thinking, until the budget is used; "": none
    closing        text before thinking is closed by force
    answer_opener  text after the close; None: the benchmark's
    loop_tokens    number of last thinking tokens that are searched for a repetition; 0: no search
    end_loops      whether a loop is closed by force as soon as it is found
    end_closes     whether the end of the text closes the thinking, so that there is an answer after it;
                   the benchmark's `text_is_answer` says which
    """

    extension: str = ""
    closing: str = ""
    answer_opener: str | None = None
    loop_tokens: int = 0
    end_loops: bool = False
    end_closes: bool = field(default=False, metadata=ADDED)

    def forced_closing(self, family: Family, benchmark: Benchmark) -> str:
        """The text that closes thinking by force and opens the answer."""
        opener = benchmark.answer_opener if self.answer_opener is None else self.answer_opener
        return self.closing + family.think_close + opener


PLAIN = Forcing()


def sequence_tokens(prompt: int, token_budget: int, closing: int, answer: int) -> int:
    """Tokens of the longest sequence: prompt, thinking up to the budget, forced closing, answer."""
    return prompt + token_budget + closing + answer


@dataclass(frozen=True)
class Decoding:
    """Everything that determines a sample besides engine and question.

    end_closes      whether the end of the text closes the thinking
    text_is_answer  whether the text is then the answer; otherwise the forced closing opens one
    """

    seed: int
    sampling: Sampling
    think_open: str
    think_close: str
    forced_closing: str
    answer_tokens: int
    token_budgets: tuple[int, ...]
    extension: str = ""
    loop_tokens: int = 0
    end_loops: bool = False
    end_closes: bool = field(default=False, metadata=ADDED)
    text_is_answer: bool = field(default=False, metadata=ADDED)

    def sequence_tokens(self, prompt: int = 0, closing: int = 0, budget: int | None = None) -> int:
        """Tokens of the longest sequence, at the largest budget unless another one is given."""
        most = self.token_budgets[-1] if budget is None else budget
        return sequence_tokens(prompt, most, closing, self.answer_tokens)

    @cached_property
    def content(self) -> str:
        return content_hash(self)
