"""Events of Redis to WebSockets, in Python with aiohttp and redis-py, on uvloop: server.py PORT REDIS_PATH

What tests/bench/ measures the relay beside: each event is made into JSON once, and sent to the sockets of its session or to
all, one after the other. No limits, replay, pings or acknowledgements; text events only.
"""
import asyncio
import contextlib
import sys

import msgpack
import orjson
import redis.asyncio
import uvloop
from aiohttp import web

EVERYBODY = b"comfy:events"


class Session:
    def __init__(self):
        self.sockets, self.subscribed = set(), asyncio.Event()


class Relay:
    def __init__(self, path):
        self.pubsub = redis.asyncio.Redis(unix_socket_path=path).pubsub()
        self.sockets, self.sessions = set(), {}  # sessions by channel

    async def listen(self):
        async for message in self.pubsub.listen():
            session = self.sessions.get(message["channel"])
            if message["type"] == "subscribe" and session:
                session.subscribed.set()
            elif message["type"] == "message" and message["channel"] == EVERYBODY:
                await send_to(self.sockets, frame_of(message["data"]))
            elif message["type"] == "message" and session:
                await send_to(session.sockets, frame_of(message["data"]))

    async def join(self, channel, ws):
        session = self.sessions.get(channel)
        if not session:
            session = self.sessions[channel] = Session()
            await self.pubsub.subscribe(channel)
        self.sockets.add(ws)
        session.sockets.add(ws)
        await session.subscribed.wait()

    async def leave(self, channel, ws):
        session = self.sessions[channel]
        self.sockets.discard(ws)
        session.sockets.discard(ws)
        if not session.sockets:
            del self.sessions[channel]
            await self.pubsub.unsubscribe(channel)

    async def serve(self, request):
        sid = request.query["clientId"]
        channel = b"comfy:sid:{%s}" % sid.encode()
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        try:
            await self.join(channel, ws)
            await ws.send_str(text({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": sid}}))
            async for _ in ws:
                pass  # what clients say is of no interest, but that they go is
        finally:
            await self.leave(channel, ws)
        return ws


def text(event):
    return orjson.dumps(event).decode()


def frame_of(message):
    unpacker = msgpack.Unpacker()
    unpacker.feed(message)
    *_, event = unpacker  # an id may stand before it
    return text({"type": event["type"], "data": event["data"]})


async def send_to(sockets, frame):
    for ws in list(sockets):
        with contextlib.suppress(ConnectionError):
            await ws.send_str(frame)


async def main(port, path):
    relay = Relay(path)
    await relay.pubsub.subscribe(EVERYBODY)
    app = web.Application()
    app.router.add_get("/ws", relay.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(port), backlog=4096).start()
    await relay.listen()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
