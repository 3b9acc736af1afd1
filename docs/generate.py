"""Writes the two references that would otherwise go stale: `make docs`.

docs/configuration.md   every key, from the typed schema, and from the values and comments in conf/
docs/data-contract.md   every file and column, from the schemas in raysweep/storage/*schemas.py

The prose is in the templates beside them (`*.md.j2`), the tables are made here. A description stands once,
where the thing itself is: in the comment beside a value or a column, or in the docstring of a dataclass, as
a line `name  what it is`. Tests hold the committed pages to this program.
"""

import dataclasses
import inspect
import itertools
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml

from docs.markdown_table import markdown
from docs.schema_tables import schema_table
from raysweep import grading, kv_policy, recipe, run_config, spec
from raysweep.benchmarks import LOADERS
from raysweep.configuration.config import conf_folder
from raysweep.storage import schemas
from raysweep.storage.part import Part

FOLDER = Path(__file__).parent
PAGES = ("configuration.md", "data-contract.md")

KEY = re.compile(r"^( *)([a-z_]\w*):(?:\s+((?:[^#]|(?<!\s)#)*?))?(?:\s+#\s?(.*))?$")
FIELD = re.compile(r"^(\w[\w, ]*?)  +(\S.*)$")  # of a dataclass's docstring

# What a type of the schema is called on the page; a noun is a definition of its kind.
TYPES: dict[Any, str] = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    spec.ModelSpec: "[model](#model)",
    spec.WeightSpec: "[weights](#weights)",
    spec.Benchmark: "[benchmark](#benchmark)",
    spec.Forcing: "[forcing](#forcing)",
    kv_policy.KVPolicy: "[kv_policy](#kv_policy)",
    run_config.Gpu: "[gpu](#gpu)",
    run_config.Adaptive: "[mapping](#adaptive-runs)",
    recipe.Calibration: "[calibration](#calibration)",
}
# Keys that are not fields of their section's noun.
OTHER_TYPES = {
    "memory_gb": "number, or null",
    "gpu": "[gpu](#gpu), or null",
    "goal": "`frontier`, or null",
}


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of a YAML file as it is written there; `above` are the comment lines before it."""

    indent: int
    name: str
    value: str
    comment: str
    above: str


def main() -> None:
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


def pages() -> dict[str, str]:
    """The generated pages by file name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.globals |= {
        "section": section,
        "cluster": cluster,
        "fields": lambda noun: fields_table(getattr(spec, noun)),
        "kv_methods": kv_methods,
        "loaders": loaders,
        "graders": graders,
        "gpu": lambda: key_table(read_keys(conf_folder() / "gpu/a100-80.yaml"), None),
        "shipped": shipped,
        "schema": schema_table,
        "part": part_table,
        "version": schemas.SCHEMA_VERSION,
    }
    return {name: environment.get_template(f"{name}.j2").render().rstrip() + "\n" for name in PAGES}


# The configuration


def section(name: str, noun: str) -> str:
    """The keys of a section of config.yaml: "" for those of the top, or a path such as `sweep.adaptive`."""
    keys = read_keys(conf_folder() / "config.yaml")
    hints = getattr(run_config, noun)
    if not name:
        fields = {field.name for field in dataclasses.fields(hints)}
        plain_keys = [key for key in keys if not key.indent and key.name in fields and key.value]
        return key_table(plain_keys, hints)
    parts = name.split(".")
    for part in parts:
        keys = below(keys, part)
    indent = 2 * len(parts)
    return key_table([key for key in keys if key.indent == indent], hints, f"{name}.")


def below(keys: Sequence[Key], name: str) -> list[Key]:
    """The keys below the least indented one of this name."""
    start, own = min(
        ((i, key.indent) for i, key in enumerate(keys) if key.name == name), key=lambda at: at[1]
    )
    rest = keys[start + 1 :]
    return list(itertools.takewhile(lambda key: key.indent > own, rest))


def cluster() -> str:
    keys = read_keys(conf_folder() / "cluster/local.yaml")
    return key_table([key for key in keys if not key.indent], run_config.Cluster, "cluster.")


def read_keys(file: Path) -> list[Key]:
    """The keys of a YAML file that is written one key a line, with their comments."""
    keys: list[Key] = []
    above: list[str] = []
    for line in file.read_text().splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.strip().lstrip("# "))
            continue
        if found := KEY.match(line):
            indent, name, value, comment = found.groups(default="")
            keys.append(Key(len(indent), name, value.strip(), comment, " ".join(above)))
        above = []
    return keys


def key_table(keys: Iterable[Key], noun: type | None, prefix: str = "") -> str:
    described = field_docs(noun) if noun else {}
    hints = {**OTHER_TYPES, **(typing.get_type_hints(noun) if noun else {})}
    rows = [
        (
            f"`{prefix}{key.name}`",
            type_name(hints.get(key.name, type(yaml.safe_load(key.value or "null")))),
            f"`{key.value}`" if key.value else "",
            key.comment or described.get(key.name) or key.above,
        )
        for key in keys
    ]
    return markdown(("key", "type", "default", "what it is"), rows)


def type_name(hint: Any) -> str:
    """A type in words."""
    if isinstance(hint, str):
        return hint
    if isinstance(hint, types.UnionType):
        return f"{type_name(typing.get_args(hint)[0])}, or null"
    if typing.get_origin(hint) is Mapping:
        return "mapping"
    if typing.get_origin(hint) is tuple:
        return f"list of {type_name(typing.get_args(hint)[0])}"
    return TYPES.get(hint, "text")


def field_docs(noun: type) -> dict[str, str]:
    """What a dataclass's docstring says of its fields, in lines `name  what it is`."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(noun.__doc__ or "").splitlines():
        if match := FIELD.match(line):
            names = [name.strip() for name in match[1].split(",")]
            found |= dict.fromkeys(names, match[2].strip())
        elif line.startswith("  "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return found


def fields_table(noun: type) -> str:
    """The fields of a dataclass that a definition is made into."""
    described, hints = field_docs(noun), typing.get_type_hints(noun)
    rows = [
        (f"`{field.name}`", type_name(hints[field.name]), described.get(field.name, ""))
        for field in dataclasses.fields(noun)
        if field.name not in ("name", "sampling")
    ]
    return markdown(("key", "type", "what it is"), rows)


def as_yaml(value: Any) -> str:
    """A default as a YAML file writes it."""
    return yaml.safe_dump(value, default_flow_style=True).splitlines()[0]


def kv_methods() -> str:
    """The methods with their parameters and defaults."""
    rows = []
    for name in kv_policy.METHODS:
        policy = kv_policy.load_method(name)
        parameters = ", ".join(
            f"`{f.name}`" + ("" if f.default is dataclasses.MISSING else f" = {as_yaml(f.default)}")
            for f in dataclasses.fields(policy)
        )
        rows.append((f"`{name}`", parameters, first_sentence(module_of(policy).__doc__)))
    rows.append(("`my_package.my_module.MyPolicy`", "the fields of your dataclass", "your own"))
    return markdown(("method", "parameters", "what it does"), rows)


def loaders() -> str:
    rows = []
    for name, loader in LOADERS.items():
        parameters = ", ".join(
            f"`{p.name}`" + ("" if p.default is p.empty else "?")
            for p in inspect.signature(loader).parameters.values()
        )
        rows.append((f"`{name}`", parameters, first_sentence(module_of(loader).__doc__)))
    rows.append(("`my_package.my_module.questions`", "the parameters of your function", "your own"))
    return markdown(("loader", "its keys (? may be left out)", "what it yields"), rows)


def graders() -> str:
    rows = [
        (f"`{name}`", f"{grader.version}", first_sentence(grader.extract.__doc__))
        for name, grader in grading.GRADERS.items()
    ]
    rows.append(("`my_package.my_module.GRADER`", "yours", "your own `raysweep.grading.Grader`"))
    return markdown(("grader", "version", "what it looks for"), rows)


def shipped(kind: str) -> str:
    """The files of a kind, with the comment at their top where they have one."""
    names: dict[str, list[str]] = {}
    for file in sorted((conf_folder() / kind).glob("*.yaml")):
        above = next((key.above for key in read_keys(file)), "")
        names.setdefault(above.removeprefix("@package _global_ "), []).append(f"`{file.stem}`")
    return markdown(("shipped", ""), [(", ".join(those), said) for said, those in names.items()])


def first_sentence(text: str | None) -> str:
    """The first sentence of a docstring, without the name that a module's begins with."""
    said = " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split())
    return re.sub(r"^\w+: ", "", re.split(r"(?<=\.)\s(?=[A-Z])", said)[0])


def module_of(thing: Any) -> types.ModuleType:
    module = inspect.getmodule(thing)
    assert module is not None
    return module


# The data contract


def part_table() -> str:
    """What a part of samples says of itself."""
    described = field_docs(Part)
    noted = (field.name for field in dataclasses.fields(Part) if field.compare)
    return markdown(
        ("field", "what it is"), [(f"`{name}`", described.get(name, "")) for name in noted]
    )


if __name__ == "__main__":
    main()
