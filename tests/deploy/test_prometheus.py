"""Prometheus' rules and Grafana's board: what they name is there, rules do what they say, and a real Prometheus that scrapes
a real relay gets its figures, an answer for each query of the board, and an alert when Redis is away."""
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

import pytest
import yaml
from recording import golden
from servers import ROOT, Publisher, Redis, Relay, free_port, start, until
from ws import Client

PROMETHEUS = os.path.join(ROOT, "deploy", "prometheus")
BOARD = os.path.join(ROOT, "deploy", "grafana", "comfy-relay.json")
FOLDERS = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # a database waits for the disk, often
NOT_ON_THE_BOARD = set()  # metrics that say nothing to somebody who looks at a site
SESSIONS = ["s1", "s2", "s3"]


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def promtool(*args):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run(["promtool", *args], cwd=PROMETHEUS, env={**os.environ, "TMPDIR": FOLDERS}, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def known_metrics():
    """Of the page that is made from the relay's own table."""
    return set(re.findall(r"^\| `(comfy_relay_\w+)`", read(ROOT, "adapters", "http", "METRICS.md"), re.M))


def names_in(text):
    return {re.sub(r"_(bucket|sum|count)$", "", n) for n in re.findall(r"\bcomfy_relay_\w+", text)}


def alerts():
    return [rule for group in yaml.safe_load(read(PROMETHEUS, "alerts.yml"))["groups"] for rule in group["rules"]]


def panels():
    return json.loads(read(BOARD))["panels"]


def queries():
    """(panel, expression) of the board, with its variables replaced."""
    for panel in panels():
        for target in panel.get("targets", ()):
            expr = target["expr"].replace("$job", ".*").replace("$instance", ".*").replace("$__rate_interval", "5s")
            assert "$" not in expr, expr
            yield panel["title"], expr


# ---- what is written ---------------------------------------------------------------------------------------------


def test_the_configuration_and_its_rules_are_right():
    promtool("check", "config", "prometheus.yml")


def test_rules_fire_when_they_should_and_only_then():
    promtool("test", "rules", "alerts.test.yml")


def test_every_alert_is_tested_and_tells_what_to_do():
    tested = set(re.findall(r'alertname="(\w+)"', read(PROMETHEUS, "alerts.test.yml")))
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names)) and set(names) == tested
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "action"}, rule["alert"]


def test_what_rules_and_board_name_is_a_metric_of_the_relay():
    assert names_in(read(PROMETHEUS, "alerts.yml")) - known_metrics() == set()
    assert names_in(read(BOARD)) - known_metrics() == set()


@pytest.mark.parametrize("page", sorted(glob.glob("**/*.md", root_dir=os.path.join(ROOT, "deploy"), recursive=True)))
def test_what_a_page_names_is_a_metric_of_the_relay(page):
    assert names_in(read(ROOT, "deploy", page)) - known_metrics() == set()


def test_every_metric_is_on_the_board():
    assert known_metrics() - names_in(" ".join(expr for _, expr in queries())) == NOT_ON_THE_BOARD


def test_the_board_is_one_that_grafana_takes():
    board = json.loads(read(BOARD))
    assert board["uid"] == "comfy-relay" and board["schemaVersion"] >= 36
    assert [v["name"] for v in board["templating"]["list"]] == ["datasource", "job", "instance"]
    assert len({p["id"] for p in board["panels"]}) == len(board["panels"])
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["title"] and panel["description"] and panel["targets"], panel
        for source in [panel["datasource"], *(t["datasource"] for t in panel["targets"])]:
            assert source == {"type": "prometheus", "uid": "${datasource}"}, "the site chooses it"


# ---- a real Prometheus -------------------------------------------------------------------------------------------


class Prometheus:
    """Scrapes the targets four times a second. An alert waits for a second where the rules say minutes."""

    def __init__(self, targets):
        if not shutil.which("prometheus"):
            pytest.skip("prometheus is not installed (Debian: prometheus)")
        self.dir, self.port = tempfile.mkdtemp(prefix="prometheus-", dir=FOLDERS), free_port()
        config = yaml.safe_load(read(PROMETHEUS, "prometheus.yml"))
        config["global"] = {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = targets
        self.write("prometheus.yml", yaml.safe_dump(config))
        self.write("alerts.yml", re.sub(r"^( +for:) .*", r"\1 1s", read(PROMETHEUS, "alerts.yml"), flags=re.M))
        self.log = open(os.path.join(self.dir, "log"), "w+", encoding="utf-8")
        self.process = start(["prometheus", "--config.file", os.path.join(self.dir, "prometheus.yml"), "--storage.tsdb.path",
                              os.path.join(self.dir, "data"), "--web.listen-address", f"127.0.0.1:{self.port}"],
                             stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
            f.write(text)

    def ask(self, path, **arguments):
        """The data of an answer; None while it starts."""
        assert self.process.poll() is None, read(self.dir, "log")
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as r:
                return json.load(r)["data"]
        except urllib.error.HTTPError as e:
            if e.code == 503:
                return None
            raise AssertionError(f"{arguments}: {e.read().decode()}") from None
        except OSError:
            return None

    def query(self, expr):
        """[(labels, value)]"""
        found = self.ask("query", query=expr)
        return found and [(r["metric"], float(r["value"][1])) for r in found["result"]]

    def value(self, expr):
        found = self.query(expr)
        return found[0][1] if found else None

    def firing(self):
        return {(a["labels"]["alertname"], a["labels"].get("instance")) for a in self.ask("alerts")["alerts"]
                if a["state"] == "firing"}

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Site:
    """Redis, a relay under Prometheus, a relay that is not there, three clients who have seen a recorded run."""

    def __init__(self):
        self.open, self.clients, self.relay = [], [], None

    def start(self):
        self.redis = self.keep(Redis("--appendonly", "yes"))
        self.relay = Relay(self.redis, limits__memory_bytes="64MiB")
        self.instance, self.absent = f"127.0.0.1:{self.relay.ops_port}", f"127.0.0.1:{free_port()}"
        self.prometheus = self.keep(Prometheus([self.instance, self.absent]))
        self.publisher = Publisher(self.redis)
        self.clients = [Client(self.relay.address, f"/ws?clientId={sid}").wait_count(1) for sid in SESSIONS]
        until(lambda: self.prometheus.value(f'up{{instance="{self.instance}"}}') == 1, "the relay to be scraped")

    def keep(self, thing):
        self.open.append(thing)
        return thing

    def play(self):
        """The run to each session, timed now; the worker says that it lives."""
        run = [e for e in golden.events("b_success_flags") if e["type"] != "status"]
        for event in run:
            for sid in SESSIONS:
                self.publisher.script({**event, "sid": sid, "worker": "gpu-1", "ts": time.time() * 1000})
        self.publisher.heartbeat("gpu-1", queue_remaining=2)
        return len(run)

    def stop(self):
        for client in self.clients:
            client.drop()
        if self.relay:
            self.relay.stop()
        for thing in reversed(self.open):
            thing.stop()


@pytest.fixture(scope="module")
def site():
    site = Site()
    try:
        site.start()
        yield site
    finally:
        site.stop()


def test_prometheus_has_the_figures_of_what_was_published(site):
    played = site.play()
    said = until(lambda: (m := site.relay.metrics())["events_total"] == site.publisher.published and m, "all to be received")
    p = site.prometheus
    until(lambda: p.value("comfy_relay_events_total") == site.publisher.published, "a scrape")
    assert p.value("sum(comfy_relay_routed_events_total)") == len(SESSIONS) * played
    assert p.value("comfy_relay_arrival_lag_seconds_count") == len(SESSIONS) * played
    assert (p.value("comfy_relay_connections"), p.value("comfy_relay_workers"), p.value("comfy_relay_queue_remaining")) == (3, 1, 2)
    assert p.value("comfy_relay_received_bytes_total") == said["received_bytes_total"]
    until(lambda: p.value("comfy_relay_frames_total") == site.relay.metric("frames_total"), "the last frames")
    assert p.value("sum(comfy_relay_sent_frames_total)") == p.value("comfy_relay_frames_total") > played
    assert 0 < p.value("histogram_quantile(0.95, comfy_relay_delivery_lag_seconds_bucket)") < 5


def test_every_query_of_the_board_has_an_answer(site):
    site.play()
    time.sleep(0.6)  # two more scrapes, of which a rate is made
    empty = [(title, expr) for title, expr in queries() if not site.prometheus.query(expr)]
    assert empty == []


def test_alerts_fire_for_what_is_away_and_end_when_it_is_back(site):
    p, down = site.prometheus, ("RelayDown", site.absent)
    rules = [rule for group in p.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(alerts()) and {rule["health"] for rule in rules} == {"ok"}, rules
    until(lambda: p.firing() == {down}, "the relay that is not there, and nothing else")
    site.redis.kill()
    until(lambda: ("RelayRedisDown", site.instance) in p.firing(), "the alert of Redis")
    assert p.firing() == {down, ("RelayRedisDown", site.instance)}, "one cause, one alert"
    site.redis.start()
    until(lambda: p.firing() == {down}, "its end")
