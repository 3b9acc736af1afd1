"""Validates the composed configuration and makes it into a frozen RunConfig.

Plain dicts come in and dataclasses go out. Input that cannot be run is refused here, before Ray starts, by a
ConfigError that names the field, its value and the way out.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from raysweep.configuration import definitions as read
from raysweep.configuration.adaptive import check_adaptive, check_ceilings, read_adaptive
from raysweep.configuration.cluster import CLUSTER_KEYS, read_cluster
from raysweep.configuration.definitions import Definitions
from raysweep.configuration.fields import MOST_WORK, Fields, refuse_duplicates
from raysweep.configuration.grid_checks import check_backend, check_leave_out, check_packing
from raysweep.configuration.models import check_families, read_model
from raysweep.configuration.outputs import PUBLISH_KEYS, TRACES_KEYS, read_publish, read_traces
from raysweep.configuration.preparation import read_prepare
from raysweep.configuration.requirements import REQUIREMENT_KEYS, read_requirements
from raysweep.configuration.servers import SERVER_KEYS, check_servers, read_servers
from raysweep.configuration.token_checks import check_tokens
from raysweep.errors import ConfigError, shown, unknown
from raysweep.planning.backends import BACKENDS
from raysweep.run_config import (
    Generation,
    Prepare,
    RunConfig,
    Show,
    Simulate,
    Sweep,
    Verify,
)
from raysweep.system.safe_text import printable

# The stages in the order in which they run.
STAGES = (
    *("show", "status", "verify", "plan", "simulate", "prepare", "regrade"),
    *("generate", "compact", "reduce", "traces", "report", "recommend", "compare", "publish"),
)

# These stages need only the number of questions, not the questions.
PLANNING = frozenset({"plan", "simulate"})

# What may happen to engines that fit on no GPU of the cluster.
UNFIT = ("skip", "refuse")

Noun = TypeVar("Noun")
Reader = Callable[[Definitions, Any, str], Noun]


def conf_folder() -> Path:
    """The folder of the configuration files: in the installed package, or at the checkout's top."""
    package = Path(__file__).parents[1]
    folders = [package / "conf", package.parent / "conf"]
    return next(folder for folder in folders if (folder / "config.yaml").is_file())


def keys(noun: type) -> tuple[str, ...]:
    """The configuration's keys that become the fields of the dataclass `noun`."""
    return tuple(field.name for field in dataclasses.fields(noun))


SECTIONS = {
    "": keys(RunConfig),
    "sweep": keys(Sweep),
    "prepare": keys(Prepare),
    "generation": keys(Generation),
    "cluster": CLUSTER_KEYS,
    "server": SERVER_KEYS,
    "show": keys(Show),
    "verify": keys(Verify),
    "simulate": keys(Simulate),
    "recommend": REQUIREMENT_KEYS,
    "traces": TRACES_KEYS,
    "publish": PUBLISH_KEYS,
}


def read_config(composed: Mapping[str, Any], folders: Sequence[Path]) -> RunConfig:
    """Validate the composed configuration. Definitions are looked up in `folders`."""
    top = Fields("", composed).only(SECTIONS[""])
    out, run, seed = read_out(top), top.name("run"), top.integer("seed", least=0)
    asked = read_stages(top)
    definitions = Definitions(tuple(folders), stand_in=PLANNING.issuperset(asked))
    sweep = read_sweep(top.below("sweep"), definitions)
    stages = ending_in_an_answer(asked, sweep)
    prepare = read_prepare(top.below("prepare"), sweep, definitions, stages)
    generation = read_generation(top.below("generation"))
    cluster = read_cluster(top.below("cluster"), definitions)
    show = read_show(top.below("show"), sweep)
    requirements = read_requirements(
        top.below("recommend"), sweep, definitions, wanted="recommend" in stages
    )
    simulate = read_simulate(top.below("simulate"))
    verify = Verify(top.below("verify").only(SECTIONS["verify"]).flag("repair"))
    config = RunConfig(
        out,
        run,
        seed,
        stages,
        sweep,
        prepare,
        generation,
        cluster,
        show,
        requirements,
        verify,
        simulate,
        read_servers(top.below("server"), sweep),
        read_traces(top.below("traces"), sweep),
        read_publish(top.below("publish")),
        None if top.value("compare_with") is None else top.path("compare_with"),
    )
    check_tokens(config.sweep)
    check_backend(config)
    check_servers(config.server, config.sweep)
    check_ceilings(config)
    return config


def read_out(top: Fields) -> str:
    """The folder or address for runs. It must be printable."""
    out = top.path("out")
    if printable(out) != out:
        raise ConfigError(
            f"out: {shown(out)} contains control characters; give a folder or an address"
        )
    return out


def read_stages(top: Fields) -> tuple[str, ...]:
    """The stages to run. They must be given in the order in which they run."""
    stages = list(top.choices("stages", "stage", STAGES))
    ordered = sorted(stages, key=STAGES.index)
    if stages != ordered:
        raise ConfigError(f"stages: {shown(stages)} is out of order; write {shown(ordered)}")
    return tuple(stages)


def ending_in_an_answer(stages: tuple[str, ...], sweep: Sweep) -> tuple[str, ...]:
    """The stages, with `recommend` if they end a run that asks for the best within a memory."""
    asks = sweep.adaptive is not None and sweep.adaptive.memory_bytes is not None
    if not asks or "reduce" not in stages:
        return stages
    return tuple(sorted({*stages, "recommend"}, key=STAGES.index))


def read_sweep(fields: Fields, definitions: Definitions) -> Sweep:
    """The grid. Its models, precisions, policies and benchmarks must have different names."""
    fields.only(SECTIONS["sweep"])
    sweep = Sweep(
        models=read_nouns(fields, "models", definitions, read_model, lambda m: m.name),
        weights=read_nouns(fields, "weights", definitions, read.read_weights, lambda w: w.slug),
        kv_policies=read_nouns(
            fields, "kv_policies", definitions, read.read_kv_policy, lambda p: p.slug
        ),
        benchmarks=read_nouns(
            fields, "benchmarks", definitions, read.read_benchmark, lambda b: b.name
        ),
        token_budgets=read_token_budgets(fields),
        group_sizes=fields.integers("group_sizes"),
        batch_sizes=fields.integers("batch_sizes"),
        samples=fields.integer("samples", most=MOST_WORK),
        backend=fields.choice("backend", "backend", BACKENDS),
        forcing=read.read_forcing(definitions, fields.value("forcing"), fields.at("forcing")),
        control=fields.flag("control"),
        leave_out=read_patterns(fields),
        unfit=fields.choice("unfit", "way with engines that fit nowhere", UNFIT),
        adaptive=read_adaptive(fields, definitions),
    )
    check_leave_out(sweep, fields.at("leave_out"))
    check_families(sweep.models)
    check_packing(sweep)
    check_adaptive(sweep)
    for (place, _), size in zip(fields.entries("group_sizes"), sweep.group_sizes, strict=True):
        if size > sweep.samples:
            raise ConfigError(
                f"{place}: {size} is more than {fields.at('samples')} = {sweep.samples}; "
                f"raise that, or remove the group size"
            )
    return sweep


def read_nouns(
    fields: Fields,
    key: str,
    definitions: Definitions,
    reader: Reader[Noun],
    name: Callable[[Noun], str],
) -> tuple[Noun, ...]:
    """The dataclasses of a list of definitions, all with different names."""
    nouns = [(place, reader(definitions, entry, place)) for place, entry in fields.entries(key)]
    for place, noun in nouns:
        # The slug of a user's own policy may not be fit for a file's name.
        Fields(f"{place}.", {"name": name(noun)}).name("name")
    refuse_duplicates((place, name(noun)) for place, noun in nouns)
    return tuple(noun for _, noun in nouns)


def read_patterns(fields: Fields) -> tuple[str, ...]:
    """The patterns of engines that are left out."""
    entries = fields.value("leave_out")
    if not isinstance(entries, list | tuple) or not all(isinstance(one, str) for one in entries):
        raise ConfigError(
            f"{fields.at('leave_out')}: {shown(entries)} is no list of patterns; write for example "
            "['qwen3-32b.*.full'], or []"
        )
    return tuple(entries)


def read_token_budgets(fields: Fields) -> tuple[int, ...]:
    budgets = fields.integers("token_budgets")
    ordered = tuple(sorted(budgets))
    if budgets != ordered:
        raise ConfigError(
            f"{fields.at('token_budgets')}: {shown(list(budgets))} is not in increasing order; "
            f"write {shown(list(ordered))}"
        )
    return budgets


def read_generation(fields: Fields) -> Generation:
    fields.only(SECTIONS["generation"])
    counts = ("max_rows", "shard_questions", "shard_samples", "max_attempts")
    return Generation(
        **{key: fields.integer(key) for key in counts},
        shard_minutes=fields.number("shard_minutes", least=0.01),
        hang_minutes=fields.number("hang_minutes", least=0.01),
        grace_s=fields.number("grace_s"),
    )


def read_simulate(fields: Fields) -> Simulate:
    fields.only(SECTIONS["simulate"])
    return Simulate(
        seed=fields.integer("seed", least=0),
        faults=fields.number("faults", most=1),
        mean_length=fields.number("mean_length", least=0.001, most=1),
        length_spread=fields.number("length_spread"),
    )


def read_show(fields: Fields, sweep: Sweep) -> Show:
    """What the stage show shows: names that the sweep has."""
    fields.only(SECTIONS["show"])
    names = [benchmark.name for benchmark in sweep.benchmarks]
    benchmark = chosen(fields, "benchmark", names)
    questions = sweep.benchmarks[names.index(benchmark or names[0])].questions
    return Show(
        model=chosen(fields, "model", [model.name for model in sweep.models]),
        benchmark=benchmark,
        question=chosen(fields, "question", [question.question_id for question in questions]),
    )


def chosen(fields: Fields, key: str, names: Sequence[str]) -> str | None:
    """One of the sweep's names, or None for null. YAML may read a name as a whole number."""
    value = fields.value(key)
    if value is not None and str(value) not in names:
        raise unknown(fields.at(key), value, f"{key} of the sweep", names)
    return None if value is None else str(value)
