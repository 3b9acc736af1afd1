"""Reads definitions of families, precisions, KV policies, benchmarks and kinds of GPU.

An entry of a list below `sweep` is a name or a mapping. A name stands for the file `<kind>/<name>.yaml` in
any folder of Hydra's search path, so `--config-dir mine` adds a user's own. A mapping has the same keys as
such a file. If its `name` is that of a file, it changes only the keys that it gives.
"""

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from raysweep.configuration.benchmark import WHICH_ROWS, load_benchmark
from raysweep.configuration.fields import Fields, at_home
from raysweep.errors import ConfigError, shown, unknown
from raysweep.kv_policy import METHODS, KVPolicy, load_method
from raysweep.run_config import Gpu
from raysweep.spec import BF16, Benchmark, Family, Forcing, Sampling, WeightSpec
from raysweep.system.quantities import GB
from raysweep.system.safe_text import is_whole

# Variables of a chat template that raysweep itself gives.
GIVEN = {"messages", "tools", "documents", "add_generation_prompt", "strftime_now"}
# The number of bits that each method allows.
WEIGHT_BITS = {"bf16": (16,), "gptq": (2, 3, 4, 8), "awq": (4,), "fp8": (8,)}


@dataclass(frozen=True)
class Definitions:
    """The definition files in `folders`. The first folder is raysweep's own.

    stand_in  whether placeholders replace a benchmark's questions that are missing on this machine
    """

    folders: tuple[Path, ...]
    stand_in: bool = False

    @cached_property
    def files(self) -> dict[tuple[str, str], Path]:
        """Every definition file by kind and name. A name may be defined only once."""
        found: dict[tuple[str, str], Path] = {}
        for file in (file for folder in self.folders for file in sorted(folder.glob("*/*.yaml"))):
            earlier = found.setdefault((file.parent.name, file.stem), file)
            if not earlier.samefile(file):
                raise ConfigError(
                    f"{file}: has the same kind and name as {earlier}; rename your file"
                )
        return found

    def names(self, kind: str) -> list[str]:
        return sorted(name for of_kind, name in self.files if of_kind == kind)

    def read(self, kind: str, name: str) -> Fields:
        """The keys of the file of that name. Its paths are relative to the folder that holds conf/."""
        file = self.files[kind, name]
        return Fields(f"{file}: ", located(read_yaml(file), file.parents[2]))

    def resolve(self, kind: str, entry: Any, place: str) -> tuple[str | None, Fields]:
        """The name and the keys that `entry` stands for. A mapping without a name has None."""
        if isinstance(entry, str) and (kind, entry) in self.files:
            return entry, self.read(kind, entry)
        if not isinstance(entry, Mapping):
            raise unknown(place, entry, kind, self.names(kind))
        fields = Fields.of(entry, place)
        if "name" not in entry:
            return None, fields
        name = fields.name("name")
        changes = {key: value for key, value in entry.items() if key != "name"}
        changes = located(changes, Path.cwd())
        base = self.read(kind, name).values if (kind, name) in self.files else {}
        return name, Fields(fields.prefix, overlaid(base, changes))

    def resolve_named(self, kind: str, entry: Any, place: str) -> tuple[str, Fields]:
        name, fields = self.resolve(kind, entry, place)
        if name is None:
            raise ConfigError(f"{fields.at('name')}: missing; give it a name")
        return name, fields


def read_family(definitions: Definitions, entry: Any, place: str) -> Family:
    """How models of a family think and are sampled."""
    name, fields = definitions.resolve_named("family", entry, place)
    fields = Fields(
        fields.prefix, {"system": None, "template": {}, "prompt_date": None, **fields.values}
    )
    fields.only(["sampling", "think_open", "think_close", "system", "template", "prompt_date"])
    sampling = fields.below("sampling").only(["temperature", "top_p", "top_k", "min_p"])
    sampling = Fields(sampling.prefix, {"min_p": 0, **sampling.values})
    return Family(
        name,
        Sampling(
            temperature=sampling.number("temperature"),
            top_p=sampling.number("top_p", least=1e-6, most=1),
            top_k=sampling.integer("top_k", least=0),
            min_p=sampling.number("min_p", most=1),
        ),
        think_open=fields.text("think_open", empty=True),
        think_close=fields.text("think_close", empty=True),
        system=read_system(fields),
        template=read_template(fields.below("template")),
        prompt_date=None
        if fields.value("prompt_date") is None
        else str(fields.date("prompt_date")),
    )


def read_system(fields: Fields) -> str | None:
    """The text of a system message, which may be empty. None if there is no such message."""
    system = fields.value("system")
    return system if system in (None, "") else fields.text("system")


def read_template(fields: Fields) -> dict[str, Any]:
    """Variables for a chat template: plain values, under names that a template can use."""
    for name, value in fields.values.items():
        if name in GIVEN or not name.isidentifier():
            why = "is given by raysweep" if name in GIVEN else "is no name of a variable"
            raise ConfigError(f"{fields.at(name)}: {shown(name)} {why}; choose another name")
        _check_plain(value, fields.at(name))
    return dict(fields.values)


def _check_plain(value: Any, place: str) -> None:
    """Raise unless a value is a text, a finite number, a truth value, null, or a list or mapping of such."""
    if isinstance(value, Mapping | list | tuple):
        named = isinstance(value, Mapping)
        for key, entry in value.items() if named else enumerate(value):
            if named and not isinstance(key, str):
                raise ConfigError(f"{place}: {shown(key)} is not a text; put the key in quotes")
            _check_plain(entry, f"{place}.{key}")
        return
    plain = value is None or isinstance(value, str | int | float)
    whole = is_whole(value) if isinstance(value, str) else True
    finite = math.isfinite(value) if isinstance(value, float) else True
    if not (plain and whole and finite):
        raise ConfigError(
            f"{place}: {shown(value)} is not a plain value; write a text, a number, true, false or null"
        )


def read_weights(definitions: Definitions, entry: Any, place: str) -> WeightSpec:
    """A precision of the large linear layers."""
    _, fields = definitions.resolve("weights", entry, place)
    fields.only(["method", "bits", "group_size", "symmetric", "act_order"])
    method = fields.choice("method", "method", WEIGHT_BITS)
    bits = fields.integer("bits")
    if bits not in WEIGHT_BITS[method]:
        allowed = ", ".join(map(str, WEIGHT_BITS[method]))
        raise ConfigError(
            f"{fields.at('bits')}: {method} does not support {bits} bits; known: {allowed}"
        )
    if bits == 16:
        fields.only(["method", "bits"])
        return BF16
    usual = Fields(fields.prefix, {"symmetric": True, "act_order": False, **fields.values})
    group_size = fields.integer("group_size", least=-1)
    if group_size == 0:
        raise ConfigError(
            f"{fields.at('group_size')}: 0 is not a group size; write -1 for one group per column"
        )
    return WeightSpec(method, bits, group_size, usual.flag("symmetric"), usual.flag("act_order"))


def read_forcing(definitions: Definitions, entry: Any, place: str) -> Forcing:
    """How thinking is held to its budget."""
    _, fields = definitions.resolve("forcing", entry, place)
    fields.only([field.name for field in dataclasses.fields(Forcing)])
    fields = Fields(fields.prefix, {"end_closes": False, **fields.values})
    opener = fields.value("answer_opener")
    forcing = Forcing(
        extension=fields.text("extension", empty=True),
        closing=fields.text("closing", empty=True),
        answer_opener=None if opener is None else fields.text("answer_opener"),
        loop_tokens=fields.integer("loop_tokens", least=0),
        end_loops=fields.flag("end_loops"),
        end_closes=fields.flag("end_closes"),
    )
    if forcing.end_closes and forcing.extension:
        raise ConfigError(
            f"{fields.at('end_closes')}: true, but {shown(forcing.extension)} replaces every early end of "
            "the text; write end_closes: false, or extension: ''"
        )
    return forcing


def read_gpu(definitions: Definitions, entry: Any, place: str) -> Gpu:
    """A kind of GPU: memory, bandwidth, FLOP/s of both kinds, its label in Ray and its price."""
    name, fields = definitions.resolve_named("gpu", entry, place)
    absent = {"accelerator_type": "", "usd_per_hour": 0, "fp32_tflops": 0}
    given = Fields(fields.prefix, {**absent, **fields.values})
    given.only(["memory_mib", "bandwidth_gb_s", "bf16_tflops", *absent])
    accelerator_type = given.value("accelerator_type")
    return Gpu(
        name,
        memory_bytes=given.integer("memory_mib") * 2**20,
        bandwidth_bytes_s=given.number("bandwidth_gb_s", least=1e-3) * GB,
        flops_s=given.number("bf16_tflops", least=1e-3) * 1e12,
        accelerator_type="" if accelerator_type == "" else given.text("accelerator_type"),
        usd_per_hour=given.number("usd_per_hour"),
        fp32_flops_s=given.number("fp32_tflops") * 1e12,
    )


def read_kv_policy(definitions: Definitions, entry: Any, place: str) -> KVPolicy:
    """A policy: the name or import path of its method, and its parameters."""
    _, fields = definitions.resolve("kv_policy", entry, place)
    policy = fields.loaded("method", "method", METHODS, load_method)
    fields.only(["method", *(field.name for field in dataclasses.fields(policy))])
    given = {
        field.name: _read_parameter(definitions, fields, field)
        for field in dataclasses.fields(policy)
        if field.name in fields.values or field.default is dataclasses.MISSING
    }
    try:
        return policy(**given)
    except ValueError as error:
        raise ConfigError(f"{fields.prefix}{error}") from error


def _read_parameter(definitions: Definitions, fields: Fields, field: dataclasses.Field) -> Any:
    """A policy's parameter: a whole number, a number, a text, or another policy (`evict`)."""
    kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
    if kind == "int":
        return fields.integer(field.name, least=0)  # a policy knows its own bounds
    if kind == "float":
        return fields.number(field.name)
    if kind == "bool":
        return fields.flag(field.name)
    if kind == "Any":
        inner = fields.value(field.name)
        place = fields.at(field.name)
        return None if inner is None else read_kv_policy(definitions, inner, place)
    return fields.text(field.name)


def read_benchmark(definitions: Definitions, entry: Any, place: str) -> Benchmark:
    """A benchmark: questions from a loader, and how their answers are opened and graded."""
    name, fields = definitions.resolve_named("benchmark", entry, place)
    if isinstance(entry, Mapping) and "questions" not in entry and not WHICH_ROWS.isdisjoint(entry):
        # The definition's number of questions does not hold for other rows.
        known = {key: value for key, value in fields.values.items() if key != "questions"}
        fields = Fields(fields.prefix, known)
    return load_benchmark(name, fields, definitions.stand_in)


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file, read as Hydra reads its own files."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{file}: cannot be read as YAML ({error}); correct the file") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: is not a mapping; write key: value pairs")
    return {str(key): value for key, value in content.items()}


def located(values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """`values` with each `path` and `source` made absolute at any depth. They are relative to `base`."""
    return {key: _located(key, value, base) for key, value in values.items()}


def _located(key: str, value: Any, base: Path) -> Any:
    if isinstance(value, Mapping):
        return located(value, base)
    if isinstance(value, list | tuple):
        return [_located(key, entry, base) for entry in value]
    if key in ("path", "source") and isinstance(value, str):
        return os.path.abspath(base / at_home(value, key))
    return value


def overlaid(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`. Mappings are changed key by key, except a source, which is replaced."""
    result = dict(base)
    for key, value in changes.items():
        if key != "source" and isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            value = overlaid(base[key], value)
        result[key] = value
    return result
