"""The Debian packages, and what cmake --install installs."""
import os
import re
import shutil
import subprocess

import pytest
from machine import DEBS, as_version, run
from servers import ROOT, until
from ws import Client

CONF = "/etc/comfy-relay/comfy-relay.conf"
INSTALLED = """
bin/comfy-publish
bin/comfy-relay
include/comfy_publisher.h
lib/systemd/system/comfy-relay.service
lib/systemd/system/comfy-relay@.service
lib/sysusers.d/comfy-relay.conf
share/comfy-relay/comfyui/__init__.py
share/comfy-relay/publish.lua
share/doc/comfy-publisher/WORKERS.md
share/doc/comfy-relay/OPTIONS.md
share/doc/comfy-relay/SYSTEMD.md
share/doc/comfy-relay/examples/comfy-relay.conf.example
share/man/man1/comfy-publish.1.gz
share/man/man8/comfy-relay.8.gz
""".split()


def test_cmake_install_installs_the_files_where_it_is_told_and_nothing_in_etc(packages, tmp_path):
    run("cmake", "--install", DEBS, "--prefix", "/opt/relay", env={**os.environ, "DESTDIR": str(tmp_path)})
    found = {os.path.relpath(os.path.join(d, f), tmp_path / "opt/relay") for d, _, files in os.walk(tmp_path) for f in files}
    assert set(INSTALLED) <= found, set(INSTALLED) - found
    assert not [f for f in found if f.startswith("..")], "outside of the prefix"
    assert [f for f in found if f.endswith("libcomfy-publisher.a")] and [f for f in found if f.endswith("comfy-publisher.pc")]
    for name in ("comfy-relay", "comfy-relay@"):
        unit = (tmp_path / f"opt/relay/lib/systemd/system/{name}.service").read_text()
        assert re.findall(r"^Exec\w+=(\S+)/comfy-relay ", unit, re.M) == ["/opt/relay/bin"] * 2
        assert "@BINDIR" not in unit and "@OPTIONS" not in unit


def test_cmake_install_leaves_the_build_as_it_is(packages, tmp_path):
    """So that root's installation leaves no file there that a later one by its owner cannot replace."""
    def files():
        found = (os.path.join(d, f) for d, _, names in os.walk(DEBS) for f in names if not f.startswith("install_manifest"))
        return {path: os.lstat(path).st_mtime_ns for path in found}

    before = files()
    run("cmake", "--install", DEBS, "--prefix", "/opt/relay", env={**os.environ, "DESTDIR": str(tmp_path)})
    assert files() == before


def test_cmake_install_of_a_component_installs_that_only(packages, tmp_path):
    run("cmake", "--install", DEBS, "--prefix", "/usr", "--component", "relay", env={**os.environ, "DESTDIR": str(tmp_path)})
    assert os.listdir(tmp_path / "usr/bin") == ["comfy-relay"] and os.listdir(tmp_path) == ["usr"]


def test_lintian_finds_nothing(packages):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not here (Debian: lintian)")
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", *packages.values()],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def installed(machine, packages):
    """As it is after the installation: the tests below go on from one to the next, as an administrator does."""
    machine.apt("install", *(machine.put(packages[p]) for p in ("comfy-relay", "comfy-publisher")))
    return machine


def version_of(m, package="comfy-relay"):
    return m.run("dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", package, check=False).stdout


def test_1_package_is_installed_enabled_and_running(installed):
    assert installed.wait_active()["UnitFileState"] == "enabled"
    until(lambda: installed.get("/ready")[0] == 200, "/ready")
    assert installed.run("stat", "-c", "%U:%G %a", "/etc/comfy-relay", CONF).stdout.split() == \
        ["root:comfy-relay", "750", "root:comfy-relay", "640"]
    assert "comfy-publish" in installed.run("comfy-publish", "--version").stdout
    assert "libcomfy-publisher.so.0" in installed.run("ldconfig", "-p").stdout


def test_2_upgrade_drains_restarts_and_keeps_what_the_administrator_has_written(installed, packages):
    m = installed
    mine = "# mine\n[drain]\ntime = 2s\n"
    m.write(CONF, mine)
    m.run("systemctl", "restart", "comfy-relay")
    before = m.wait_active()["MainPID"]
    client = connect(m)
    upgrade(m, packages, "9.1")
    client.wait_closed(1012)
    m.wait_active(but=before)
    assert m.run("cat", CONF).stdout == mine
    assert m.run("stat", "-c", "%U:%G %a", CONF).stdout.strip() == "root:comfy-relay 640"
    connect(m).drop()


def test_3_upgrade_restarts_processes_of_the_template_and_not_what_was_disabled(installed, packages):
    m = installed
    m.run("systemctl", "disable", "--now", "comfy-relay")
    m.run("systemctl", "enable", "--now", "comfy-relay@0", "comfy-relay@1")
    before = [m.wait_active(f"comfy-relay@{i}")["MainPID"] for i in (0, 1)]
    upgrade(m, packages, "9.2")
    for i in (0, 1):
        m.wait_active(f"comfy-relay@{i}", but=before[i])
    found = m.show()
    assert (found["ActiveState"], found["UnitFileState"]) == ("inactive", "disabled")


def test_4_removal_stops_it_and_leaves_the_configuration(installed):
    m = installed
    m.apt("remove", "comfy-relay")
    assert version_of(m) == "9.2 config-files"
    assert "mine" in m.run("cat", CONF).stdout
    listed = m.run("sh", "-c", "ls /usr/bin/comfy-relay /usr/lib/systemd/system/comfy-relay*", check=False).stdout
    assert listed.count("No such file") == 2, listed
    assert not [s for s in m.run("sh", "-c", "cat /proc/[0-9]*/comm", check=False).stdout.split() if s == "comfy-relay"]


def test_5_new_installation_starts_the_processes_that_are_still_enabled(installed, packages):
    m = installed
    upgrade(m, packages, "9.3")
    for i in (0, 1):
        m.wait_active(f"comfy-relay@{i}")
    assert m.show()["ActiveState"] == "inactive"


def test_6_upgrade_with_an_error_in_the_configuration_leaves_what_runs_and_says_why(installed, packages):
    m = installed
    right = m.run("cat", CONF).stdout
    before = [m.wait_active(f"comfy-relay@{i}")["MainPID"] for i in (0, 1)]
    m.write(CONF, "[drain]\ntime = soon\n")
    said = upgrade(m, packages, "9.4")
    assert f"{CONF}:2: " in said and "neither started nor restarted" in said, said
    assert [m.wait_active(f"comfy-relay@{i}")["MainPID"] for i in (0, 1)] == before
    m.write(CONF, right)
    upgrade(m, packages, "9.5")
    for i in (0, 1):
        m.wait_active(f"comfy-relay@{i}", but=before[i])


def test_7_purge_leaves_nothing_but_the_user(installed):
    m = installed
    m.apt("purge", "comfy-relay", "comfy-publisher")
    left = m.run("find", "/", "-xdev", "-name", "*comfy*", "-not", "-path", "/mnt/*", "-not", "-path", "/proc/*").stdout.split()
    left += m.run("find", "/run", "/etc", "/var", "-name", "*comfy*").stdout.split()
    assert left == [], left
    assert version_of(m).startswith("dpkg-query: no packages found")


def test_8_installation_starts_nothing_where_the_system_forbids_it(installed, packages):
    m = installed
    m.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
    m.run("chmod", "+x", "/usr/sbin/policy-rc.d")
    m.apt("install", m.put(packages["comfy-relay"]))
    found = m.show()
    assert (found["ActiveState"], found["UnitFileState"]) == ("inactive", "enabled")


def connect(m):
    until(lambda: m.get("/ready")[0] == 200, "/ready")
    with m.network():
        return Client(("127.0.0.1", 8190), "/ws?clientId=package").wait_count(1)


def upgrade(m, debs, version):
    as_version(debs["comfy-relay"], version, os.path.join(m.folder, f"{version}.deb"))
    said = m.apt("install", f"/mnt/{version}.deb").stdout
    assert version_of(m) == f"{version} installed"
    return said
