"""Where the weights of each model and precision come from, for the plan in the terminal.

Each line gathers the precisions of one source: the models' own files, published files, files that raysweep
has made, and files that the stage prepare will make, with what that takes.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from raysweep.checkpoints.engine_files import Making, is_there, makings
from raysweep.checkpoints.hub import repository_of
from raysweep.checkpoints.records import MakingTime, read_times
from raysweep.planning.quantising import Work, best_gpu, slowness, work_of
from raysweep.recipe import Calibration
from raysweep.reporting.terminal_lines import Line
from raysweep.run_config import Gpu, RunConfig
from raysweep.spec import Checkpoint, ModelSpec, WeightSpec
from raysweep.system.machine import usable_cpus
from raysweep.system.quantities import duration, human_bytes, plural

# At most this many models are named in a line; more are counted.
MOST_NAMED = 3

Pair = tuple[ModelSpec, WeightSpec]
FOLDERS = "folders"


def weights_lines(config: RunConfig, unused: Collection[Checkpoint] = ()) -> Iterator[Line]:
    """The plan's lines on weights. None if all of them are in folders of the configuration.

    unused  files that nobody makes, since no engine that runs would load them
    """
    pairs = list(config.sweep.pairs())
    own = [pair for pair in pairs if pair[1] == pair[0].weights]
    published = [pair for pair in pairs if pair[0].published(pair[1]) and pair not in own]
    to_make = {one.checkpoint: one for one in makings(config) if one.checkpoint not in unused}
    ready = {checkpoint for checkpoint in to_make if is_there(checkpoint)}
    made = [to_make[checkpoint] for checkpoint in to_make if checkpoint in ready]
    missing = [to_make[checkpoint] for checkpoint in to_make if checkpoint not in ready]
    if not to_make and from_where(published) in ("", FOLDERS):  # all of them are on this machine
        return
    sources = {
        "the models' own files": own,
        f"published files ({from_where(published)})": published,
        "made by raysweep before": _pairs(made),
    }
    present = [f"{grouped(group)}: {source}" for source, group in sources.items() if group]
    for number, text in enumerate(present):
        yield Line("" if number else "weights", text)
    if missing:
        yield from making_lines(config, missing, made)


def making_lines(
    config: RunConfig, missing: Sequence[Making], made: Sequence[Making]
) -> Iterator[Line]:
    """What the stage prepare will make, on which texts, for how long and on what."""
    calibration = missing[0].recipe.calibration
    text = f"{grouped(_pairs(missing))}: quantised by the stage prepare on {texts_of(calibration)}"
    yield Line("prepare", text)
    works = [work_of(making.recipe) for making in missing]
    times = list(read_times(config.prepare.checkpoints, [m.recipe.recipe_id for m in made]))
    yield Line("", f"that takes {taken(config, works, times)}")
    others = [
        one for one in missing if calibration.family not in (None, one.recipe.model.family.name)
    ]
    if others:
        yield Line(
            "refused",
            f"{grouped(_pairs(others))}: the stage prepare does not quantise on these texts, which were made "
            f"for the family {calibration.family!r}; add prepare.calibration=reasoning, general, or "
            "{path: texts.jsonl}",
            urgent=True,
        )


def taken(config: RunConfig, works: Sequence[Work], times: Sequence[MakingTime]) -> str:
    """Hours by the rough model, on which device, and the host memory of the largest making."""
    cluster = config.cluster
    gpus = [best_gpu(work, cluster) for work in works]
    on_gpu = cluster.on_gpus
    host = f"{human_bytes(max(work.host_bytes(on_gpu) for work in works))} of host memory for the largest"
    if on_gpu and None in gpus:
        if not cluster.pools:
            return f"GPUs of an unknown kind, so no time is known, and {host}"
        least = human_bytes(max(work.gpu_bytes for work in works))
        return f"a GPU with {least}, which cluster.gpu has not, and {host}"
    cpus = usable_cpus() if cluster.address == "local" else cluster.cpus_per_actor
    factor = slowness((t.seconds, t.modelled_s) for t in times if t.on_gpu == on_gpu)
    seconds = sum(work.seconds(gpu, cpus) for work, gpu in zip(works, gpus, strict=True)) * factor
    source = (
        f"corrected by {factor:.2g}, the slowness of those made before"
        if factor != 1
        else "by GPTQ's own time on an A100"
        if on_gpu
        else "by one model on two cores"
    )
    return f"about {duration(seconds)} {on_what(gpus, cpus)} (rough, {source}), and {host}"


def on_what(gpus: Iterable[Gpu | None], cpus: float) -> str:
    names = sorted({gpu.name for gpu in gpus if gpu})
    return f"on one {' or '.join(names)}" if names else f"on {plural(max(1, int(cpus)), 'CPU')}"


def texts_of(calibration: Calibration) -> str:
    where = f" of {calibration.published.data_set}" if calibration.published else ""
    count = f"{calibration.count:,} texts{where}"
    return f"{calibration.name!r} ({count}, up to {calibration.tokens:,} tokens each)"


def from_where(pairs: Iterable[Pair]) -> str:
    """The owners on the hub, and `folders` for files on disk."""
    owners = {_owner(model.published(weights)) for model, weights in pairs}
    return ", ".join(sorted(owners))


def _owner(checkpoint: Checkpoint | None) -> str:
    repository = repository_of(checkpoint.path) if checkpoint else None
    return f"hf.co/{repository.split('/')[0]}" if repository else FOLDERS


def grouped(pairs: Iterable[Pair]) -> str:
    """`bf16 of 6 models, gptq8 of qwen3-0.6b`."""
    models: dict[str, list[str]] = {}
    for model, weights in pairs:
        models.setdefault(weights.slug, []).append(model.name)
    return ", ".join(f"{slug} of {_models(names)}" for slug, names in models.items())


def _models(names: Sequence[str]) -> str:
    return f"{len(names)} models" if len(names) > MOST_NAMED else " and ".join(names)


def _pairs(group: Iterable[Making]) -> list[Pair]:
    return [(making.recipe.model, making.recipe.weights) for making in group]
