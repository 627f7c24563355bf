"use strict";
// The frames that are kept: a list with two bounds. Those that leave it are the oldest, a twentieth at a time.

const KEPT_FRAMES = 20000, KEPT_BYTES = 64 * 1024 * 1024;

const store = {
  frames: [],
  types: new Map(), // of those that are kept: type -> { count }
  bytes: 0, // of those that are kept
  count: 0, // of all that ever came
  received: 0, // their bytes
  dropped: 0,
  at: null, // when the newest came
};

// way: "in", "out", or "mark" for what happened to the socket. content: text, or the bytes of a binary frame.
function storeAdd(way, type, content, summary, notes) {
  const at = performance.now(), bytes = way === "mark" ? 0 : typeof content === "string" ? wireBytes(content) : content.byteLength;
  const frame = { number: ++store.count, at, after: store.at === null ? null : at - store.at, way, type, content, bytes,
    summary: clip(summary, 200), notes, socket: link.opens };
  store.at = at;
  store.frames.push(frame);
  store.bytes += bytes;
  if (way === "in") {
    store.received += bytes;
  }
  storeCount(frame, 1);
  if (store.frames.length > KEPT_FRAMES || store.bytes > KEPT_BYTES) {
    storeTrim();
  }
  draw();
  return frame;
}

function storeCount(frame, sign) {
  const of = store.types.get(frame.type) ?? { count: 0 };
  of.count += sign;
  store.types.set(frame.type, of);
  if (of.count === 0) {
    store.types.delete(frame.type);
  }
}

// The frame of that number, while it is kept.
function storeFind(number) {
  return store.frames[number - store.frames[0]?.number] ?? null;
}

function storeTrim() {
  let drop = 0;
  const left = () => store.frames.length - drop;
  while (left() > 1 && (left() > KEPT_FRAMES * 0.95 || store.bytes > KEPT_BYTES * 0.95)) {
    const frame = store.frames[drop++];
    store.bytes -= frame.bytes;
    storeCount(frame, -1);
  }
  store.frames.splice(0, drop);
  store.dropped += drop;
}

function storeClear() {
  store.dropped = store.bytes = 0;
  store.frames = [];
  store.types.clear();
  link.before.clear();
}

// As JSON lines, in the form of the recordings in tests/golden.
function storeExport(frames) {
  const lines = [{ op: "meta", name: "inspector", started: Math.round(pageBegan), what: "Exported by the inspector" },
    ...frames.map(storeLine)];
  return new Blob(lines.map((line) => `${JSON.stringify(line)}\n`), { type: "application/jsonl" });
}

function storeLine(frame) {
  const line = { client: `socket-${frame.socket}`, t_ms: Math.round(frame.at * 100) / 100 };
  if (frame.way === "mark") {
    return { ...line, op: frame.type, ...frame.facts };
  }
  if (typeof frame.content !== "string") {
    return { ...line, op: "binary", b64: base64(frame.content) };
  }
  return { ...line, op: frame.way === "in" ? "text" : "flags", text: frame.content };
}

function base64(buffer) {
  const bytes = new Uint8Array(buffer);
  let binary = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(binary);
}
