"""A question's prompt: the Jinja template of a benchmark's definition, filled in with a row.

This is what the user says to the model; the model's own chat template goes around it, in the engine.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raysweep.errors import ConfigError

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True)
class Prompt:
    """A template, and the field of the input that it was written in."""

    template: str
    field: str = "prompt"

    def fill(self, **variables: Any) -> str:
        """The text for these variables. Raises ConfigError at a mistake in the template."""
        from jinja2 import TemplateError

        try:
            return self._compiled.render(variables).strip()
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise ConfigError(
                f"{self.field}: the template can't be filled in ({error}); it may use "
                f"{', '.join(variables)}"
            ) from error

    @cached_property
    def _compiled(self) -> "Template":
        from jinja2 import (
            StrictUndefined,
        )  # not for the embedded benchmarks, which have no template
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        return environment.from_string(self.template)
