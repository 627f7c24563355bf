"""A Kubernetes of one node, in name spaces of its own: every process, mount and address of it goes with its first process, and
that goes with this one. Needs root, containerd, runc and the CNI plugins of Debian, etcd, and the programs that build.sh makes.

    with Node(programs, etcd, init, images) as node:
        node.kubectl("apply", "-k", folder)
        with node.inside():                     # this thread's sockets are in the node's network
            ...
"""
import contextlib
import glob
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

import spaces
from names import Names
from servers import die_with_parent, until

ADDRESS, PODS, SERVICES = "10.200.0.1", "10.201.0.0/24", "10.96.0.0/24"
# What the kubelet writes to, and must not: files of our own lie over them.
SYSCTLS = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
           "kernel/keys/root_maxbytes"]

CONTAINERD = """version = 2
root = "{dir}/containerd/root"
state = "{dir}/containerd/state"
[grpc]
  address = "{dir}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{dir}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{dir}/cni"
"""

KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "address": ADDRESS, "healthzPort": 0, "clusterDNS": [ADDRESS], "clusterDomain": "cluster.local", "resolvConf": "",
    "cgroupDriver": "cgroupfs", "enforceNodeAllocatable": [], "oomScoreAdj": 0, "failSwapOn": False,
    "imageGCHighThresholdPercent": 100,
    "evictionHard": dict.fromkeys(["memory.available", "nodefs.available", "imagefs.available", "nodefs.inodesFree"], "0%"),
}


def cni(folder):
    ipam = {"type": "host-local", "dataDir": f"{folder}/ipam", "ranges": [[{"subnet": PODS}]],
            "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": ipam}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def client_config():
    """Everything in it is JSON, which is YAML too."""
    return {"apiVersion": "v1", "kind": "Config", "current-context": "node",
            "clusters": [{"name": "node", "cluster": {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": True}}],
            "users": [{"name": "admin", "user": {"token": "admin"}}],
            "contexts": [{"name": "node", "context": {"cluster": "node", "user": "admin"}}]}


# Folders of the machine that a node writes to whatever it is told: the network, addresses and logs of each pod.
WRITTEN_TO = ("/run/netns", "/var/lib/cni", "/var/log/containers", "/var/log/pods")


class Node:
    def __init__(self, programs, etcd, init, images):
        self.programs, self.etcd = programs, etcd
        self.dir = tempfile.mkdtemp(prefix="node-")
        self.cgroup = spaces.cgroup_name("node")
        self.daemons, self.names, self.first = {}, None, None
        began = time.monotonic()
        try:
            self.first = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--mount-proc", "--net", "--fork", "--kill-child=SIGKILL", init],
                preexec_fn=die_with_parent, stdin=subprocess.DEVNULL)
            until(self.first_pid, "the node's first process")
            self.make_ground()
            self.write_files()
            self.start_all(images)
        except BaseException:
            self.show_logs()
            self.stop()
            raise
        self.took = time.monotonic() - began

    # -- its ground: name spaces, network, cgroups

    def first_pid(self):
        return spaces.first_child(self.first.pid)

    def enter(self, command):
        return ["nsenter", f"--target={self.first_pid()}", "--mount", "--pid", "--net", *command]

    def run(self, *command, **options):
        return subprocess.run(self.enter(command), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              **options).stdout

    def make_ground(self):
        for command in ("link set lo up", "link add node0 type veth peer name node1", "link set node1 up",
                        f"addr add {ADDRESS}/24 dev node0", "link set node0 up", "route add default dev node0"):
            self.run("ip", *command.split())
        for folder in WRITTEN_TO:
            os.makedirs(folder, exist_ok=True)
            self.run("mount", "-t", "tmpfs", "tmpfs", folder)
        for name in SYSCTLS:
            with contextlib.suppress(OSError):
                copy = os.path.join(self.dir, name.replace("/", "."))
                shutil.copyfile(f"/proc/sys/{name}", copy)
                self.run("mount", "--bind", copy, f"/proc/sys/{name}")
        for controller in glob.glob("/sys/fs/cgroup/*/") + ["/sys/fs/cgroup/"]:
            if os.path.exists(controller + "cgroup.procs"):
                os.makedirs(os.path.join(controller, self.cgroup), exist_ok=True)

    def write_files(self):
        os.makedirs(f"{self.dir}/cni")
        self.write("containerd.toml", CONTAINERD.format(dir=self.dir, pause="localhost/pause:1"))
        self.write("cni/pods.conflist", json.dumps(cni(self.dir)))
        self.write("config", json.dumps(client_config()))
        self.write("tokens.csv", 'admin,admin,admin,"system:masters"\n')
        self.write("kubelet.yaml", json.dumps({**KUBELET, "containerRuntimeEndpoint": f"unix://{self.dir}/containerd.sock",
                                               "cgroupRoot": "/" + self.cgroup}))
        self.run("openssl", "genrsa", "-out", f"{self.dir}/accounts.key", "2048", stderr=subprocess.DEVNULL)

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
            f.write(text)

    # -- its programs

    def start(self, name, program, *args):
        with open(f"{self.dir}/{name}.log", "wb") as log:
            self.daemons[name] = subprocess.Popen(self.enter([program, *args]), preexec_fn=die_with_parent,
                                                  stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def start_all(self, images):
        d, config = self.dir, f"--kubeconfig={self.dir}/config"
        self.start("etcd", self.etcd, "--data-dir", f"{d}/etcd", "--unsafe-no-fsync", "--logger=zap")
        self.start("containerd", "containerd", "-c", f"{d}/containerd.toml")
        local = ["--leader-elect=false", "--bind-address=127.0.0.1"]
        self.start("apiserver", self.program("kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379",
                   "--bind-address=127.0.0.1", f"--advertise-address={ADDRESS}", "--endpoint-reconciler-type=none", "--secure-port=6443",
                   f"--cert-dir={d}/certificates", f"--token-auth-file={d}/tokens.csv", "--authorization-mode=RBAC",
                   f"--service-account-key-file={d}/accounts.key", f"--service-account-signing-key-file={d}/accounts.key",
                   "--service-account-issuer=https://127.0.0.1:6443", f"--service-cluster-ip-range={SERVICES}",
                   "--kubelet-preferred-address-types=InternalIP", "--shutdown-delay-duration=0s")
        until(self.has_containerd, "containerd to answer", 60)
        self.ctr("-n", "k8s.io", "images", "import", images)
        until(self.has_api, "the API to be ready", 120)
        self.start("controllers", self.program("kube-controller-manager"), config, *local,
                   f"--service-account-private-key-file={d}/accounts.key", f"--root-ca-file={d}/certificates/apiserver.crt",
                   "--horizontal-pod-autoscaler-sync-period=10s")
        self.start("scheduler", self.program("kube-scheduler"), config, *local)
        self.start("kubelet", self.program("kubelet"), f"--config={d}/kubelet.yaml", config, f"--root-dir={d}/kubelet",
                   "--hostname-override=node", f"--node-ip={ADDRESS}", f"--cert-dir={d}/kubelet-certificates")
        until(self.is_ready, "the node to be ready", 120)
        self.start("proxy", self.program("kube-proxy"), config, "--proxy-mode=iptables", "--hostname-override=node",
                   f"--cluster-cidr={PODS}", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
                   "--conntrack-tcp-timeout-close-wait=0", "--healthz-bind-address=127.0.0.1:10256")
        self.start_names()

    def start_names(self):
        with self.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((ADDRESS, 53))
        self.names = Names(sock, self.services)

    def services(self):
        services = self.get("services", "-A")["items"]
        return {(s["metadata"]["namespace"], s["metadata"]["name"]): s["spec"]["clusterIP"] for s in services}

    def program(self, name):
        return os.path.join(self.programs, name)

    def works(self, name):
        assert self.daemons[name].poll() is None, f"{name} has ended:\n{self.log(name)}"
        return True

    def has_containerd(self):
        return self.works("containerd") and self.ctr("version", check=False).returncode == 0

    def has_api(self):
        return self.works("apiserver") and self.try_kubectl("get", "--raw", "/readyz").returncode == 0

    def is_ready(self):
        self.works("kubelet")
        done = self.try_kubectl("get", "node", "node", "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')
        return done.stdout == "True"

    def log(self, name):
        with open(f"{self.dir}/{name}.log", encoding="utf-8", errors="replace") as f:
            return f.read()[-3000:]

    def show_logs(self):
        for name in self.daemons:
            print(f"--- {name}'s log (its last lines)\n{self.log(name)}")

    # -- asking it

    def ctr(self, *args, check=True):
        command = self.enter(["ctr", "-a", f"{self.dir}/containerd.sock", *args])
        return subprocess.run(command, check=check, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)

    def try_kubectl(self, *args, input=None, timeout=120):  # pylint: disable=redefined-builtin
        """The finished process, whatever came of it."""
        command = ["nsenter", f"--net=/proc/{self.first_pid()}/ns/net", self.program("kubectl"),
                   f"--kubeconfig={self.dir}/config", *args]
        given = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **given)

    def kubectl(self, *args, **options):
        done = self.try_kubectl(*args, **options)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def pods(self, namespace, selector):
        """Those that nobody has deleted."""
        return [p for p in self.get("pods", "-n", namespace, "-l", selector)["items"] if "deletionTimestamp" not in p["metadata"]]

    def process_of(self, pod, container):
        """The process of a pod's container, as it is called in there."""
        of = {c["name"]: c for c in pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", [])}
        name = of[container]["containerID"].removeprefix("containerd://")
        tasks = [line.split() for line in self.ctr("-n", "k8s.io", "tasks", "ls").stdout.splitlines()]
        return next(int(t[1]) for t in tasks if t[0] == name)

    def inside(self):
        """This thread is in the node's network meanwhile, and so is what it starts."""
        return spaces.inside(self.first_pid())

    # -- its end

    def stop(self):
        """Nothing of it is left, or this says what."""
        if self.names:
            self.names.close()
        if self.first:
            self.first.kill()
            self.first.wait()
        for daemon in self.daemons.values():
            daemon.wait(30)
        until(lambda: not spaces.remove_cgroups(self.cgroup), "the node's cgroups to be empty", 30)
        shutil.rmtree(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.show_logs()
        self.stop()
