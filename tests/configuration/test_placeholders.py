"""Questions that are missing on this machine: their number suffices for a plan, and for nothing else."""

from pathlib import Path
from typing import Any

import pytest
from support.configurations import changed, read, write_models
from support.data_sets import sums, write, write_hub_cache

from raysweep.configuration.identity import as_document, identity
from raysweep.errors import ConfigError
from raysweep.planning.plan import make_plan
from raysweep.run_config import RunConfig
from raysweep.stages.folder import claim_folder
from raysweep.storage.record import read_record
from raysweep.storage.store import Store

HUB = {"hub": "nobody/sums", "revision": "1" * 40, "file": "sums.jsonl"}
SUMS = {
    **{"name": "sums", "loader": "table", "source": HUB, "question": "problem", "answer": "answer"},
    **{"grader": "mathematics", "answer_opener": "\nIt is", "answer_tokens": 8, "questions": 30},
}


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("user"), "small")


@pytest.fixture(autouse=True)
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def run_of(mine: Path, *stages: str, **keys: Any) -> RunConfig:
    configuration = changed("sweep.benchmarks", [{**SUMS, **keys}])
    configuration["sweep"].update(models=["small"], token_budgets=[16, 64])
    configuration["stages"] = list(stages)
    return read(configuration, mine)


def test_a_plan_stands_in_with_as_many_questions(mine: Path):
    (benchmark,) = run_of(mine, "plan").sweep.benchmarks
    assert benchmark.stands_in and benchmark.sources == ()
    assert [q.question_id for q in benchmark.questions] == [f"sums-{i}" for i in range(1, 31)]
    assert len(run_of(mine, "plan", count=4).sweep.benchmarks[0].questions) == 4
    assert len(run_of(mine, "plan", count=99).sweep.benchmarks[0].questions) == 30


@pytest.mark.parametrize("stages", [("plan", "generate"), ("reduce",), ("show",)])
def test_whatever_needs_the_questions_themselves_is_refused_without_them(mine: Path, stages):
    with pytest.raises(ConfigError, match="is not in the cache and cannot be fetched"):
        run_of(mine, *stages)


def test_without_a_number_of_questions_there_is_no_plan(mine: Path):
    with pytest.raises(ConfigError, match="is not in the cache and cannot be fetched"):
        run_of(mine, "plan", questions=None)


def test_a_file_that_is_here_is_read_and_must_have_as_many_questions(mine: Path, no_hub: Path):
    write_hub_cache(no_hub, HUB["hub"], HUB["file"], sums(30))
    source = {**HUB, "revision": "main"}
    (benchmark,) = run_of(mine, "plan", source=source).sweep.benchmarks
    assert not benchmark.stands_in and len(benchmark.questions) == 30
    with pytest.raises(
        ConfigError, match="questions: 31 is not the number of questions found, 30; correct it"
    ):
        run_of(mine, "plan", source=source, questions=31)
    assert len(run_of(mine, "plan", source=source, count=3).sweep.benchmarks[0].questions) == 3


def test_a_published_benchmark_from_ones_own_file_may_have_any_number(mine: Path, tmp_path: Path):
    own = write(tmp_path / "own.jsonl", sums(7))
    configuration = changed("sweep.benchmarks", [{"name": "aime25", "source": str(own)}])
    configuration["sweep"]["models"] = ["small"]
    configuration["sweep"]["token_budgets"] = [16]
    assert len(read(configuration, mine).sweep.benchmarks[0].questions) == 7


def test_a_folder_in_which_placeholders_were_planned_takes_the_real_questions(
    mine: Path, no_hub: Path, tmp_path: Path
):
    store, planning = Store(str(tmp_path / "run")), run_of(mine, "plan")
    assert "questions.sums" not in identity(planning)
    claim_folder(store, planning, as_document(planning))
    assert len(make_plan(planning, []).to_do) == 2 * 15 * 2
    write_hub_cache(no_hub, HUB["hub"], HUB["file"], sums(30))
    real = run_of(mine, "plan", "generate", source={**HUB, "revision": "main"})
    claim_folder(store, real, as_document(real))
    claimed = read_record(store)["identity"]["questions.sums"]
    claim_folder(store, planning, as_document(planning))
    assert read_record(store)["identity"]["questions.sums"] == claimed
