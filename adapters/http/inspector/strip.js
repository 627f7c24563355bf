"use strict";
// The last half minute at a glance: a tick for each frame, in a lane for its kind; a line through all where the socket came or went.

const STRIP_MS = 30000, LANES = ["run", "progress", "binary", "other"];

function stripLane({ way, type, content }) {
  if (way === "mark") {
    return -1;
  }
  if (typeof content !== "string") {
    return 2;
  }
  return type.startsWith("progress") ? 1 : type === "status" || type.startsWith("exec") ? 0 : 3;
}

function stripNow() {
  return list.pausedAt === null ? performance.now() : list.pausedTime;
}

function stripDraw() {
  const canvas = $("strip"), ratio = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
  const style = getComputedStyle(canvas), colour = (name) => style.getPropertyValue(`--${name}`);
  const context = canvas.getContext("2d"), now = stripNow(), lane = height / LANES.length;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  context.scale(ratio, ratio);
  context.fillStyle = colour("line");
  for (let ms = 5000; ms < STRIP_MS; ms += 5000) {
    context.fillRect(stripX(now - ms, now, width), 0, 1, height);
  }
  context.fillStyle = colour("muted");
  context.font = "10px system-ui, sans-serif";
  context.fillText(`${STRIP_MS / 1000} s ago`, 6, 11);
  const colours = [colour("accent"), colour("muted"), colour("violet"), colour("warn")];
  const drawn = [];
  for (let i = store.frames.length - 1; i >= 0 && now - store.frames[i].at < STRIP_MS; i--) {
    const frame = store.frames[i], row = stripLane(frame), x = Math.round(stripX(frame.at, now, width));
    const kind = row === 2 ? "" : listKind(frame), isEnd = kind === "bad" || kind === "good";
    if (frame.at <= now && (isEnd || drawn[row] !== x)) { // one tick for all of a pixel
      drawn[row] = x;
      context.fillStyle = isEnd ? colour(kind) : colours[row];
      row < 0 ? context.fillRect(x - 1, 0, 2, height) : context.fillRect(x - 1, row * lane + 2, 2, lane - 3);
    }
  }
  if (list.selected) {
    context.fillStyle = colour("ink");
    context.fillRect(stripX(list.selected.at, now, width), 0, 1, height);
  }
}

const stripX = (at, now, width) => width - (now - at) / STRIP_MS * width;

// The frame of the list that is nearest to where the pointer is.
function stripOnClick({ offsetX }) {
  const at = stripNow() - (1 - offsetX / $("strip").clientWidth) * STRIP_MS;
  const nearest = list.view.reduce((best, f) => best && Math.abs(best.at - at) <= Math.abs(f.at - at) ? best : f, null);
  nearest && listSelect(nearest);
}

function stripStart() {
  drawers.push(stripDraw);
  $("strip").addEventListener("click", stripOnClick);
}
