"""What is chosen when a reasoning model is run: the noun that every result is about. Pure: no I/O.

A configuration is a model, the precision of its weights, a KV policy, a token budget, and the number
G of samples that vote. A row of any result table names one in the columns of `Configuration.columns`.
It is read from a row here and nowhere else, so that two precisions are equal only if all of their
parts are: 4-bit GPTQ in groups of 128 and of 32 are two choices.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.spec import WeightSpec
from raysweep.system.quantities import plural

Row = Mapping[str, Any]  # a row of a table: a plain value per column

WEIGHT_COLUMNS = {
    "weight_method": "method",
    "weight_bits": "bits",
    "weight_group_size": "group_size",
    "weight_symmetric": "symmetric",
    "weight_act_order": "act_order",
}


@dataclass(frozen=True)
class Configuration:
    """One way to run a model. `engine_id` names model, weights and KV policy within a run."""

    engine_id: str
    model: str
    weights: WeightSpec
    kv_policy: str
    token_budget: int
    group_size: int

    @classmethod
    def of_row(cls, row: Row) -> "Configuration":
        return cls(
            engine_id=row["engine_id"],
            model=row["model"],
            weights=weights_of(row),
            kv_policy=row["kv_policy"],
            token_budget=int(row["token_budget"]),
            group_size=int(row["group_size"]),
        )

    @property
    def precision(self) -> str:
        """`bf16`, `gptq4`, `gptq4-g32`."""
        return self.weights.slug

    @property
    def votes(self) -> bool:
        """Whether several samples vote."""
        return self.group_size > 1

    def columns(self) -> dict[str, Any]:
        """The configuration as the result tables hold it."""
        return {
            "engine_id": self.engine_id,
            "model": self.model,
            **{column: getattr(self.weights, name) for column, name in WEIGHT_COLUMNS.items()},
            "kv_policy": self.kv_policy,
            "token_budget": self.token_budget,
            "group_size": self.group_size,
        }

    def in_words(self) -> str:
        """`qwen3-8b gptq4, full KV, 18,000 tokens, 4 samples`; words.js has a twin."""
        return (
            f"{self.model} {self.precision}, {self.kv_policy} KV, "
            f"{plural(self.token_budget, 'token')}, {plural(self.group_size, 'sample')}"
        )


def weights_of(row: Row) -> WeightSpec:
    """The precision of a row's weights.

    Runs of older versions lack the last two columns. They get the values that are usual for the method.
    """
    method = row["weight_method"]
    return WeightSpec(
        method,
        int(row["weight_bits"]),
        int(row["weight_group_size"]),
        symmetric=bool(row.get("weight_symmetric", method != "awq")),
        act_order=bool(row.get("weight_act_order", False)),
    )
