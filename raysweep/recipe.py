"""How a quantised checkpoint is made: from which model, at which precision, calibrated on which texts."""

from dataclasses import dataclass
from functools import cached_property

from raysweep.spec import ModelSpec, WeightSpec, content_hash

RECIPE_VERSION = 1  # raised when the same recipe comes to make other bits


@dataclass(frozen=True)
class Document:
    """A text to calibrate on: a question with its whole answer, or (no prompt) a text as it is."""

    prompt: str
    text: str


@dataclass(frozen=True)
class Calibration:
    """What quantisation calibrates on; `tokens` at most of each document."""

    name: str
    documents: tuple[Document, ...]
    tokens: int

    @cached_property
    def content(self) -> str:
        return content_hash(self.documents, self.tokens)


@dataclass(frozen=True)
class Recipe:
    """How a quantised checkpoint is made: all that decides its content."""

    model: ModelSpec
    weights: WeightSpec
    calibration: Calibration

    @cached_property
    def recipe_id(self) -> str:
        """Names the result; how the model is called or sampled does not matter to it."""
        opening = self.model.family.think_open
        decisive = (self.model.revision, opening, self.weights, self.calibration.content)
        return content_hash(RECIPE_VERSION, *decisive)
