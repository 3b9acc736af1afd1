"""The code blocks of a Markdown page, and how they are run, in their order, in a folder of their own.

    ```sh                       run by bash, which stops at the first command that fails
    ```python                   run by Python
    ```yaml file=mine/a.yaml    written to that file, whatever its language
    ```sh no-run REASON         not run

Other languages, and blocks without one, are what programs print.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors.numpy import save_file
from support.configurations import tensors_of, write_checkpoint

from raysweep.spec import WeightSpec

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w+)?[ ]*(.*)$")
PROGRAMS = {"sh": ("bash", "-euo", "pipefail"), "bash": ("bash", "-euo", "pipefail")}
PROGRAMS |= {"python": (sys.executable,)}
RAYSWEEP = "python -m raysweep"

# Blocks of the README that are not run. A block there is for everybody to read: it carries no marks.
README_NOT_RUN = {
    "python -m raysweep +sweep=full sweep.adaptive.gpu": "wants a GPU, for days",
    "RAY_ADDRESS=auto": "wants a Ray cluster with GPUs",
    "# Your own model": "wants a package from PyPI; `make test-real` installs it and runs the sweep",
    "make demo": "installs into .venv; what it runs is run by tests/test_embedded_default.py",
}


@dataclass(frozen=True)
class Block:
    """A code block; `line` is that of its opening fence, `info` what stands there after the language."""

    page: Path
    line: int
    language: str
    info: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that it is to be written to."""
        return self.info.removeprefix("file=") if self.info.startswith("file=") else None

    @property
    def why_not_run(self) -> str | None:
        """The reason why it is not run; "" for a mark without one."""
        if self.page.name == "README.md":
            return next(
                (r for start, r in README_NOT_RUN.items() if self.text.startswith(start)), None
            )
        return self.info.removeprefix("no-run").strip() if self.info.startswith("no-run") else None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """All code blocks of a page."""
    opening: tuple[int, str, str] | None = None
    inside: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = FENCE.match(line.strip())
        if opening is None and fence:
            opening, inside = (number, fence[1] or "", fence[2].strip()), []
        elif opening is not None and line.strip() == "```":
            yield Block(page, *opening, "\n".join(inside) + "\n")
            opening = None
        elif opening is not None:
            inside.append(line)


def run(page: Path, folder: Path) -> None:
    """Run a page's blocks in `folder`; raises AssertionError with what the first to fail has said."""
    before = ""  # a page's Python goes on where its last block stopped
    for block in blocks(page):
        if block.file:
            file = folder / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
        elif block.language in PROGRAMS and block.why_not_run is None:
            in_readme = page.name == "README.md"
            program = at_smoke_size(block.text, folder) if in_readme else block.text
            if block.language == "python":
                program = before = before + block.text
            ended = subprocess.run(
                [*PROGRAMS[block.language], "-c", program],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": path(folder)},
                capture_output=True,
                text=True,
            )
            assert ended.returncode == 0, (
                f"{block.place}\n{program}\n{ended.stdout}\n{ended.stderr}"
            )


def at_smoke_size(program: str, folder: Path) -> str:
    """README's commands are full studies: each is run as a plan of it, or on the finished smoke run.

    What names no sweep and nothing of one gets the sweep `smoke`; what would generate is planned. Addresses
    below /data lie in `folder`.
    """
    commands = program.replace("\\\n", " ").replace("/data", f"{folder}/data")
    return "\n".join(smaller(command) for command in commands_of(commands))


def commands_of(program: str) -> Iterator[str]:
    """The commands of a program, one a line but where a quotation runs over several."""
    command = ""
    for line in program.splitlines():
        command += line
        try:
            shlex.split(command, comments=True)
        except ValueError:  # no closing quotation yet
            command += "\n"
            continue
        yield command
        command = ""


def smaller(line: str) -> str:
    words = shlex.split(line, comments=True)
    said = " ".join(words)
    if not line.startswith(RAYSWEEP) or "--help" in words or "stages=[show]" in words:
        return line
    added = []
    if "+sweep=" not in said and "sweep." not in said:
        added.append("+sweep=smoke")
    if "stages=" not in said and words[3:] != ["+sweep=smoke"]:
        added.append("stages=[plan]")
    return shlex.join([*words, *added])


def path(folder: Path) -> str:
    """The interpreter's programs before all others, under the names that readers type."""
    return os.pathsep.join(
        [str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    )


def make_workspace(finished: Path, folder: Path) -> Path:
    """A copy of the finished run's folder, with the files that the pages call a user's own."""
    shutil.copytree(finished, folder)
    size = {"hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 256}
    write_checkpoint(folder / "data/mine", **size)
    packing = {"quant_method": "gptq", "bits": 4, "group_size": 128}
    packed = write_checkpoint(folder / "data/mine-gptq", **size, quantization_config=packing)
    save_file(tensors_of(packed, WeightSpec("gptq", 4, 128)), packed / "model.safetensors")
    (folder / "deploy").symlink_to(ROOT / "deploy")
    (folder / "my").mkdir()
    (folder / "my/questions.csv").write_text('id,problem,answer\na,"k=07;k+5=z;z?",12\n')
    (folder / "bin").mkdir()
    for name, arguments in {"python": "", "raysweep": " -m raysweep"}.items():
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{arguments} "$@"\n')
        program.chmod(0o755)
    return folder
