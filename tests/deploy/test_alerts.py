"""Dashboard and alerts: what they name is there, and each alert fires when it should, by promtool."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES
from support.dashboards import ALERTS, DASHBOARD, DEPLOY, GPU_METRICS, PANELS, QUERIES, RULES
from support.manifests import ROOT, faults
from support.prometheus import INSTALLED, MISSING

from raysweep.monitoring.metric_names import METRICS

OTHERS = re.compile(r"\bray_\w+")

needs_prometheus = pytest.mark.skipif(not INSTALLED, reason=MISSING)


# ---- what is named is there ----


def test_dashboard_and_alerts_name_metrics_that_are_exported_with_their_labels():
    exported = {metric.exported: metric for metric in METRICS}
    for expression in [*QUERIES.values(), *(rule["expr"] for rule in ALERTS)]:
        for name in OTHERS.findall(expression):
            assert name in exported or name in GPU_METRICS, name
        for name, selected in re.findall(r"(ray_raysweep_\w+)\{([^}]*)\}", expression):
            used = set(re.findall(r"(\w+)=", selected)) - {"SessionName"}
            assert used <= set(exported[name].labels)


def test_every_metric_is_shown_or_alerted_on():
    said = " ".join([*QUERIES.values(), *(rule["expr"] for rule in ALERTS)])
    shown = {name for name in OTHERS.findall(said) if name.startswith("ray_raysweep_")}
    unshown = {metric.exported for metric in METRICS} - shown
    assert unshown == {"ray_raysweep_wall_seconds"}  # for a user's own rates


def test_metrics_of_gpus_are_those_that_rays_agent_serves():
    assert {name.removeprefix("ray_") for name in GPU_METRICS} <= METRICS_GAUGES.keys()


def test_metric_names_and_labels_are_ones_that_prometheus_takes():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"raysweep_[a-z_]+", metric.name)
        assert not metric.name.endswith("_total")
        assert all(re.fullmatch(r"[a-z_]+", label) for label in metric.labels)
        assert metric.unit and metric.description


def test_the_dashboard_is_one_that_grafana_takes():
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["uid"] == DASHBOARD["title"] == "raysweep"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert {v["name"] for v in DASHBOARD["templating"]["list"]} == {"datasource", "session"}
    covered: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & covered, panel["title"]
        covered |= cells
    for panel in PANELS:
        assert panel["type"] in {"stat", "timeseries", "table"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"] and panel["datasource"]["uid"] == "${datasource}"
        assert [query["refId"] for query in panel["targets"]] == list(
            "ABCDEF"[: len(panel["targets"])]
        )


# ---- alerts, by promtool ----


@needs_prometheus
def test_promtool_finds_the_rules_sound():
    said = subprocess.run(
        ["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert f"{len(ALERTS)} rules found" in said.stdout


def series(name: str, labels: str, values: str) -> dict[str, str]:
    return {"series": f'{name}{{SessionName="s",{labels}}}', "values": values}


LEFT = series("ray_raysweep_tokens_left", 'engine="e",benchmark="b"', "5000+0x120")
WAITING = series("ray_raysweep_shards", 'engine="e",benchmark="b",state="waiting"', "3+0x120")
GPU = 'ip="10.0.0.1",GpuIndex="0"'

# (alert, what Prometheus sees minute by minute, whether it fires after two hours)
CASES = [
    ("RaysweepStalled", [LEFT], True),  # not one token, ever
    (
        "RaysweepStalled",
        [LEFT, series("ray_raysweep_tokens_total", 'WorkerId="w"', "9+0x120")],
        True,
    ),
    (
        "RaysweepStalled",
        [LEFT, series("ray_raysweep_tokens_total", 'WorkerId="w"', "9+50x120")],
        False,
    ),
    # A shard now and then is no standstill.
    (
        "RaysweepStalled",
        [LEFT, series("ray_raysweep_tokens_total", 'WorkerId="w"', "0x100 9000x20")],
        False,
    ),
    ("RaysweepStalled", [series("ray_raysweep_tokens_left", 'engine="e"', "0+0x120")], False),
    ("RaysweepShardsFailing", [series("ray_raysweep_shards", 'state="failed"', "0x60 2x60")], True),
    ("RaysweepShardsFailing", [series("ray_raysweep_shards", 'state="failed"', "0x120")], False),
    ("RaysweepShardsFailing", [WAITING], False),
    (
        "RaysweepFaultsKeepComing",
        [series("ray_raysweep_faults_total", 'kind="actor"', "0+1x120")],
        True,
    ),
    (
        "RaysweepFaultsKeepComing",
        [series("ray_raysweep_faults_total", 'kind="actor"', "9x120")],
        False,
    ),
    *(
        (
            "RaysweepMemoryModelOff",
            [
                series("ray_raysweep_kv_bytes", 'engine="e",WorkerId="w"', f"{measured}x120"),
                series(
                    "ray_raysweep_kv_modelled_bytes", 'engine="e",WorkerId="w"', f"{modelled}x120"
                ),
            ],
            fires,
        )
        for measured, modelled, fires in [
            (1060, 1000, True),
            (940, 1000, True),
            (1040, 1000, False),
            (960, 1000, False),
            (0, 0, False),  # idle
        ]
    ),
    ("RaysweepGpuIdle", [WAITING, series("ray_node_gpus_utilization", GPU, "2x120")], True),
    ("RaysweepGpuIdle", [WAITING, series("ray_node_gpus_utilization", GPU, "80x120")], False),
    (
        "RaysweepGpuIdle",
        [series("ray_node_gpus_utilization", GPU, "2x120")],
        False,
    ),  # nothing waits
]


@needs_prometheus
@pytest.mark.parametrize(("alert", "seen", "fires"), CASES)
def test_an_alert_fires_when_it_should_and_not_else(
    alert: str, seen: list, fires: bool, tmp_path: Path
):
    (tmp_path / "rules.yaml").write_text(RULES.read_text())
    question = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    expected = [{"labels": "{}", "value": 1}] if fires else []
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": seen,
                "promql_expr_test": [
                    {"expr": question, "eval_time": "2h", "exp_samples": expected}
                ],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    said = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "test.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_there_is_a_case_either_way_for_every_alert():
    assert {(alert, fires) for alert, _, fires in CASES} == {
        (rule["alert"], fires) for rule in ALERTS for fires in (True, False)
    }


def test_every_alert_says_what_to_read():
    guide = (ROOT / "docs" / "operations.md").read_text()
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", line.strip("# ").lower()).replace(" ", "-")
        for line in guide.splitlines()
        if line.startswith("#")
    }
    for rule in ALERTS:
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert file == "docs/operations.md" and anchor in anchors, anchor


def test_the_operators_rule_is_the_same_file_moved_to_the_right():
    head = (DEPLOY / "prometheus" / "prometheus-rule.head.yaml").read_text()
    text = head + "".join(f"  {line}\n" for line in RULES.read_text().splitlines())
    rule = yaml.safe_load(text)
    assert faults(rule) == []
    assert rule["spec"] == yaml.safe_load(RULES.read_text())
