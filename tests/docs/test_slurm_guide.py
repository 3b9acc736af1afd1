"""The guide for Slurm against the script of which it speaks."""

import re
import shlex

from support.manifests import ROOT

SCRIPT = (ROOT / "deploy/slurm/raysweep.sbatch").read_text()
GUIDE = (ROOT / "docs/slurm.md").read_text()


def test_its_table_of_variables_is_the_scripts():
    told = dict(re.findall(r"^\| `(RAYSWEEP_\w+)` \| .+? \| `?(.+?)`? \|$", GUIDE, re.MULTILINE))
    used = dict(re.findall(r"\$\{(RAYSWEEP_\w+):-(.+?)\}", SCRIPT))
    assert told == {name: default.removeprefix("$here/") for name, default in used.items()}


def test_options_that_it_names_are_those_of_the_script():
    for option in re.findall(r"`(--(?:signal|no-kill|requeue)\S*)`", GUIDE):
        assert f"#SBATCH {option}\n" in SCRIPT, option
    assert "five minutes before the time limit" in GUIDE and "USR1@300" in SCRIPT
    assert "within 240 s" in GUIDE and "generation.grace_s=240" in SCRIPT


def test_sbatch_gets_its_options_before_the_script_and_raysweeps_after_it():
    blocks = "\n".join(re.findall(r"```sh[^\n]*\n(.*?)```", GUIDE, re.DOTALL))
    commands = [line for line in blocks.replace("\\\n", " ").splitlines() if "sbatch " in line]
    assert commands
    for words in map(shlex.split, commands):
        script = words.index("deploy/slurm/raysweep.sbatch")
        assert all(word.startswith("--") for word in words[1:script])
        assert all(re.match(r"\+?[a-z]", word) and "=" in word for word in words[script + 1 :])
