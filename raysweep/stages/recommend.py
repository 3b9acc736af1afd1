"""The stage recommend: the best configuration for a memory, in words and as recommendation.json."""

from raysweep.exit_status import DONE
from raysweep.reporting.recommendation_text import answers, write_recommendations
from raysweep.stages.context import Context, need
from raysweep.storage import result_files


def run_stage(run: Context) -> int:
    """The best configuration for a memory, in words and as recommendation.json."""
    need(run, result_files.SCORES, "reduce")
    found = answers(run.config, run.store)
    for answer in found:
        run.console.print(answer.text(), soft_wrap=True, highlight=False)
    run.say("recommend", write_recommendations(found, run.store))
    return DONE
