"use strict";
// The list of frames: only the rows in sight are elements. `view` is what the filter lets through.

const ROW = 22, OVERSCAN = 6, TYPES_SHOWN = 40;
const KINDS = new Map(Object.entries({ execution_error: "bad", execution_interrupted: "warn", execution_success: "good", executed: "good",
  execution_start: "run", executing: "run", execution_cached: "run" }));

const list = {
  view: [],
  looked: 0, // the number of the newest frame that was held against the filter
  types: new Set(), // empty: all
  onlyNoted: false,
  wanted: [], // regular expressions: each must match, or must not
  unwanted: [],
  selected: null, // a frame
  follows: true,
  pausedAt: null, // the number of the newest frame then
  pausedTime: null,
  rows: [],
  chips: new Map(),
};

// ---- the filter

function listFilter(text) {
  const escaped = (word) => new RegExp(word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
  const words = text.split(/\s+/).filter((word) => word !== "" && word !== "-");
  let error = "";
  list.wanted = list.unwanted = [];
  if (/^\/.+\/$/.test(text.trim())) {
    try {
      list.wanted = [new RegExp(text.trim().slice(1, -1), "i")];
    } catch (e) {
      error = e.message;
    }
  } else {
    list.wanted = words.filter((word) => word[0] !== "-").map(escaped);
    list.unwanted = words.filter((word) => word[0] === "-").map((word) => escaped(word.slice(1)));
  }
  $("filter").setCustomValidity(error);
  $("filter").setAttribute("aria-invalid", error !== "");
  listAgain();
}

function listPasses(frame) {
  const found = (pattern) => pattern.test(frame.type) || pattern.test(frame.summary) ||
    typeof frame.content === "string" && pattern.test(frame.content);
  return (list.types.size === 0 || list.types.has(frame.type)) && (!list.onlyNoted || frame.notes.length > 0) &&
    list.wanted.every(found) && !list.unwanted.some(found);
}

function listAgain() {
  list.view = [];
  list.looked = 0;
  listRead();
  if (!list.follows) {
    const at = listIndex(list.selected);
    at >= 0 && listReveal(at);
  }
  draw();
}

function listRead() {
  const { frames } = store, newest = list.pausedAt ?? Infinity;
  for (let i = Math.max(0, list.looked + 1 - (frames[0]?.number ?? 0)); i < frames.length && frames[i].number <= newest; i++) {
    list.looked = frames[i].number;
    if (listPasses(frames[i])) {
      list.view.push(frames[i]);
    }
  }
}

// Frames that are no longer kept leave at the top; what is in sight stays where it is.
function listForget() {
  const oldest = store.frames[0]?.number ?? Infinity, { view } = list;
  let gone = 0;
  while (gone < view.length && view[gone].number < oldest) {
    gone++;
  }
  if (gone > 0) {
    view.splice(0, gone);
    $("list").scrollTop -= gone * ROW;
  }
}

function listIndex(frame) {
  let low = 0, high = list.view.length;
  while (frame && low < high) {
    const middle = low + high >> 1;
    list.view[middle].number < frame.number ? low = middle + 1 : high = middle;
  }
  return frame && list.view[low] === frame ? low : -1;
}

// ---- rows

function listDraw() {
  const box = $("list");
  listForget();
  listRead();
  $("rows").style.height = `${list.view.length * ROW}px`;
  box.setAttribute("aria-rowcount", list.view.length + 1);
  if (list.follows && list.pausedAt === null) {
    box.scrollTop = box.scrollHeight;
  }
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - OVERSCAN);
  const count = Math.ceil(box.clientHeight / ROW) + 2 * OVERSCAN;
  listRows(count);
  let active = null;
  for (let i = first; i < first + count; i++) {
    const row = list.rows[i % count];
    listRow(row, i);
    if (row.frame && row.frame === list.selected) {
      active = row.element.id;
    }
  }
  active ? box.setAttribute("aria-activedescendant", active) : box.removeAttribute("aria-activedescendant");
  listCounts();
}

function listRows(count) {
  while (list.rows.length > count) {
    list.rows.pop().element.remove();
  }
  while (list.rows.length < count) {
    const cells = ["number", "number", "number", "number", "type", "content"].map((name) => element("span", name));
    cells.forEach((cell) => cell.setAttribute("role", "gridcell"));
    const made = element("div", "row", ...cells);
    made.setAttribute("role", "row");
    list.rows.push({ element: made, cells });
    $("rows").append(made);
  }
}

function listRow(row, i) {
  const frame = list.view[i], made = row.element;
  made.hidden = !frame;
  const key = frame ? `${frame.number} ${i} ${frame === list.selected} ${frame.notes.length}` : "";
  if (row.key === key) {
    return;
  }
  Object.assign(row, { key, frame });
  if (!frame) {
    return;
  }
  made.id = `frame-${frame.number}`;
  made.className = `row ${frame.way} ${listKind(frame)}${frame.notes.length ? " noted" : ""}${frame.after > 1000 ? " late" : ""}`;
  made.style.top = `${i * ROW}px`;
  made.setAttribute("aria-rowindex", i + 2);
  made.setAttribute("aria-selected", frame === list.selected);
  const after = frame.after === null ? "" : frame.after < 1 ? "0" : durationText(frame.after);
  const texts = [frame.number, clockText(wallClock(frame.at)), after, frame.way === "mark" ? "" : frame.bytes.toLocaleString("en"),
    `${frame.way === "out" ? "↑ " : ""}${clip(frame.type, 60)}`, frame.notes.length ? `! ${frame.notes[0]} — ${frame.summary}` : frame.summary];
  texts.forEach((text, at) => setText(row.cells[at], String(text)));
}

function listKind({ way, type, content }) {
  if (way === "mark") {
    return type === "connect" ? "good" : "bad";
  }
  if (typeof content !== "string") {
    return /^[134] /.test(type) ? "binary" : "unknown";
  }
  return KINDS.get(type) ?? (KNOWN_TYPES.has(type) || type.startsWith("assets.") ? "" : "unknown");
}

// ---- what stands above the rows

function listCounts() {
  const waiting = list.pausedAt === null ? 0 : store.count - list.pausedAt;
  setText($("shown"), `${list.view.length.toLocaleString("en")} of ${store.frames.length.toLocaleString("en")}` +
    (store.dropped ? `, ${store.dropped.toLocaleString("en")} older dropped` : "") +
    (waiting ? `, ${waiting.toLocaleString("en")} wait` : ""));
  listChip("! noted", store.frames.reduce((n, frame) => n + (frame.notes.length > 0), 0), list.onlyNoted, () => list.onlyNoted = !list.onlyNoted);
  for (const type of [...store.types.keys()].slice(0, TYPES_SHOWN)) {
    listChip(type, store.types.get(type).count, list.types.has(type),
      () => list.types.has(type) ? list.types.delete(type) : list.types.add(type));
  }
  for (const [name, chip] of list.chips) {
    if (name === "! noted" || store.types.has(name)) {
      continue;
    }
    setText(chip.lastChild, "0");
    if (!list.types.has(name)) {
      chip.remove();
      list.chips.delete(name);
    }
  }
}

function listChip(name, count, isOn, toggle) {
  let chip = list.chips.get(name);
  if (!chip) {
    chip = element("button", "chip", element("span", "", clip(name, 40)), " ", element("b"));
    chip.addEventListener("click", () => {
      toggle();
      listAgain();
    });
    list.chips.set(name, chip);
    $("types").append(chip);
  }
  setText(chip.lastChild, count.toLocaleString("en"));
  chip.hidden = count === 0 && !isOn;
  chip.setAttribute("aria-pressed", isOn);
}

// ---- what a person does

function listSelect(frame, index = listIndex(frame)) {
  const follows = frame === null || index === list.view.length - 1 && list.follows;
  list.selected = frame;
  frame ? detailShow(frame) : detailHide(); // first, for it takes some of the list's room
  if (index >= 0) {
    listReveal(index);
  }
  listFollow(follows);
}

function listReveal(index) {
  const box = $("list"), above = index * ROW, room = box.clientHeight - ROW; // its head stays on top
  if (above < box.scrollTop) {
    box.scrollTop = above;
  } else if (above + ROW > box.scrollTop + room) {
    box.scrollTop = above + ROW - room;
  }
}

function listFollow(follows) {
  list.follows = follows;
  if (follows && list.pausedAt === null) { // at once, else a scroll event that is under way takes it back
    $("list").scrollTop = $("list").scrollHeight;
  }
  $("follow").setAttribute("aria-pressed", follows);
  draw();
}

function listPause(isPaused) {
  list.pausedAt = isPaused ? store.count : null;
  list.pausedTime = isPaused ? performance.now() : null;
  $("pause").setAttribute("aria-pressed", isPaused);
  draw();
}

function listMove(by) {
  const at = listIndex(list.selected), last = list.view.length - 1, isFar = Math.abs(by) === Infinity;
  const from = at >= 0 || isFar ? Math.max(0, at) + by : by < 0 ? last : Math.floor($("list").scrollTop / ROW);
  const to = Math.min(last, Math.max(0, from));
  if (to >= 0) {
    listSelect(list.view[to], to);
  }
}

function listOnKey(e) {
  const page = Math.floor($("list").clientHeight / ROW) - 2;
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  if (e.ctrlKey || e.altKey || e.metaKey) {
    return;
  }
  if (Object.hasOwn(moves, e.key)) {
    e.preventDefault();
    listMove(moves[e.key]);
  } else if (e.key === "Enter" && list.selected) {
    $("detail-title").focus();
  } else if (e.key === "Escape") {
    listSelect(null);
  }
}

function listOnScroll() {
  const box = $("list"), isAtEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 4;
  if (isAtEnd !== list.follows && (list.selected === null || !isAtEnd)) {
    listFollow(isAtEnd);
  }
  draw();
}

function listOnClick(e) {
  const made = e.target.closest(".row");
  const row = list.rows.find(({ element }) => element === made);
  if (row?.frame) {
    listSelect(row.frame);
  }
}

function listStart() {
  drawers.push(listDraw);
  $("list").addEventListener("keydown", listOnKey);
  $("list").addEventListener("scroll", listOnScroll, { passive: true });
  $("list").addEventListener("click", listOnClick);
  $("filter").addEventListener("input", (e) => listFilter(e.target.value));
  $("follow").addEventListener("click", () => listFollow(!list.follows));
  $("pause").addEventListener("click", () => listPause(list.pausedAt === null));
  $("clear").addEventListener("click", () => {
    storeClear();
    listAgain();
    listSelect(null);
    say("Frames cleared.");
  });
  $("export").addEventListener("click", listExport);
  new ResizeObserver(draw).observe($("list"));
}

function listExport() {
  const url = URL.createObjectURL(storeExport(list.view)), save = element("a");
  save.href = url;
  save.download = `comfy-relay-${new Date().toISOString().replace(/\D/g, "").slice(0, 14)}.jsonl`;
  save.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  say(`${list.view.length} frames exported.`);
}
