"""Prometheus' rules and Grafana's dashboard ask for what the monitor and the server really give."""

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.monitor.page.figures import read_figures
from components.monitor.page.latest import State
from components.monitor.page.prometheus import exposition
from components.monitor.tests.watched_world import add_events, watched
from components.serve.telemetry import metrics as server_metrics

FOLDER = Path(__file__).parent.parent / "deploy" / "monitoring"
RULES = FOLDER / "alerts.yaml"
DASHBOARD = json.loads((FOLDER / "grafana.json").read_text())
PROMTOOL = shutil.which("promtool")
OF_TARGETS = {"job", "instance"}
_ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
_WORDS = {"and", "or", "unless", "bool", "offset"}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The labels of each metric that Prometheus gets."""
    from prometheus_client import REGISTRY, generate_latest

    database = watched(tmp_path_factory.mktemp("small"), 3, 40, change=1, second=2, labelled=1.0)
    add_events(database)
    server_metrics.register()
    with server_metrics.observed("flowers", 1):
        pass
    server_metrics.note_refusal(429)
    server_metrics._call_instances().labels("flowers", 1).observe(1)
    server_metrics._queue_seconds().labels("flowers", 1).observe(0.1)
    server_metrics.note_shadow("flowers", 2, "same", 0.1)
    state = State(read_figures(database), None, database.stat().st_mtime)
    return (
        labels_by_metric(exposition(state).decode())
        | labels_by_metric(generate_latest(REGISTRY).decode())
        | {"up": OF_TARGETS}
    )


def labels_by_metric(text: str) -> dict[str, set[str]]:
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        names = [family.name + ending for ending in _ENDINGS.get(family.type, ("",))]
        for name in names:
            found[name] = set(OF_TARGETS)
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics of an expression, each with the labels that it is chosen by.

    >>> list(selectors('sum by (a) (rate(x_total{b="c d"}[5m])) / on (a) y > 0'))
    [('x_total', {'b'}), ('y', set())]
    """
    text = re.sub(r'"(\\.|[^"\\])*"', '""', expression)
    text = re.sub(r"\[[^]]*\]", "", text)
    text = re.sub(r"\s*\b(by|without|on|ignoring)\s*\([^)]*\)", "", text)
    for name, braces in re.findall(
        r"(?<![\w.$])([a-zA-Z_:][\w:]*)(\s*\{[^}]*\})?(?!\w*\s*\()", text
    ):
        if name not in _WORDS:
            yield name, {*re.findall(r"(\w+)\s*[=!]", braces)}


def grouped_by(expression: str) -> set[str]:
    """The labels that an expression groups or joins by."""
    lists = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression)
    return {name.strip() for one in lists for name in one.split(",") if name.strip()}


def check(expression: str, given: dict[str, set[str]]) -> None:
    used = list(selectors(expression))
    assert used
    for name, labels in used:
        assert name in given, f"no {name}: {expression}"
        assert labels <= given[name], f"{name} has no {labels - given[name]}: {expression}"
    known = set().union(*(given[name] for name, _ in used))
    assert grouped_by(expression) <= known, expression


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return list(itertools.chain.from_iterable(group["rules"] for group in groups))


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def test_every_rule_asks_for_metrics_that_there_are(given: dict[str, set[str]]) -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 10
    for rule in rules():
        check(rule["expr"], given)
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        # What a text names is left by the expression.
        grouping = grouped_by(rule["expr"]) if " by " in f" {rule['expr']}" else None
        for text in rule["annotations"].values():
            for label in re.findall(r"\$labels\.(\w+)", text):
                assert grouping is None or label in grouping, rule["alert"]
                assert any(label in given[name] for name, _ in selectors(rule["expr"]))


def test_every_panel_asks_for_metrics_that_there_are(given: dict[str, set[str]]) -> None:
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    asked += [one["expr"] for one in DASHBOARD["annotations"]["list"]]
    for expression in asked:
        check(expression.replace("$__rate_interval", "5m"), given)
    for panel in panels():
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert any(label in given[name] for name, _ in selectors(target["expr"]))
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    for name in ("version", "metric"):
        found = re.fullmatch(r"label_values\((.*), (\w+)\)", variables[name]["definition"])
        assert found is not None
        check(found[1], given)
        assert found[2] in given[next(selectors(found[1]))[0]]
    # Both the monitor and the model server are in it.
    used = {name for expression in asked for name, _ in selectors(expression)}
    assert {"darkroom_requests_total", "darkroom_answer_seconds_bucket"} <= used
    assert {"darkroom_monitor_metric", "darkroom_monitor_alarm"} <= used
    named = set(re.findall(r"\$(\w+)", json.dumps(DASHBOARD)))
    assert named <= {*variables, "__rate_interval", "__all"}


def test_the_dashboard_is_laid_out_and_lets_one_choose_the_prometheus() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    places: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        covers = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not covers & places, panel["title"]
        places |= covers
    sources = re.findall(r'"uid": ("[^"]*")', json.dumps(DASHBOARD))
    assert {json.loads(source) for source in sources} == {"${datasource}", "darkroom"}


def test_prometheus_scrapes_the_doors_that_rules_name() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    assert config["rule_files"] == [RULES.name]
    jobs = {one["job_name"] for one in config["scrape_configs"]}
    assert jobs == set(re.findall(r'job="([\w-]+)"', RULES.read_text()))


@pytest.mark.slow
@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: apt-get install prometheus")
def test_promtool_reads_the_rules_and_they_alarm_when_they_should(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    for arguments in (["check", "rules", RULES], ["check", "config", FOLDER / "prometheus.yaml"]):
        subprocess.run([PROMTOOL, *map(str, arguments)], check=True, capture_output=True)
    file = tmp_path / "test.yaml"
    file.write_text(json.dumps(unit_tests()))
    done = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def unit_tests() -> dict[str, Any]:
    """Series of one monitor and one server, and the rules that alarm of them after a time."""
    of = 'instance="m", version="1"'
    quiet = {
        f"darkroom_monitor_last_answer_timestamp_seconds{{{of}}}": "0+60x6000",
        f'darkroom_monitor_metric_high{{{of}, metric="accuracy", slice=""}}': "0.93x6000",
        f'darkroom_monitor_alarm{{{of}, of="label", test="label=roses"}}': "0x6000",
        'darkroom_monitor_last_label_timestamp_seconds{instance="m"}': "0+60x6000",
        'darkroom_monitor_readable{instance="m"}': "1x6000",
        'up{job="darkroom-monitor", instance="m"}': "1x6000",
        'up{job="darkroom-server", instance="s"}': "1x6000",
        'darkroom_requests_total{model="f", version="1", status="200"}': "0+60x6000",
    }
    changed = {
        "DarkroomAccuracyUnderFloor": {
            f'darkroom_monitor_metric_high{{{of}, metric="accuracy", slice=""}}': "0.8x6000"
        },
        "DarkroomSliceUnderFloor": {
            f'darkroom_monitor_metric_high{{{of}, metric="accuracy", slice="label=a"}}': "0.6x6000"
        },
        "DarkroomDrift": {
            f'darkroom_monitor_alarm{{{of}, of="label", test="label=roses"}}': "1x6000"
        },
        "DarkroomMonitorAlert": {
            f'darkroom_monitor_alerts{{{of}, kind="floor", state="open"}}': "1x6000"
        },
        "DarkroomMonitorUnreadable": {'darkroom_monitor_readable{instance="m"}': "0x6000"},
        "DarkroomMonitorDown": {'up{job="darkroom-monitor", instance="m"}': "0x6000"},
        "DarkroomServerDown": {'up{job="darkroom-server", instance="s"}': "0x6000"},
        "DarkroomServerErrors": {
            'darkroom_requests_total{model="f", version="1", status="500"}': "0+6x6000"
        },
        "DarkroomServerSlow": {
            'darkroom_answer_seconds_bucket{model="f", version="1", le="1"}': "0x6000",
            'darkroom_answer_seconds_bucket{model="f", version="1", le="2"}': "0+60x6000",
            'darkroom_answer_seconds_bucket{model="f", version="1", le="+Inf"}': "0+60x6000",
        },
        "DarkroomServerRefuses": {
            'darkroom_refused_requests_total{instance="s", status="429"}': "0+120x6000"
        },
        "DarkroomLabelsStopped": {
            'darkroom_monitor_last_label_timestamp_seconds{instance="m"}': "-604800x6000"
        },
        "DarkroomNoTraffic": {
            f"darkroom_monitor_last_answer_timestamp_seconds{{{of}}}": "0x6000",
            'darkroom_requests_total{model="f", version="1", status="200"}': "0x6000",
        },
    }
    # Of the time after which it shows; those beside it that say the same of it.
    beside = {"DarkroomMonitorStale": ["DarkroomNoTraffic"]}
    changed["DarkroomMonitorStale"] = {
        f"darkroom_monitor_last_answer_timestamp_seconds{{{of}}}": "0x6000"
    }
    assert set(changed) == {rule["alert"] for rule in rules()}
    return {
        "rule_files": [str(RULES)],
        "evaluation_interval": "5m",
        "tests": [
            one_test(quiet | series, {name, *beside.get(name, ())})
            for name, series in [("", {}), *changed.items()]
        ],
    }


def one_test(series: dict[str, str], firing: set[str]) -> dict[str, Any]:
    """Which alerts fire after two days; an expression counts each, whatever labels it has."""
    found = [
        {
            "expr": f'count(ALERTS{{alertname="{rule["alert"]}", alertstate="firing"}}) '
            "or vector(0)",
            "eval_time": "2d",
            "exp_samples": [{"labels": "{}", "value": float(rule["alert"] in firing)}],
        }
        for rule in rules()
    ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    return {"interval": "1m", "input_series": inputs, "promql_expr_test": found}
