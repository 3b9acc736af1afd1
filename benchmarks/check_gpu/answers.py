"""The answers of shipped models to some questions, greedily, by the torch engine or by vLLM.

    python -m benchmarks.check_gpu.answers cpu|vllm [--few]

prints them in a process of its own: of the torch engine on the CPU under all policies, or of vLLM on the GPU.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.engine import Engine, TraceRequest
from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.streaming_llm import StreamingLLM
from benchmarks.check_gpu.vllm_process import VARIABLES
from raysweep import catalogue
from raysweep.benchmarks import chain, facts
from raysweep.configuration.chat import read_chat
from raysweep.kv_policy import KVPolicy
from raysweep.shard import sample_key
from raysweep.spec import BF16, Checkpoint, Decoding, EngineSpec, Question, Sampling

GREEDY = Sampling(temperature=0)
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
ROWS = 32
FLAG = "--few"

Answers = dict[str, str]  # by question and token budget


@dataclass(frozen=True)
class Scale:
    """What is asked.

    questions  of chain and of facts
    budgets    thinking tokens; with fewer than 64, models guess, and a guess hangs on the last bit
    opener     follows the end of the thinking; the shipped models are trained on that of REAL
    """

    models: tuple[str, ...]
    policies: tuple[KVPolicy, ...]
    questions: tuple[int, int]
    budgets: tuple[int, ...]
    opener: str
    answer_tokens: int

    def engines(self) -> Iterator[EngineSpec]:
        """All models under the full cache, and the last one under all policies."""
        for name in self.models:
            yield from (self.engine(name, policy) for policy in self._policies_of(name))

    def engine(self, name: str, policy: KVPolicy, backend: str = "torch") -> EngineSpec:
        model = catalogue.model(name)
        own = Checkpoint(model.path, model.revision)
        return EngineSpec(model, BF16, policy, backend, own)

    def _policies_of(self, name: str) -> tuple[KVPolicy, ...]:
        return self.policies if name == self.models[-1] else self.policies[:1]

    def asked(self) -> list[Question]:
        return [
            *chain.questions(self.questions[0], seed=1),
            *facts.questions(self.questions[1], seed=1),
        ]

    def decoding(self) -> Decoding:
        open_, close = "<think>\n", "</think>"
        closing = close + self.opener
        return Decoding(0, GREEDY, open_, close, closing, self.answer_tokens, self.budgets)

    @property
    def longest(self) -> int:
        return 256 + self.budgets[-1]


REAL = Scale(
    ("tiny-60k", "tiny-140k", "tiny-340k", "tiny-755k"),
    (
        Full(),
        StreamingLLM(4, 60),
        RKV(budget=64, window=8, buffer=16),
        H2O(budget=64, window=16, buffer=16),
        Quantized(4, group_size=16, residual=16),
    ),
    (40, 40),
    (64, 128),
    "\nThe answer is",
    8,
)
FEW = Scale(("tiny-60k",), (Full(),), (1, 0), (2,), "", 1)


def answers_of(engine: Engine, spec: EngineSpec, scale: Scale) -> Answers:
    """Every answer, by question and token budget."""
    chat, way = read_chat(Path(spec.model.path), "model"), scale.decoding()
    found: Answers = {}

    def noting(question: Question) -> Callable[[Any], None]:
        name = question.question_id
        return lambda trace: found.update(
            {f"{name} at {answer.token_budget}": answer.text for answer in trace.answers}
        )

    asked = scale.asked()
    for question in asked:
        prompt = chat.prompt(question.prompt, spec.model.family)
        key = sample_key(way.seed, question.question_id, 0)
        engine.add(TraceRequest(prompt, key, way), noting(question))
    while len(found) < len(asked) * len(scale.budgets):
        engine.step()
    return found


def by_torch(spec: EngineSpec, scale: Scale) -> Answers:
    """By the torch engine, on the GPU if this process sees one."""
    from actors.torch_engine.engine import TorchEngine

    a = spec.model.architecture
    rows = min(ROWS, sum(scale.questions))
    engine = TorchEngine(spec.model.path, a, spec.kv_policy, rows, longest=scale.longest)
    return answers_of(engine, spec, scale)


def by_vllm(spec: EngineSpec, scale: Scale) -> Answers:
    from actors.vllm_engine.engine import VllmEngine
    from actors.vllm_engine.loading import Limits

    return answers_of(VllmEngine(spec, Limits(ROWS, scale.longest, 1.0)), spec, scale)


def started(way: str, few: bool) -> subprocess.Popen[str]:
    """The process that prints the answers."""
    command = [sys.executable, "-m", "benchmarks.check_gpu.answers", way, *([FLAG] if few else [])]
    environment = {**os.environ, **(NO_GPU if way == "cpu" else VARIABLES)}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def finished(process: subprocess.Popen[str]) -> dict[str, Answers]:
    """The answers that a process prints, by engine. Raises RuntimeError with its last words if it fails."""
    printed, said = process.communicate()
    if process.returncode:
        sys.stderr.write(said)
        raise RuntimeError((said.strip() or "no words").splitlines()[-1])
    return json.loads(printed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=["cpu", "vllm"])
    parser.add_argument(FLAG, action="store_true")
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not disturb the answers
    scale = FEW if options.few else REAL
    if options.way == "cpu":
        found = {spec.engine_id: by_torch(spec, scale) for spec in scale.engines()}
    else:
        spec = scale.engine(scale.models[-1], Full(), "vllm")
        found = {spec.engine_id: by_vllm(spec, scale)}
    json.dump(found, answers)


if __name__ == "__main__":
    main()
