"""What adapters/EXAMPLES.md says of Python: a line for each, name and MessagePack in base64, or that it raises."""
import base64
import datetime

import msgpack
import numpy


def say(name, value, **options):
    try:
        packed = base64.b64encode(msgpack.packb(value, **options)).decode()
    except (TypeError, OverflowError, ValueError):
        packed = "raises"
    print(f"{name}\t{packed}")


say("whole", 7.0)
say("seed", 2**64 - 1)
say("least", -(2**63))
say("beyond", 2**64)
say("beyond as float", float(2**64))
say("numpy", numpy.int64(7))
say("numpy item", numpy.int64(7).item())
say("set", {1})
say("datetime", datetime.datetime(2023, 11, 14))
say("surrogate", "\ud800")
say("surrogatepass", "\ud800", unicode_errors="surrogatepass")
