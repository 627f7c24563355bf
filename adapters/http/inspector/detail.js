"use strict";
// One frame, whole: JSON in lines with every digit as it came, a picture, bytes.

const TOKENS_SHOWN = 20000, CHARACTERS_SHOWN = 400000, BYTES_SHOWN = 1024;

let pictureUrl = null;

function detailShow(frame) {
  const binary = frame.content instanceof ArrayBuffer ? wireBinary(frame.content) : null;
  $("detail").hidden = false;
  setText($("detail-title"), `#${frame.number} ${clip(frame.type, 60)}`);
  const facts = { in: "received", out: "sent", mark: "" }[frame.way];
  setText($("detail-facts"), [facts, clockText(wallClock(frame.at)), frame.way === "mark" ? "" : sizeText(frame.bytes),
    `socket ${frame.socket}`, listKind(frame) === "unknown" ? "not of ComfyUI itself" : "", detailLag(frame)].filter(Boolean).join(" · "));
  $("notes").replaceChildren(...frame.notes.map((note) => element("li", "", note)));
  detailPicture(binary?.image ?? null);
  if (binary) {
    $("content").replaceChildren(detailBinary(binary), detailHex(frame.content));
  } else {
    $("content").replaceChildren(frame.way === "mark" ? detailJson(JSON.stringify(frame.facts)) : detailText(frame));
  }
  $("content").scrollTop = 0;
  $("previous").disabled = !detailSame(-1);
  $("next").disabled = !detailSame(1);
  if (document.activeElement.disabled) { // it would hear no key
    $("detail-title").focus();
  }
}

function detailText({ type, content }) {
  return type === "not JSON" ? clip(content, CHARACTERS_SHOWN) : detailJson(content);
}

function detailHide() {
  $("detail").hidden = true;
  detailPicture(null);
}

// By both clocks: some events say when their worker made them.
function detailLag({ content, type, at }) {
  const told = /^execution_/.test(type) && typeof content === "string" && /"timestamp":(\d{12,14})\b/.exec(content)?.[1];
  return told ? `${Math.round(wallClock(at) - told)} ms after its timestamp` : "";
}

function detailPicture(image) {
  if (pictureUrl) {
    URL.revokeObjectURL(pictureUrl);
  }
  pictureUrl = image && URL.createObjectURL(new Blob([image.bytes], { type: image.mime }));
  $("picture").hidden = !image;
  $("picture").replaceChildren();
  if (image) {
    const img = element("img"), facts = element("span", "muted", `${image.mime}, ${sizeText(image.bytes.length)}`);
    img.src = pictureUrl;
    img.alt = "The frame's picture";
    img.onload = () => facts.append(`, ${img.naturalWidth} × ${img.naturalHeight}`);
    img.onerror = () => facts.append(": the browser cannot read it");
    if (image.skipped) {
      facts.append(`, after ${image.skipped} other bytes`);
    }
    $("picture").append(img, facts);
  }
}

function detailBinary(binary) {
  const parts = document.createDocumentFragment();
  parts.append(element("span", "dim", `code ${binary.code}, ${CODES[binary.code] ?? "of an extension"}\n`));
  if (binary.text !== undefined) {
    parts.append(`node ${binary.node}\n${clip(binary.text, 100000)}\n`);
  }
  if (binary.metaText !== undefined) {
    parts.append(binary.meta === undefined ? clip(binary.metaText, CHARACTERS_SHOWN) : detailJson(binary.metaText), "\n");
  }
  return parts;
}

function detailHex(buffer) {
  const bytes = new Uint8Array(buffer, 0, Math.min(buffer.byteLength, BYTES_SHOWN));
  let text = "\n";
  for (let at = 0; at < bytes.length; at += 16) {
    const line = [...bytes.subarray(at, at + 16)];
    text += `${at.toString(16).padStart(6, "0")}  ${line.map((b) => b.toString(16).padStart(2, "0")).join(" ").padEnd(48)} ` +
      `${line.map((b) => b > 31 && b < 127 ? String.fromCharCode(b) : ".").join("")}\n`;
  }
  return element("span", "dim", text + (buffer.byteLength > BYTES_SHOWN ? `… ${buffer.byteLength - BYTES_SHOWN} more bytes` : ""));
}

// Indented by its tokens and not by its values: a seed above 2^53 stays what it is. Strings with line breaks keep them in sight.
function detailJson(text) {
  const parts = document.createDocumentFragment(), token = /"(?:[^"\\]|\\[^])*(?:"|\\?$)|[{}[\],:]|[^\s{}[\],:"]+/g;
  const most = text.slice(0, CHARACTERS_SHOWN);
  const left = (at) => element("span", "dim", `\n… ${text.length - at} more characters: Copy has all`);
  let indent = 0, shown = 0, match, previous = "";
  while ((match = token.exec(most)) !== null) {
    if (++shown > TOKENS_SHOWN) {
      parts.append(left(match.index));
      return parts;
    }
    const [t] = match, line = () => `\n${"  ".repeat(Math.min(indent, 40))}`;
    if (t === "}" || t === "]") {
      indent--;
      parts.append(previous === "{" || previous === "[" ? t : line() + t);
    } else {
      if (previous === "{" || previous === "[" || previous === ",") {
        parts.append(line());
      }
      parts.append(detailToken(t, text, token.lastIndex));
      indent += t === "{" || t === "[" ? 1 : 0;
    }
    previous = t;
  }
  if (most.length < text.length) {
    parts.append(left(most.length));
  }
  return parts;
}

function detailToken(t, text, end) {
  if (t === ":") {
    return ": ";
  }
  if (t[0] === '"') {
    return element("span", /\s*:/y.exec(text.slice(end, end + 4)) ? "key" : "string", t);
  }
  return /^[-\d]/.test(t) ? element("span", "digits", t) : /^[a-z]/i.test(t) ? element("span", "word", t) : t;
}

// The nearest frame of the selected one's type in the list, before (-1) or after it (1).
function detailSame(by) {
  const { view, selected } = list;
  for (let i = listIndex(selected) + by; selected && i >= 0 && i < view.length; i += by) {
    if (view[i].type === selected.type) {
      return view[i];
    }
  }
  return null;
}

function detailOnKey(e) {
  if (e.key === "Escape") {
    $("list").focus();
  }
}

function detailStart() {
  const go = (by) => () => {
    const frame = detailSame(by);
    frame && listSelect(frame);
  };
  $("detail").addEventListener("keydown", detailOnKey);
  $("previous").addEventListener("click", go(-1));
  $("next").addEventListener("click", go(1));
  $("close").addEventListener("click", () => {
    listSelect(null);
    $("list").focus();
  });
  $("copy").addEventListener("click", () => {
    const { content, way, facts } = list.selected;
    copyText(way === "mark" ? JSON.stringify(facts) : typeof content === "string" ? content : base64(content));
  });
}
