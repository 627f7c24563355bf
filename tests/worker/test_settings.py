"""What the environment may say, and what is answered to what it may not."""
import sys
import types

import extension
import pytest

settings = extension.module("settings")
URL = "redis://127.0.0.1:6379/0"


def read(url=URL, **variables):
    return settings.read({"COMFY_RELAY_REDIS_URL": url, **{"COMFY_RELAY_" + k: v for k, v in variables.items()}})


def refusal(**variables):
    with pytest.raises(ValueError) as caught:
        read(**variables)
    return str(caught.value)


@pytest.mark.parametrize("environ", [{}, {"COMFY_RELAY_REDIS_URL": ""}, {"COMFY_RELAY_REDIS_URL": "  "},
                                     {"COMFY_RELAY_SCOPE": "wrong"}])
def test_without_a_url_there_are_no_settings(environ):
    assert settings.read(environ) is None


def test_defaults_are_those_of_the_relay():
    s = read()
    got = (s.url, s.prefix, s.password, s.session_ttl_ms, s.session_log_events, s.scope, s.queue_events, s.queue_bytes)
    assert got == (URL, "comfy", None, 300_000, 4096, "prompt", 65536, 256 << 20)


def test_every_variable_is_read(tmp_path):
    (tmp_path / "password").write_bytes(b"geh eim\n")
    s = read(REDIS_PREFIX="other", REDIS_PASSWORD_FILE=str(tmp_path / "password"), SESSION_TTL="90m",
             SESSION_LOG_EVENTS="7", WORKER_ID="gpu-3", SCOPE="stock", QUEUE_EVENTS="12", QUEUE_BYTES="3MiB")
    got = (s.prefix, s.password, s.session_ttl_ms, s.session_log_events, s.worker_id, s.scope, s.queue_events, s.queue_bytes)
    assert got == ("other", b"geh eim", 5_400_000, 7, "gpu-3", "stock", 12, 3 << 20)


def test_an_empty_variable_is_the_default():
    assert read(SESSION_TTL="", SCOPE=" ", REDIS_PASSWORD_FILE="") == read()


@pytest.mark.parametrize("text, ms", [("1ms", 1), ("300s", 300_000), ("2m", 120_000), ("168h", 604_800_000)])
def test_times_are_spelled_as_the_relay_spells_them(text, ms):
    assert read(SESSION_TTL=text).session_ttl_ms == ms


@pytest.mark.parametrize("text, size", [("1048576", 1 << 20), ("2048KiB", 2 << 20), ("1GiB", 1 << 30)])
def test_sizes_are_spelled_as_the_relay_spells_them(text, size):
    assert read(QUEUE_BYTES=text).queue_bytes == size


@pytest.mark.parametrize("name, value, allowed", [
    ("SESSION_TTL", "300", "ms, s, m or h"), ("SESSION_TTL", "0s", "from 1ms to 168h"), ("SESSION_TTL", "169h", "168h"),
    ("SESSION_TTL", "1 s", "ms, s, m or h"), ("SESSION_TTL", "-1s", "ms, s, m or h"),
    ("SESSION_LOG_EVENTS", "0", "from 1 to"), ("SESSION_LOG_EVENTS", "1048577", "1048576"),
    ("SESSION_LOG_EVENTS", "many", "whole number"), ("SESSION_LOG_EVENTS", "٣", "whole number"),
    ("QUEUE_EVENTS", "0", "from 1 to"), ("QUEUE_BYTES", "1KiB", "from 1MiB"), ("QUEUE_BYTES", "64MB", "KiB, MiB or GiB"),
    ("SCOPE", "Prompt", "prompt or stock"), ("REDIS_PREFIX", "a{b", "other than { and }"),
    ("REDIS_PREFIX", "x" * 65, "1 to 64"), ("WORKER_ID", "a\nb", "control"), ("WORKER_ID", "x" * 129, "128"),
    ("REDIS_PASSWORD_FILE", "/nowhere/at/all", "No such file"),
])
def test_a_wrong_value_is_refused_with_variable_value_and_what_is_allowed(name, value, allowed):
    said = refusal(**{name: value})
    assert said.startswith(f"COMFY_RELAY_{name}={value!r}: ") and allowed in said, said


@pytest.mark.parametrize("content", [b"", b"\n", b"a\0b", b"x" * 4096])
def test_a_file_without_a_password_is_refused(tmp_path, content):
    (tmp_path / "password").write_bytes(content)
    assert "holds no password" in refusal(REDIS_PASSWORD_FILE=str(tmp_path / "password"))


@pytest.mark.parametrize("url, read_as, where", [
    ("redis://h", "redis://h", "redis://h"),
    ("REDIS://user:p%40ss@h:7000/3", "redis://user:p%40ss@h:7000/3", "REDIS://h:7000/3"),
    ("rediss://:secret@[::1]:7000/0", "rediss://:secret@[::1]:7000/0", "rediss://[::1]:7000/0"),
    ("unix:///run/redis.sock", "unix:///run/redis.sock", "unix:///run/redis.sock"),
    ("redis+unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2", "redis+unix:///run/redis.sock"),
    ("redis+unix://u:secret@/run/redis.sock", "unix://u:secret@/run/redis.sock", "redis+unix:///run/redis.sock"),
])
def test_urls_of_the_relay_and_of_redis_py_are_read(url, read_as, where):
    s = read(url)
    assert (s.url, s.where) == (read_as, where)


@pytest.mark.parametrize("url", ["localhost:6379", "http://h", "redis://", "redis://:secret@", "redis://h:0", "redis://h:x",
                                 "redis://h:70000", "redis://h/one", "redis+unix://run/x", "unix://", "redis+unix:///",
                                 "redis+unix:///" + "x" * 107, "redis://:p@w?x@h", "redis://:p@w#x@h", "unix:///a@b",
                                 "redis+sentinel://h:1,i:2/0", "redis://[::1"])
def test_a_url_of_another_form_is_refused(url):
    said = refusal(url=url)
    assert said.startswith("COMFY_RELAY_REDIS_URL=") and "must be redis://" in said, said


@pytest.mark.parametrize("url", ["http://u:sec-ret@h", "u:sec-ret@h", "redis://u:sec-ret@h:x", "sec-ret:sec-ret",
                                 "redis://h:sec-ret", "redis://u:a@sec-ret@:0", "http://h/?password=sec-ret",
                                 "redis://redis://u:sec-ret@h", "redis://:sec-ret://x@h", "u:sec-ret://x@h", "redis://:a@sec-ret?x@h",
                                 "redis://:a@sec-ret#x@h", "unix://:a@/sec-ret@/run/x", "redis://:sec-ret"])
def test_a_refused_url_never_shows_what_may_be_a_password(url):
    said = refusal(url=url)
    assert "sec-ret" not in said, said


@pytest.mark.parametrize("url, shown", [("redis://:a://b@host:1/bad", "redis://***@host:1/bad"), ("http://h:1/x", "http://h:1/x"),
                                        ("redis://h:70000", "redis://h:70000"), ("h:1", "h:1")])
def test_a_refused_url_is_shown_as_far_as_it_is_no_secret(url, shown):
    assert refusal(url=url).startswith(f"COMFY_RELAY_REDIS_URL={shown!r}: ")


def test_nothing_secret_is_in_the_settings_text(tmp_path):
    (tmp_path / "password").write_text("ge-heim")
    s = read("redis://u:sec-ret@h:1/0", REDIS_PASSWORD_FILE=str(tmp_path / "password"))
    shown = repr(s) + str(s) + s.where
    assert "sec-ret" not in shown and "ge-heim" not in shown, shown


def test_the_worker_is_named_after_its_host_and_the_port_of_comfyui(monkeypatch):
    cli = types.SimpleNamespace(args=types.SimpleNamespace(port=8289))
    monkeypatch.setattr(settings.socket, "gethostname", lambda: "gpu-host")
    assert read().worker_id == "gpu-host"
    monkeypatch.setitem(sys.modules, "comfy.cli_args", cli)
    assert read().worker_id == "gpu-host:8289"
