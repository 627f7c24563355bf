// Events of Redis to WebSockets, on Node with ws and ioredis: server.mjs PORT REDIS_PATH
//
// What tests/bench/ measures the relay beside: an event is made into JSON once and sent to the sockets of its session, or to
// all. No limits, replay, pings or acknowledgements; text events only.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE, "package.json")); // where packages are installed
const { WebSocketServer } = require("ws");
const { Redis } = require("ioredis");
const { unpackMultiple } = require("msgpackr");

const EVERYBODY = "comfy:events";
const [port, path] = process.argv.slice(2);
const redis = new Redis(path);
const sessions = new Map(); // by channel: { sockets, subscribed }

function frameOf(message) {
  const { type, data } = unpackMultiple(message).at(-1); // an id may stand before the event
  return Buffer.from(JSON.stringify({ type, data }));
}

redis.on("messageBuffer", (channel, message) => {
  const name = channel.toString();
  const sockets = name === EVERYBODY ? server.clients : sessions.get(name)?.sockets ?? [];
  const frame = frameOf(message);
  for (const socket of sockets) socket.send(frame, { binary: false });
});

async function enter(channel, socket) {
  let session = sessions.get(channel);
  if (!session) {
    session = { sockets: new Set(), subscribed: redis.subscribe(channel) };
    sessions.set(channel, session);
  }
  session.sockets.add(socket);
  await session.subscribed;
}

function leave(channel, socket) {
  const { sockets } = sessions.get(channel);
  sockets.delete(socket);
  if (sockets.size > 0) return;
  sessions.delete(channel);
  redis.unsubscribe(channel);
}

async function onConnection(socket, request) {
  const sid = new URL(request.url, "ws://localhost").searchParams.get("clientId");
  const channel = `comfy:sid:{${sid}}`;
  socket.on("error", () => {}); // its close follows
  socket.on("close", () => leave(channel, socket));
  await enter(channel, socket);
  socket.send(JSON.stringify({ type: "status", data: { status: { exec_info: { queue_remaining: 0 } }, sid } }));
}

const http = createServer();
const server = new WebSocketServer({ server: http, path: "/ws" });
server.on("connection", onConnection);
await redis.subscribe(EVERYBODY);
http.listen(Number(port), "127.0.0.1", 4096);
