"use strict";
// What a frame is: read by the same rules as ComfyUI's clients do, and what is odd about it.

const KNOWN_TYPES = new Set(["status", "execution_start", "execution_cached", "executing", "progress", "progress_state", "executed",
  "execution_success", "execution_error", "execution_interrupted", "feature_flags", "crystools.monitor", "logs", "notification",
  "display_component", "progress_text", "asset_download", "VHS_latentpreview"]);
const CODES = { 1: "preview", 2: "unencoded preview", 3: "text", 4: "preview+meta" };
const MAGIC = [["image/jpeg", [0xff, 0xd8, 0xff]], ["image/png", [0x89, 0x50, 0x4e, 0x47]], ["image/webp", [0x52, 0x49, 0x46, 0x46]],
  ["image/gif", [0x47, 0x49, 0x46, 0x38]]];
const utf8 = new TextDecoder(), encoder = new TextEncoder();

// {type, data, notes} of a text frame; without data when it is no event.
function wireText(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch (e) {
    return { type: "not JSON", notes: [`not JSON: ${e.message}`] };
  }
  if (message === null || typeof message !== "object" || typeof message.type !== "string") {
    return { type: "no event", notes: ["not an object with a type: clients ignore it, or fail"] };
  }
  const notes = [];
  if (!text.startsWith('{"type":')) {
    notes.push('does not begin with {"type": — some clients take it for a picture');
  }
  return { type: message.type, data: message.data, notes };
}

// {type, code, node, prompt, meta, text, image: {bytes, mime}, notes} of a binary frame.
function wireBinary(buffer) {
  if (buffer.byteLength < 5) {
    return { type: "binary ?", code: -1, notes: ["shorter than 5 bytes: some clients fail on it"] };
  }
  const view = new DataView(buffer), code = view.getUint32(0);
  const frame = { type: `${code} ${CODES[code] ?? "binary"}`, code, notes: [] };
  if (code === 3 || code === 4) {
    const length = view.byteLength >= 8 ? view.getUint32(4) : Infinity;
    if (length > buffer.byteLength - 8) {
      frame.notes.push("its inner length goes beyond its end");
      return frame;
    }
    const part = new Uint8Array(buffer, 8, length), rest = new Uint8Array(buffer, 8 + length);
    (code === 3 ? wireNodeText : wireMetadata)(frame, part, rest);
  } else if (code === 1) {
    frame.image = wireImage(new Uint8Array(buffer, Math.min(8, buffer.byteLength)));
  } else {
    frame.image = wireImage(new Uint8Array(buffer, 4));
    if (code === 2) {
      frame.notes.push("code 2 is never on the wire");
    }
  }
  return frame;
}

function wireNodeText(frame, node, text) {
  frame.node = utf8.decode(node);
  frame.text = utf8.decode(text);
}

function wireMetadata(frame, json, image) {
  frame.metaText = utf8.decode(json);
  try {
    frame.meta = JSON.parse(frame.metaText);
    frame.node = frame.meta?.node_id === undefined ? undefined : asText(frame.meta.node_id);
    frame.prompt = frame.meta?.prompt_id;
  } catch (e) {
    frame.notes.push(`its metadata is not JSON: ${e.message}`);
  }
  frame.image = wireImage(image);
}

// The picture in a payload; some extensions put up to 24 bytes before it.
function wireImage(bytes) {
  for (let at = 0; at < 64 && at + 4 < bytes.length; at++) {
    for (const [mime, magic] of MAGIC) {
      if (magic.every((b, i) => bytes[at + i] === b)) {
        return { bytes: bytes.subarray(at), mime, skipped: at };
      }
    }
  }
  return null;
}

function wireBytes(text) {
  return /[^\0-\x7f]/.test(text) ? encoder.encode(text).length : text.length;
}

// What a row of the list says of a frame.
function wireSummary(text, { type, data }) {
  const d = data ?? {};
  switch (type) {
  case "status": {
    const queue = d.status?.exec_info?.queue_remaining;
    return `queue ${queue}${d.sid === undefined ? "" : `, sid ${d.sid}`}`;
  }
  case "progress_state":
    return wireStates(d);
  case "progress":
    return `node ${d.node}: ${d.value} / ${d.max}`;
  case "executing":
    return d.node === null ? "node null: the end" : `node ${d.node}`;
  case "execution_error":
    return `node ${d.node_id} (${d.node_type}): ${d.exception_type}: ${d.exception_message}`;
  default:
    return wireSnippet(text);
  }
}

function wireStates(data) {
  const nodes = Object.values(data.nodes ?? {}), done = nodes.filter((n) => n?.state === "finished").length;
  const running = nodes.filter((n) => n?.state === "running").map((n) => `${n.node_id} at ${n.value} / ${n.max}`);
  return `${done} of ${nodes.length} finished${running.length ? `, ${running.join(", ")}` : ""}`;
}

function wireSnippet(text) {
  const at = text.indexOf('"data":');
  return clip(at < 0 ? text : text.slice(at + 7, at + 300).replace(/\}$/, ""), 200);
}

function wireBinarySummary(frame) {
  if (frame.text !== undefined) {
    return `node ${frame.node}: ${frame.text}`;
  }
  const picture = frame.image ? `${frame.image.mime.slice(6)}, ${sizeText(frame.image.bytes.length)}` : "no picture known";
  return (frame.node === undefined ? "" : `node ${frame.node}: `) + picture;
}
