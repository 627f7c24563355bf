"use strict";
// What all the others use. Text from the wire becomes text nodes, never HTML.

const $ = (id) => document.getElementById(id);

function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) {
    made.className = className;
  }
  made.append(...content);
  return made;
}

// Writes only what has changed: an untouched text keeps a selection, and says nothing to a screen reader.
function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

function sizeText(bytes) {
  return bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function durationText(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : ms < 120000 ? `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`
    : `${Math.floor(ms / 60000)} min ${Math.round(ms % 60000 / 1000)} s`;
}

function clockText(ms) {
  const d = new Date(ms);
  return `${d.toTimeString().slice(0, 8)}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}

// Of a value from the wire, whatever it is: never fails.
const asText = (value) => typeof value === "string" ? value : JSON.stringify(value) ?? "";
const asNumber = (value) => Number.isFinite(value) ? value : null;
const asUrlPart = (text) => encodeURIComponent(text.toWellFormed ? text.toWellFormed() : text);
const asId = (value) => clip(asText(value), 200);

// Through JSON, since what slice() gives keeps the whole text in memory.
const clip = (text, length) => text.length > length ? `${JSON.parse(JSON.stringify(text.slice(0, length)))}…` : text;

// Time since the page began, and what the clock said then: differences stay right when the clock is set.
const pageBegan = Date.now() - performance.now();
const wallClock = (at) => pageBegan + at;

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not allowed, or a page that did not come by TLS or from this machine
    const area = element("textarea", "unseen");
    const back = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    back?.focus();
  }
  say("Copied.");
}

function say(text) {
  $("said").textContent = text;
}

// Drawing happens once for each picture of the screen, whatever came meanwhile.
const drawers = [];
let drawIsDue = false;

function drawSafely(drawer) {
  try {
    drawer();
  } catch (e) { // the others go on
    reportError(e);
  }
}

function draw() {
  if (!drawIsDue) {
    drawIsDue = true;
    requestAnimationFrame(() => {
      drawIsDue = false;
      drawers.forEach(drawSafely);
    });
  }
}
