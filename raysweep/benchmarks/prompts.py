"""A question's prompt: the Jinja template of a benchmark's definition, filled in with a row.

This is the user's message to the model. The engine puts it into the model's own chat template.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raysweep.errors import ConfigError

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True)
class Prompt:
    """A template, and the field in which the user wrote it."""

    template: str
    field: str = "prompt"

    def fill(self, **variables: Any) -> str:
        """The text for these variables. Raises ConfigError if the template has a mistake."""
        from jinja2 import TemplateError

        try:
            return self._compiled.render(variables).strip()
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise ConfigError(
                f"{self.field}: the template cannot be filled in ({error}); use only "
                f"{', '.join(variables)}"
            ) from error

    @cached_property
    def _compiled(self) -> "Template":
        # Imported here, because the embedded benchmarks have no templates and need no Jinja.
        from jinja2 import StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        return environment.from_string(self.template)
