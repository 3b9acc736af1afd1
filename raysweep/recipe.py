"""How a quantised checkpoint is made: the model, the precision and the calibration texts."""

from dataclasses import dataclass, field
from functools import cached_property

from raysweep.spec import ModelSpec, WeightSpec
from raysweep.system.content import INCIDENTAL, content_hash

# Raise this when the same recipe would produce different weights.
RECIPE_VERSION = 1


@dataclass(frozen=True)
class Document:
    """A text to calibrate on: a question with its answer, or a plain text if the prompt is empty."""

    prompt: str
    text: str


@dataclass(frozen=True)
class PublishedTexts:
    """Texts that are drawn from a file of a data set on the Hugging Face hub.

    They are named by this description, since a commit decides what the file holds. So nothing has to be
    fetched before a checkpoint is made.

    revision  a whole commit, 40 hexadecimal digits
    sha256    of the file, which is then checked; None if nobody has told it
    prompt    the column of questions that the texts answer; "" if they answer none
    text      the column of texts; where it holds lists, the first entry of each
    count     number of texts, drawn by the seed among those that are long enough
    """

    data_set: str
    revision: str
    file: str
    text: str
    count: int
    seed: int
    prompt: str = ""
    sha256: str | None = field(default=None, metadata=INCIDENTAL)

    @property
    def origin(self) -> str:
        return f"hf://datasets/{self.data_set}@{self.revision}/{self.file}"


@dataclass(frozen=True)
class Calibration:
    """The texts that quantisation calibrates on. At most `tokens` tokens of each document are used.

    documents  empty while `published` texts have not been read
    published  where the documents come from; None if they are the user's own or the embedded ones
    family     the only family of models that the texts suit; None if they suit all
    """

    name: str
    documents: tuple[Document, ...]
    tokens: int
    published: PublishedTexts | None = None
    family: str | None = None

    @cached_property
    def content(self) -> str:
        return content_hash(self.published or self.documents, self.tokens)

    @property
    def count(self) -> int:
        """Number of documents."""
        return self.published.count if self.published else len(self.documents)


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
