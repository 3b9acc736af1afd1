"""How a quantised checkpoint is made: the model, the precision and the calibration texts."""

from dataclasses import dataclass
from functools import cached_property

from raysweep.spec import ModelSpec, WeightSpec
from raysweep.system.content import content_hash

# Raise this when the same recipe would produce different weights.
RECIPE_VERSION = 1


@dataclass(frozen=True)
class Document:
    """A text to calibrate on: a question with its answer, or a plain text if the prompt is empty."""

    prompt: str
    text: str


@dataclass(frozen=True)
class Calibration:
    """The texts that quantisation calibrates on. At most `tokens` tokens of each document are used."""

    name: str
    documents: tuple[Document, ...]
    tokens: int

    @cached_property
    def content(self) -> str:
        return content_hash(self.documents, self.tokens)


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the content of a quantised checkpoint."""

    model: ModelSpec
    weights: WeightSpec
    calibration: Calibration

    @cached_property
    def recipe_id(self) -> str:
        """The name of the result. It does not depend on the model's name or sampling."""
        family = self.model.family
        decisive = (self.model.revision, family.think_open, self.weights, self.calibration.content)
        variables = (family.system, family.template, family.prompt_date)
        # Without these variables the name is that of version 0.1.0, which made no use of any.
        return content_hash(
            RECIPE_VERSION, *decisive, *(variables if variables != (None, {}, None) else ())
        )
