"use strict";
// The socket: opened as ComfyUI's frontend does, feature flags first, and again 300 ms after it was lost.

const RETRY_MS = 300, SLOW_RETRY_MS = 2000, FAST_TRIES = 20, REPEATS_MS = 3000, REPEATS_FRAMES = 500;
const CLOSE_CODES = { 1000: "as agreed", 1001: "the other side goes away", 1002: "protocol error", 1003: "data of a kind that is not taken",
  1005: "no code was told", 1006: "cut, without a close frame", 1007: "text that is not UTF-8", 1008: "against a rule", 1009: "a message too long",
  1011: "an error of the server", 1012: "the relay restarts or drains", 1013: "try again later" };

const link = {
  socket: null,
  state: "off", // connecting, open, lost
  tries: 0, // since it was last open
  timer: null,
  opens: 0,
  openedAt: null,
  lostAt: null,
  isFirst: false, // no frame has come on this socket
  hasFlag: false, // as told on this socket
  flagsSent: null,
  flagsReceived: null,
  before: new Set(), // the texts of the newest frames before the cut, until REPEATS_MS after it
};

function linkAddress() {
  const { relay, sid } = settings;
  return relay + (sid === "" ? "" : `${relay.includes("?") ? "&" : "?"}clientId=${asUrlPart(sid)}`);
}

function linkStart() {
  linkStop();
  link.tries = 0;
  link.lostAt = null;
  linkOpen();
}

// Nothing that the old socket still says is heard.
function linkStop() {
  clearTimeout(link.timer);
  link.before.clear();
  const { socket } = link;
  link.socket = null;
  if (socket) {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
    if (link.state === "open") {
      linkMark("close", "closed by this page", { code: 1000 });
    }
  }
  linkState("off");
}

function linkState(state) {
  link.state = state;
  draw();
}

function linkMark(type, summary, facts, notes = []) {
  const frame = storeAdd("mark", type, "", summary, notes);
  frame.facts = facts;
  return frame;
}

function linkOpen() {
  linkState("connecting");
  link.tries++;
  try {
    link.socket = new WebSocket(linkAddress());
  } catch (e) {
    linkState("off");
    panelHint(`${e.message} (a page that came by https: can only open wss: addresses)`);
    return;
  }
  link.socket.binaryType = "arraybuffer";
  link.socket.onopen = linkOnOpen;
  link.socket.onmessage = ({ data }) => typeof data === "string" ? linkOnText(data) : linkOnBinary(data);
  link.socket.onclose = linkOnClose;
}

function linkOnOpen() {
  const now = performance.now(), away = link.lostAt === null ? null : now - link.lostAt, { before } = link;
  link.opens++;
  Object.assign(link, { openedAt: now, lostAt: null, isFirst: true, flagsReceived: null, hasFlag: settings.flag });
  const tries = `${link.tries} ${link.tries === 1 ? "try" : "tries"}`;
  linkMark("connect", away === null ? settings.relay.replace(/\?.*/, "") : `back after ${durationText(away)}, ${tries}`,
    { path: link.socket.url, status: 101 });
  link.tries = 0;
  link.flagsSent = JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: settings.flag } });
  link.socket.send(link.flagsSent);
  storeAdd("out", "feature_flags", link.flagsSent, wireSnippet(link.flagsSent), []);
  setTimeout(() => before.clear(), REPEATS_MS);
  panelHint("");
  linkState("open");
}

function linkOnText(text) {
  const event = wireText(text);
  const frame = storeAdd("in", event.type, text, event.data === undefined ? text : linkSummary(text, event), event.notes);
  if (event.type === "feature_flags") {
    link.flagsReceived = clip(asText(event.data), 1000);
  }
  if (link.isFirst) {
    linkFirst(frame, event);
  }
  runApply(frame, event);
  link.isFirst = false;
  if (link.before.has(text)) {
    frame.notes.push("it came before the cut too");
  }
}

function linkSummary(text, event) {
  try {
    return wireSummary(text, event);
  } catch { // data of another shape than its type's
    return wireSnippet(text);
  }
}

// The relay's first word is a status with the session's id: the one it was given, or one that it has made.
function linkFirst({ notes }, { type, data }) {
  link.firstAfter = performance.now() - link.openedAt;
  if (type !== "status" || typeof data?.sid !== "string") {
    notes.push("the first frame of a socket is a status with its client id: this is none");
  } else if (settings.sid === "") {
    settingsTake({ sid: data.sid });
  } else if (data.sid !== settings.sid) {
    notes.push("another client id than the one that was asked for: clients take it");
  }
}

function linkOnBinary(buffer) {
  const binary = wireBinary(buffer);
  const frame = storeAdd("in", binary.type, buffer, wireBinarySummary(binary), binary.notes);
  if (link.isFirst) {
    linkFirst(frame, binary);
  }
  link.isFirst = false;
  try {
    runApplyBinary(frame, binary);
  } catch (e) {
    frame.notes.push(`its metadata is not what it should be: ${e.message}`);
  }
}

function linkOnClose({ code, reason, wasClean }) {
  const wasOpen = link.state === "open", now = performance.now();
  if (wasOpen) {
    link.lostAt = now;
    link.before = new Set(store.frames.slice(-REPEATS_FRAMES).filter((f) => f.way === "in" && typeof f.content === "string" &&
      f.type !== "status" && f.type !== "feature_flags").map((f) => f.content));
    link.lastClose = `${code}: ${CLOSE_CODES[code] ?? "no code of the standard"}${reason ? `, "${reason}"` : ""}`;
    linkMark("closed", `${link.lastClose}, after ${durationText(now - link.openedAt)}`, { code, reason, clean: wasClean });
  } else if (link.tries === 3) {
    linkMark("refused", "nobody there, or the upgrade was refused; trying on", { code });
  }
  if (link.tries >= 3) {
    panelHint("The relay cannot be reached, or refuses. A browser does not say which: is the address right, does /ready say 200, " +
      "does ws.origins allow this page's host, is a limit reached (the relay's log, comfy_relay_handshakes_rejected_total)?");
  }
  linkState("lost");
  link.timer = setTimeout(linkOpen, link.tries < FAST_TRIES ? RETRY_MS : SLOW_RETRY_MS);
}
