"""One connection to Redis, used command by command: so it is always known which ones were answered."""
import inspect
import socket
from urllib.parse import quote

import redis
from redis import connection as redis_connection
from redis.backoff import NoBackoff
from redis.retry import Retry

SLICE_BYTES = 64 << 10  # are written in ANSWER_S at most, so a slow line costs time only
ANSWER_S = 10  # below the relays' worker.timeout; a Redis that hangs for less doubles no event
CONNECT_S = 2
OF_THE_URL = ("host", "port", "path", "db", "username", "password", "connection_class")


class Lost(Exception):
    """The connection cannot be made, or has broken: what was not answered may or may not have been done. `is_cut`: the
    other side has ended it."""

    is_cut = False


class Link:
    """Not thread-safe. ValueError when the URL's options are none of redis-py's."""

    def __init__(self, settings):
        self.is_connected, self._secrets = False, ()
        try:
            options = redis_connection.parse_url(settings.url)
            make = options.pop("connection_class", redis_connection.Connection)
            for name in options:
                if name not in OF_THE_URL and not (name.startswith("ssl_") and name in known_options(make)):
                    raise ValueError(f"its option {name!r} is not known")
            if settings.password is not None:
                options["password"] = settings.password
            self._secrets = secrets_of(options.get("password"))
            self._connection = make(**options, **fixed_options(make))
        except (ValueError, redis.RedisError) as error:
            raise ValueError(f"COMFY_RELAY_REDIS_URL: {self.told(error)}; after the ? there may be db=NUMBER, and with "
                             "rediss:// redis-py's ssl_... options") from None

    def connect(self):
        """Unless it is connected. Raises Lost."""
        if not self.is_connected:
            self._guarded(self._connection.connect)
            self.is_connected = True

    def packed(self, commands):
        """These, each a tuple, as they are sent. redis.DataError when one holds what is neither text nor a number."""
        return self._connection.pack_commands(commands)

    def send(self, packed):
        """Sends packed commands; an answer must be read for each. Raises Lost."""
        data = b"".join(packed)
        slices = [data[i:i + SLICE_BYTES] for i in range(0, len(data), SLICE_BYTES)]
        self._guarded(self._connection.send_packed_command, slices, check_health=False)

    def answer(self):
        """The next answer: bytes, a number, None, a list, or the redis.ResponseError that Redis gave. Raises Lost."""
        try:
            return self._guarded(self._connection.read_response, disable_decoding=True)
        except redis.ResponseError as error:
            return error

    def close(self):
        """What is connected no more; the next connect() makes it anew."""
        self.is_connected = False
        try:
            self._connection.disconnect()
        except Exception:
            pass  # it is gone either way

    def told(self, error):
        """The error as text without the password, which a Redis before version 6 may quote."""
        text = f"{error}" or type(error).__name__
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _guarded(self, act, *args, **options):
        try:
            return act(*args, **options)
        except redis.ResponseError as error:
            if self.is_connected and not is_not_now(error):
                raise
            self._break(error)
        except Exception as error:
            self._break(error)

    def _break(self, error):
        self.close()
        lost = Lost(self.told(error))
        lost.is_cut = isinstance(error, redis.ConnectionError)
        raise lost from None


def is_not_now(error):
    """Redis kept nothing and may do so later: it runs a long script, is a replica without its master, or has become
    one and will be a master again, or its address another's."""
    later = redis.exceptions.MasterDownError, redis.exceptions.ReadOnlyError
    return str(error).startswith("BUSY ") or isinstance(error, later)


def fixed_options(make):
    """For a connection of this class: nothing is tried twice or said in passing, answers are bytes. What is written is on
    its way but for a slice, where the system knows how: the time for an answer begins with no megabytes unsent."""
    options = {"socket_timeout": ANSWER_S, "socket_connect_timeout": CONNECT_S, "retry": Retry(NoBackoff(), 0)}
    known = known_options(make)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        options.update(socket_keepalive=True, socket_keepalive_options={socket.TCP_NOTSENT_LOWAT: SLICE_BYTES})
    if "protocol" in known:
        options["protocol"] = 2
    if "driver_info" in known:
        options["driver_info"] = None
    elif "lib_name" in known:
        options.update(lib_name=None, lib_version=None)
    return {name: value for name, value in options.items() if name in known}


def known_options(make):
    """The names of the arguments that it takes: its own, and where it hands others on, those of its base classes."""
    names = set()
    for base in (base for base in make.__mro__ if "__init__" in vars(base)):
        arguments = inspect.signature(base.__init__).parameters
        names.update(arguments)
        if not any(a.kind is a.VAR_KEYWORD for a in arguments.values()):
            break
    return names


def secrets_of(password):
    if not password:
        return ()
    text = password.decode("utf-8", "replace") if isinstance(password, bytes) else password
    return tuple(s for s in (text, quote(text, safe="")) if s)
