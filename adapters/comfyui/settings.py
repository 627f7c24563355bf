"""What the extension is told: environment variables COMFY_RELAY_*, read once when ComfyUI starts."""
import os
import re
import socket
import sys
from dataclasses import dataclass, field
from typing import Optional
from urllib.parse import unquote, urlsplit

ENVIRONMENT = "COMFY_RELAY_"
TIME_UNITS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
BYTE_UNITS = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "": 1}
SCHEMES = ("redis", "rediss", "unix", "redis+unix")
PATH_BYTES = 107
PASSWORD_BYTES = 4096


@dataclass(frozen=True)
class Settings:
    """All settings, checked. `url` and `password` are secret: they are in no repr; `where` says where Redis is."""

    url: str = field(repr=False)
    where: str
    worker_id: str
    password: Optional[bytes] = field(default=None, repr=False)
    prefix: str = "comfy"
    session_ttl_ms: int = 300_000
    session_log_events: int = 4096
    scope: str = "prompt"
    queue_events: int = 65536
    queue_bytes: int = 256 << 20


def read(environ=None):
    """The settings of this environment (os.environ), or None when it names no Redis. ValueError names the variable,
    its value and what is allowed."""
    environ = os.environ if environ is None else environ
    url = environ.get(ENVIRONMENT + "REDIS_URL", "").strip()
    if not url:
        return None
    return Settings(
        url=checked(environ, "REDIS_URL", url_of, url),
        where=where_is(url),
        worker_id=checked(environ, "WORKER_ID", word, own_id()),
        password=checked(environ, "REDIS_PASSWORD_FILE", password_in, None),
        prefix=checked(environ, "REDIS_PREFIX", prefix_of, "comfy"),
        session_ttl_ms=checked(environ, "SESSION_TTL", time_ms, 300_000),
        session_log_events=checked(environ, "SESSION_LOG_EVENTS", log_events, 4096),
        scope=checked(environ, "SCOPE", scope_of, "prompt"),
        queue_events=checked(environ, "QUEUE_EVENTS", queue_events, 65536),
        queue_bytes=checked(environ, "QUEUE_BYTES", queue_bytes, 256 << 20),
    )


def checked(environ, name, parse, default):
    """The variable's value as `parse` reads it; the default when it is unset or empty."""
    text = environ.get(ENVIRONMENT + name, "").strip()
    if not text:
        return default
    try:
        return parse(text)
    except ValueError as error:
        shown = masked(text) if name == "REDIS_URL" else text
        raise ValueError(f"{ENVIRONMENT}{name}={shown!r}: {error}") from None


# ---- each kind of value -------------------------------------------------------------------------------------------


def url_of(text):
    """The URL as redis-py writes it: the relay's redis+unix:// is its unix://."""
    allowed = ("must be redis://[user:password@]host[:port][/db], the same with rediss://, or "
               "redis+unix://[user:password@]/path[?db=N]; an @ elsewhere is %40")
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in SCHEMES:
        raise ValueError(allowed)
    is_unix = scheme.endswith("unix")
    url = f"{'unix' if is_unix else scheme}://{rest}"
    try:
        parts = urlsplit(url)
        good = "@" not in parts.path + parts.query + parts.fragment and (is_path if is_unix else is_address)(parts)
    except ValueError:
        good = False
    if not good:
        raise ValueError(allowed)
    return url


def is_path(parts):
    """Of a unix socket: no host, and as long as the system takes it."""
    is_local = not parts.netloc.rpartition("@")[2]
    return is_local and 1 < len(os.fsencode(unquote(parts.path))) <= PATH_BYTES


def is_address(parts):
    """Of TCP; a port that is none raises ValueError."""
    return bool(parts.hostname) and parts.port != 0 and re.fullmatch(r"(/\d{0,6})?", parts.path) is not None


def where_is(url):
    """The URL without user, password and options, for the log."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def masked(url):
    """A URL that may be wrong in any way, without what could be a password."""
    scheme, rest = re.fullmatch(r"([A-Za-z+]*://)?(.*)", url, re.DOTALL).groups("")
    host = rest.rpartition("@")[2].partition("?")[0]
    is_plain = re.fullmatch(r"([\w.\-\[\]]+(:\d{0,6})?)?(/[^:]*)?", host)
    return f"{scheme}{'***@' if '@' in rest else ''}{host if is_plain else '***'}"


def password_in(path):
    """The password in this file, without the end of its line."""
    try:
        with open(path, "rb") as f:
            password = f.read(PASSWORD_BYTES)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    password = password[:-1] if password.endswith(b"\n") else password
    if not password or len(password) == PASSWORD_BYTES or b"\0" in password:
        raise ValueError("holds no password")
    return password


def prefix_of(text):
    if not re.fullmatch(r"[!-z|~]{1,64}", text):
        raise ValueError("must be 1 to 64 visible ASCII characters other than { and }")
    return text


def word(text):
    if not text.isprintable() or not 1 <= len(text.encode("utf-8", "surrogateescape")) <= 128:
        raise ValueError("must be 1 to 128 bytes without control characters")
    return text


def scope_of(text):
    if text not in ("prompt", "stock"):
        raise ValueError("must be prompt or stock")
    return text


def time_ms(text):
    return quantity(text, TIME_UNITS, 1, 604_800_000, "must be a time with unit ms, s, m or h, from 1ms to 168h")


def log_events(text):
    return quantity(text, {"": 1}, 1, 1 << 20, "must be a whole number, from 1 to 1048576")


def queue_events(text):
    return quantity(text, {"": 1}, 1, 1 << 20, "must be a whole number, from 1 to 1048576")


def queue_bytes(text):
    return quantity(text, BYTE_UNITS, 1 << 20, 1 << 40,
                    "must be bytes, or a size with unit KiB, MiB or GiB, from 1MiB to 1024GiB")


def quantity(text, units, least, most, allowed):
    found = re.fullmatch(r"([0-9]{1,18})([A-Za-z]*)", text)
    if not found or found[2] not in units:
        raise ValueError(allowed)
    value = int(found[1]) * units[found[2]]
    if not least <= value <= most:
        raise ValueError(allowed)
    return value


def own_id():
    """<host name>:<port>, the port of this ComfyUI when it has read its command line."""
    arguments = getattr(sys.modules.get("comfy.cli_args"), "args", None)
    port = getattr(arguments, "port", None)
    return socket.gethostname() if port is None else f"{socket.gethostname()}:{port}"
