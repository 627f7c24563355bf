"""What is in deploy/kubernetes/, on a real node: admitted, ready, restarted, updated, moved and ended, under clients that count.
The manifests are applied as they are; images of their names hold this checkout's relay, and Debian's Redis and nginx."""
import json
import os
import time
import urllib.request

import pytest
import redis
import yaml
from crowd import Crowd, Teller
from servers import ROOT, until
from story import Story
from ws import Client

MANIFESTS = os.path.join(ROOT, "deploy", "kubernetes")
QUICK, PRODUCTION, SIDECAR = (os.path.join(MANIFESTS, name) for name in ("overlays/quick", "overlays/production", "sidecar"))
RELAYS = "app.kubernetes.io/name=comfy-relay,app.kubernetes.io/component=relay"
NAMESPACE, APP = "comfy-relay", "app"
CLIENTS = 50
# Mostly below 1 s, of which 0.3 s are the client's own wait before it tries again; the machine also starts pods meanwhile.
AWAY_S = 3.0


def kustomize(node, folder):
    return list(yaml.safe_load_all(node.kubectl("kustomize", folder)))


def restricted(node, namespace):
    """A namespace that admits only pods of that level."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    node.kubectl("apply", "-f", "-", input=json.dumps(document))


def rolled_out(node, deployment, namespace, timeout=120):
    began = time.monotonic()
    node.kubectl("rollout", "status", f"deployment/{deployment}", "-n", namespace, f"--timeout={timeout}s", timeout=timeout + 30)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def quick(node):
    node.kubectl("apply", "-k", QUICK)
    return {name: rolled_out(node, name, NAMESPACE) for name in ("redis", "comfy-relay", "comfy-relay-demo")}


@pytest.fixture(scope="module")
def sidecar(node):
    restricted(node, APP)
    node.kubectl("apply", "-n", APP, "-f", os.path.join(QUICK, "redis.yaml"))
    rolled_out(node, "redis", APP)
    node.kubectl("apply", "-n", APP, "-k", SIDECAR)
    return rolled_out(node, "comfy-app", APP)


def service(node, name, namespace):
    spec = node.get("service", name, "-n", namespace)["spec"]
    return spec["clusterIP"], spec["ports"][0]["port"]


class ServedRedis:
    """A Redis behind a Service, as crowd.Teller wants one."""

    def __init__(self, node, namespace):
        self.address, self.process = service(node, "redis", namespace), object()
        self.client = redis.Redis(*self.address)


def ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def status_of(pod, container):
    both = pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", [])
    return next(c for c in both if c["name"] == container)


def pod(node, namespace, name):
    return node.get("pod", name, "-n", namespace)


# ---- what the API says of the manifests --------------------------------------------------------------------------


def dry_run(node, namespace, documents):
    given = "---\n".join(json.dumps(d) + "\n" for d in documents)
    return node.try_kubectl("apply", "-n", namespace, "--dry-run=server", "--validate=strict", "-f", "-", input=given)


@pytest.mark.parametrize("folder", [QUICK, PRODUCTION, SIDECAR], ids=os.path.basename)
def test_what_kustomize_makes_is_valid_and_admitted_as_restricted(node, folder):
    restricted(node, NAMESPACE)
    documents = [d for d in kustomize(node, folder) if d["kind"] != "Namespace"]
    done = dry_run(node, NAMESPACE, documents)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("dry run") == len(documents)


def test_example_of_a_worker_is_valid_and_admitted_as_restricted(node):
    restricted(node, NAMESPACE)
    path = os.path.join(MANIFESTS, "examples", "comfyui.yaml")
    done = node.try_kubectl("apply", "-n", NAMESPACE, "--dry-run=server", "--validate=strict", "-f", path)
    assert (done.returncode, done.stderr) == (0, "")


def test_namespace_that_an_overlay_makes_admits_only_what_is_restricted(node):
    for folder in (QUICK, PRODUCTION):
        namespace = next(d for d in kustomize(node, folder) if d["kind"] == "Namespace")
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_what_is_wrong_is_refused(node):
    """That the three tests above would notice: a field that is misspelt, a port that cannot be, a pod that may become root."""
    restricted(node, NAMESPACE)
    deployment = next(d for d in kustomize(node, QUICK) if d["kind"] == "Deployment" and d["metadata"]["name"] == "comfy-relay")
    template = deployment["spec"]["template"]
    bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"},
            "spec": {**template["spec"], "serviceAccountName": "default"}}
    assert dry_run(node, NAMESPACE, [bare]).returncode == 0

    container = template["spec"]["containers"][0]
    container["livnessProbe"] = container["livenessProbe"]
    assert 'unknown field "spec.containers[0].livnessProbe"' in dry_run(node, NAMESPACE, [bare]).stderr
    del container["livnessProbe"]

    container["ports"][0]["containerPort"] = 81900
    assert "must be between 1 and 65535" in dry_run(node, NAMESPACE, [bare]).stderr
    container["ports"][0]["containerPort"] = 8190

    del container["securityContext"]["allowPrivilegeEscalation"]
    refused = dry_run(node, NAMESPACE, [bare])
    assert refused.returncode != 0 and 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation' in refused.stderr


def test_redis_to_try_it_lets_in_all_that_need_it_and_nobody_else():
    """The policy as it is written: the node's network enforces none."""
    policy = next(d for d in written("overlays/quick/redis.yaml") if d["kind"] == "NetworkPolicy")
    let_in = [peer["podSelector"]["matchLabels"] for rule in policy["spec"]["ingress"] for peer in rule["from"]]
    paths = ("base/deployment.yaml", "overlays/quick/demo.yaml", "overlays/quick/redis.yaml", "examples/comfyui.yaml")
    pods = {path: next(d["spec"]["template"]["metadata"]["labels"] for d in written(path) if "template" in d["spec"])
            for path in paths}
    admitted = {path for path, labels in pods.items() if any(peer.items() <= labels.items() for peer in let_in)}
    assert admitted == set(pods) - {"overlays/quick/redis.yaml"}


def written(path):
    with open(os.path.join(MANIFESTS, path), encoding="utf-8") as f:
        return list(yaml.safe_load_all(f))


# ---- relays as a Deployment ---------------------------------------------------------------------------------------


def test_overlay_to_try_it_shows_a_client_the_demo(node, quick, figure):
    figure("ready after the apply, one after the other: " + ", ".join(f"{name} {s:.1f} s" for name, s in quick.items()))
    with node.inside():
        client = Client(service(node, "comfy-relay", NAMESPACE), "/ws?clientId=demo")
        try:
            client.wait_for('"type":"executed"', 60)
            client.wait_for('"type":"execution_success"', 60)
        finally:
            client.drop()


def test_metrics_are_on_the_pods_own_address_and_not_on_the_service(node, quick):
    relay = node.pods(NAMESPACE, RELAYS)[0]
    with node.inside():
        with urllib.request.urlopen(f"http://{relay['status']['podIP']}:9190/metrics", timeout=10) as answer:
            assert "comfy_relay_connections" in answer.read().decode()
    assert [p["port"] for p in node.get("service", "comfy-relay", "-n", NAMESPACE)["spec"]["ports"]] == [8190]


def restarted_after_a_stop(node, namespace, name, container):
    """SIGSTOP: it is there, and does nothing. How long until another is ready in its place."""
    before = status_of(pod(node, namespace, name), container)["restartCount"]
    began = time.monotonic()
    node.run("kill", "-STOP", str(node.process_of(pod(node, namespace, name), container)))

    def is_back():
        now = pod(node, namespace, name)
        return status_of(now, container)["restartCount"] == before + 1 and ready(now)
    until(is_back, f"{container} to be restarted", 120)
    return time.monotonic() - began


def test_relay_that_is_stopped_is_restarted_by_its_liveness_probe(node, quick, figure):
    relay = node.pods(NAMESPACE, RELAYS)[0]["metadata"]["name"]
    took = restarted_after_a_stop(node, NAMESPACE, relay, "relay")
    figure(f"a relay that was stopped (SIGSTOP) was ready again after {took:.0f} s")
    assert took < 90


def begin(crowd, node, address, namespace, clients=CLIENTS, spread_s=40):
    """Clients with a run each, begun one after the other, so that some run all the time."""
    story = Story().play("f_reconnect", "p0").play("i_progress_text", "p1", 0.2)
    teller = Teller(crowd, ServedRedis(node, namespace))
    for i in range(clients):
        crowd.join(f"k{i}", story, [address], flagged=i % 2 == 0)
        teller.tell(f"k{i}", story, delay=1 + spread_s * i / clients)
    crowd.run(crowd.all_open, "every client's first status", 60)
    return teller


def changed(folder, base, conf, namespace, **options):
    """An overlay on an overlay: another configuration. options: what is replaced in the file by what."""
    with open(conf, encoding="utf-8") as f:
        conf = f.read()
    for name, (old, new) in options.items():
        assert old in conf, name
        conf = conf.replace(old, new)
    (folder / "comfy-relay.conf").write_text(conf)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({
        "namespace": namespace, "resources": [os.path.relpath(base, folder)],
        "configMapGenerator": [{"name": "comfy-relay", "behavior": "replace", "files": ["comfy-relay.conf"]}]}))
    return str(folder)


def names(pods):
    return {p["metadata"]["name"] for p in pods}


def gone(node, namespace, old):
    return not old & names(node.get("pods", "-n", namespace)["items"])


def test_changed_configuration_rolls_the_relays_and_fifty_clients_lose_nothing(node, quick, tmp_path, figure):
    old, conf = names(node.pods(NAMESPACE, RELAYS)), os.path.join(MANIFESTS, "base", "comfy-relay.conf")
    with node.inside(), Crowd() as crowd:
        teller = begin(crowd, node, service(node, "comfy-relay", NAMESPACE), NAMESPACE)
        crowd.run(lambda: teller.now > 2, "the runs to be on their way", 60)
        began = time.monotonic()
        node.kubectl("apply", "-k", changed(tmp_path, QUICK, conf, NAMESPACE, level=("[log]\n", "[log]\nlevel = warn\n")))
        checks = iter(range(10 ** 9))
        crowd.run(lambda: next(checks) % 200 == 0 and gone(node, NAMESPACE, old), "the old relays to be gone", 180)
        took = time.monotonic() - began
        crowd.run(lambda: teller.is_done and crowd.all_have_all(), "every client to have everything", 120)
        crowd.check()
        away = max(m.longest_away for m in crowd.members)
        tries = sum(m.attempts - m.visits for m in crowd.members)
        figure(f"rolling update: {took:.0f} s; {crowd.figures()}; away for {away:.2f} s at most; {tries} tries were refused")
        assert len(names(node.pods(NAMESPACE, RELAYS)) - old) == 2
        assert all(m.visits > 1 for m in crowd.members), "somebody was not moved"
        assert {code for m in crowd.members for code in m.codes} == {1012}
        assert tries == 0
        assert away <= AWAY_S


def end_of(node, namespace, name, containers):
    """Deletes a pod, and returns how its containers ended and how long all took. A finalizer keeps it to be looked at."""
    kept = '{"metadata":{"finalizers":[%s]}}'
    node.kubectl("patch", "pod", name, "-n", namespace, "--type=merge", "-p", kept % '"example.com/looked-at"')
    began = time.monotonic()
    try:
        node.kubectl("delete", "pod", name, "-n", namespace, "--wait=false")

        def ended():
            now = pod(node, namespace, name)
            states = [status_of(now, c)["state"].get("terminated") for c in containers]
            return states if all(states) else None
        return until(ended, f"{name} to end", 90), time.monotonic() - began
    finally:
        node.kubectl("patch", "pod", name, "-n", namespace, "--type=merge", "-p", kept % "")


def grace_of(node, deployment, namespace):
    return node.get("deployment", deployment, "-n", namespace)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def test_pod_drains_and_leaves_within_its_grace_period(node, quick, figure):
    rolled_out(node, "comfy-relay", NAMESPACE)
    relay = node.pods(NAMESPACE, RELAYS)[0]
    with node.inside():
        clients = [Client((relay["status"]["podIP"], 8190), f"/ws?clientId=g{i}") for i in range(10)]
        try:
            for c in clients:
                c.wait_count(1)
            (end,), took = end_of(node, NAMESPACE, relay["metadata"]["name"], ["relay"])
            for c in clients:
                c.wait_closed(1012)
        finally:
            for c in clients:
                c.drop()
    figure(f"a pod with {len(clients)} clients was gone {took:.1f} s after its deletion, exit code {end['exitCode']}")
    assert end["exitCode"] == 0
    assert took < grace_of(node, "comfy-relay", NAMESPACE)
    rolled_out(node, "comfy-relay", NAMESPACE)


def evict(node, name):
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    return node.try_kubectl("create", "--raw", path, "-f", "-", input=json.dumps(body))


def test_second_relay_is_not_evicted_while_the_first_is_away(node, quick):
    rolled_out(node, "comfy-relay", NAMESPACE)
    until(lambda: node.get("pdb", "comfy-relay", "-n", NAMESPACE)["status"]["disruptionsAllowed"] == 1, "the budget to be there")
    one, two = sorted(names(node.pods(NAMESPACE, RELAYS)))
    assert evict(node, one).returncode == 0
    assert "would violate the pod's disruption budget" in evict(node, two).stderr
    rolled_out(node, "comfy-relay", NAMESPACE)


def with_password(node, namespace, password):
    """The Redis of the overlay to try it, and the Secret that production wants."""
    with open(os.path.join(QUICK, "redis.yaml"), encoding="utf-8") as f:
        documents = list(yaml.safe_load_all(f))
    server = next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    server["args"] += ["--requirepass", password]
    node.kubectl("create", "secret", "generic", "comfy-relay-redis", "-n", namespace, f"--from-literal=password={password}")
    node.kubectl("apply", "-n", namespace, "-f", "-", input="---\n".join(json.dumps(d) + "\n" for d in documents))
    rolled_out(node, "redis", namespace)


def test_production_reads_redis_password_from_its_secret_and_begins_with_three_relays(node, tmp_path):
    restricted(node, "production")
    with_password(node, "production", "a secret of the test")
    conf = os.path.join(PRODUCTION, "comfy-relay.conf")
    folder = changed(tmp_path, PRODUCTION, conf, "production", redis=("redis.example.com", "redis"))
    node.kubectl("apply", "-k", folder)
    until(lambda: any(ready(p) for p in node.pods("production", RELAYS)), "a relay to be ready: it has subscribed", 60)
    until(lambda: len(node.pods("production", RELAYS)) == 3, "the autoscaler to make three of it", 60)
    node.kubectl("delete", "-k", folder, "--wait=false")


# ---- the relay as a sidecar ---------------------------------------------------------------------------------------


def the_app(node):
    return until(lambda: node.pods(APP, "app.kubernetes.io/name=comfy-app"), "the application's pod")[0]


def test_application_begins_when_its_relay_is_there_and_reaches_it_on_localhost(node, sidecar, figure):
    figure(f"the application with its sidecar was ready after {sidecar:.1f} s")
    app = the_app(node)
    assert status_of(app, "relay")["state"]["running"]["startedAt"] <= status_of(app, "app")["state"]["running"]["startedAt"]
    with node.inside(), Crowd() as crowd:
        teller = begin(crowd, node, service(node, "comfy-app", APP), APP, clients=5, spread_s=1)
        crowd.run(lambda: teller.is_done and crowd.all_have_all(), "every client to have everything", 60)
        crowd.check()
        with pytest.raises(OSError):
            Client((app["status"]["podIP"], 8190), "/ws?clientId=outside")


def test_sidecar_that_is_stopped_is_restarted_and_the_application_is_not(node, sidecar, figure):
    name = the_app(node)["metadata"]["name"]
    took = restarted_after_a_stop(node, APP, name, "relay")
    figure(f"a sidecar that was stopped (SIGSTOP) was ready again after {took:.0f} s")
    assert status_of(pod(node, APP, name), "app")["restartCount"] == 0


def test_sidecar_ends_after_the_application_and_within_the_grace_period(node, sidecar, figure):
    """With clients that hold the application back, as nginx waits for its open connections."""
    app = the_app(node)
    with node.inside():
        clients = [Client(service(node, "comfy-app", APP), f"/ws?clientId=e{i}") for i in range(5)]
        try:
            for c in clients:
                c.wait_count(1)
            (relay, application), took = end_of(node, APP, app["metadata"]["name"], ["relay", "app"])
        finally:
            for c in clients:
                c.drop()
    codes = [application["exitCode"], relay["exitCode"]]
    figure(f"the pod with the sidecar was gone {took:.1f} s after its deletion, exit codes {codes}")
    assert application["finishedAt"] <= relay["finishedAt"]
    assert codes == [0, 0]
    assert took < grace_of(node, "comfy-app", APP)
    rolled_out(node, "comfy-app", APP)
