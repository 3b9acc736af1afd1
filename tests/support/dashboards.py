"""Dashboard and alerts as tests read them: queries by panel, rules by name, and what a GPU node serves."""

import json

import yaml
from support.manifests import ROOT

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yaml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "raysweep.json").read_text())
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = {
    f"{panel['title']} {query['refId']}": query["expr"]
    for panel in PANELS
    for query in panel["targets"]
}
GPU_METRICS = {"ray_node_gpus_utilization": 3.0, "ray_node_gram_used": 20480.0}
