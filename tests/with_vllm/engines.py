"""vLLM engines for the tests beside this file; importing it imports vLLM."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from support.tiny_models import MODELS, architecture

from actors.kv.full import Full
from actors.vllm_engine.engine import VllmEngine
from actors.vllm_engine.loading import Limits
from raysweep.benchmarks import chain, facts
from raysweep.spec import BF16, Checkpoint, EngineSpec, Family, ModelSpec, Sampling

__all__ = ["LONG_BUDGETS", "QUESTIONS", "Limits", "MakeEngine", "VllmEngine", "a_spec"]

MakeEngine = Callable[..., VllmEngine]

QUESTIONS = [*chain.questions(30, seed=1), *facts.questions(10, seed=1)]
LONG_BUDGETS = (16, 32, 64, 96, 128, 192, 256)


def a_spec(name: str, path: str = "", **changes: Any) -> EngineSpec:
    """A shipped model, 16 bit under the full cache if nothing else is said, on vLLM."""
    numbers = changes.pop("architecture", None) or architecture(name)
    family = Family("tiny", Sampling(temperature=1.0))
    model = ModelSpec(name, family, str(MODELS / name), "1", numbers)
    spec = EngineSpec(model, BF16, Full(), "vllm", Checkpoint(path or model.path, "1"))
    return replace(spec, **changes)
