"""The stage recommend: the best configuration for a memory, in words and as recommendation.json."""

from raysweep.reporting.adaptive_text import other_than_sampled
from raysweep.reporting.recommendation_text import recommendations, write_recommendations
from raysweep.stages.context import Context, need
from raysweep.storage import result_files
from raysweep.system.exit_status import DONE


def run_stage(run: Context) -> int:
    """The best configuration for a memory, in words and as recommendation.json."""
    need(run, result_files.SCORES, "reduce")
    found = recommendations(run.config, run.store)
    if note := other_than_sampled(run.config):
        run.say("note", note)
    for one in found:
        run.console.print(one.text(), soft_wrap=True, highlight=False)
    run.say("recommend", write_recommendations(found, run.store))
    return DONE
