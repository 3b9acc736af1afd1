"""Training text of the embedded family: worked chain problems, facts, and recall exercises.

An example is a pair of token lists: the text, and for each token whether its prediction is trained.
"""

import random
import string
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from raysweep.benchmarks import chain, facts

FREQUENT_FACTS = 128  # facts of ranks well below this are drawn about equally often


@dataclass(frozen=True)
class Example:
    tokens: list[int]
    trained: list[bool]


class ExampleMaker:
    """Draws examples of every kind; they depend on `rng` alone."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, rng: random.Random):
        self.encode = lambda text: tokenizer.encode(text, add_special_tokens=False)
        self.rng = rng
        self.facts = facts.table()
        self.fact_weights = [1 / (1 + rank / FREQUENT_FACTS) for rank in range(len(self.facts))]

    def chain(self, max_level: int) -> Example:
        """A worked chain problem; one in ten is cut, and only its answer is trained."""
        problem = chain.make_problem(self.rng, self.rng.randint(1, max_level))
        return self._dialogue(problem.prompt, problem.worked, problem.gold)

    def fact(self) -> Example:
        """A multiple-choice question about a fact, with its short thinking."""
        name, value = self._draw_facts(1)[0]
        prompt = facts.make_question(self.rng, name, value)
        return self._dialogue(prompt, f"{name}={value}", value)

    def fact_sheet(self, count: int = 24) -> Example:
        """Facts one after another; only their values are trained."""
        tokens, trained = [], []
        for name, value in self._draw_facts(count):
            tokens += self.encode(f"{name}={value};")
            trained += [False] * 4 + [True, False]
        return Example(tokens, trained)

    def recall(self, max_level: int) -> Example:
        """Copying, which the attention must learn first: a string, or definitions in another order."""
        if self.rng.random() < 0.5:
            alphabet = string.ascii_lowercase + string.digits
            source = "".join(self.rng.choices(alphabet, k=self.rng.randint(8, 40)))
            target = source
        else:
            definitions = list(chain.make_problem(self.rng, self.rng.randint(2, max_level)).shown)
            source = ";".join(definitions)
            self.rng.shuffle(definitions)
            target = ";".join(definitions)
        return self._example(self.prompt(source), self.encode(target + "<|im_end|>"))

    def _draw_facts(self, count: int) -> list[tuple[str, str]]:
        return self.rng.choices(self.facts, self.fact_weights, k=count)

    def prompt(self, text: str) -> list[int]:
        return self.encode(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n<think>\n")

    def _dialogue(self, prompt: str, trace: str, answer: str) -> Example:
        thinking = self.encode(trace)
        closing = self.encode(f"</think>\nThe answer is {answer}<|im_end|>")
        if self.rng.random() < 0.1:
            thinking = thinking[: self.rng.randrange(len(thinking))]
            return self._example(self.prompt(prompt) + thinking, closing)
        return self._example(self.prompt(prompt), thinking + closing)

    @staticmethod
    def _example(given: list[int], trained: list[int]) -> Example:
        return Example(given + trained, [False] * len(given) + [True] * len(trained))
