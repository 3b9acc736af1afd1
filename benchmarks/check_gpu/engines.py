"""Part 3: the shipped models' greedy answers on the GPU, beside those of a CPU and of vLLM.

A GPU rounds otherwise than a CPU, and a trace that has once drawn another token goes its own way. So a share
of equal answers is asked for.
"""

import subprocess
from collections.abc import Iterable, Sequence
from functools import cached_property, partial

from benchmarks.check_gpu.answers import FEW, REAL, Answers, Scale, by_torch, finished, started
from benchmarks.check_gpu.rows import Case, Row, not_run
from benchmarks.check_gpu.setting import Setting
from raysweep.planning.backends import vllm_installed
from raysweep.spec import EngineSpec

LEAST_EQUAL = 0.9


class Found:
    """Answers that are made once: on the GPU here, and by a process on the CPU meanwhile."""

    def __init__(self, scale: Scale, few: bool):
        self.scale, self.few = scale, few
        self.here: dict[str, Answers] = {}
        self._cpu: subprocess.Popen[str] = started("cpu", few)

    def on_gpu(self, spec: EngineSpec) -> Answers:
        if spec.engine_id not in self.here:
            self.here[spec.engine_id] = by_torch(spec, self.scale)
        return self.here[spec.engine_id]

    @cached_property
    def on_cpu(self) -> dict[str, Answers]:
        return finished(self._cpu)


def cases(setting: Setting) -> Sequence[Case]:
    scale = FEW if setting.dry else REAL
    found, specs = Found(scale, setting.dry), list(scale.engines())
    full = next(spec for spec in reversed(specs) if spec.kv_policy.slug == "full")
    return [
        *(Case(f"GPU and CPU, {s.engine_id}", partial(beside_cpu, s, found)) for s in specs),
        Case(f"torch and vLLM, {full.engine_id}", partial(beside_vllm, full, found, setting)),
    ]


def beside_cpu(spec: EngineSpec, found: Found) -> Iterable[Row]:
    ours = found.on_gpu(spec)
    return [compared(f"GPU and CPU, {spec.engine_id}", ours, found.on_cpu[spec.engine_id])]


def beside_vllm(spec: EngineSpec, found: Found, setting: Setting) -> Iterable[Row]:
    name = f"torch and vLLM, {spec.engine_id}"
    if setting.dry or not vllm_installed():
        return [not_run(name, "vLLM needs a GPU" if setting.dry else "vLLM is not installed here")]
    ours = found.on_gpu(spec)
    (theirs,) = finished(started("vllm", found.few)).values()
    return [compared(name, ours, theirs)]


def compared(name: str, ours: Answers, theirs: Answers) -> Row:
    """The share of questions and budgets with equal answers."""
    equal = sum(ours[key] == theirs[key] for key in ours)
    share = equal / len(ours)
    said = f"{equal} of {len(ours)} answers equal, {share:.1%}"
    numbers = {"equal": equal, "answers": len(ours), "share": share}
    return Row(name, said, f"at least {LEAST_EQUAL:.0%}", share >= LEAST_EQUAL, numbers)
