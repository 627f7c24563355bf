"use strict";
// All but the list: the connection, the run that is shown, results, earlier runs.

const NODES_SHOWN = 300;
const OUTCOMES = { running: "running", success: "done", ended: "ended", error: "failed", interrupted: "interrupted" };
const STATES = { off: "Not connected", connecting: "Connecting", open: "Connected", lost: "Connection lost, trying again",
  refused: "Not reached, trying again" };

const panel = { run: null, rows: new Map(), results: 0, pictures: [], figures: new Map(), error: null, runs: "", isAsked: false };

function panelHint(text) {
  setText($("hint"), text);
  $("hint").hidden = text === "";
}

// Draws also while the page is held still: a person has asked for it.
function panelAsk() {
  panel.isAsked = true;
  draw();
}

function panelDraw() {
  panelLink();
  if (list.pausedAt !== null && !panel.isAsked) {
    return;
  }
  panel.isAsked = false;
  const r = runShown();
  $("no-run").hidden = r !== null;
  setText($("example"), panelExample());
  if (r !== panel.run) {
    panelChange(r);
  }
  setText($("queue"), run.queue || "–");
  if (r) {
    panelRun(r);
    panelError(r);
    panelNodes(r);
    panelPreviews(r);
    panelResults(r);
  }
  panelRuns();
}

function panelChange(r) {
  panel.run = r;
  panel.rows.clear();
  panel.figures.clear();
  panel.results = -1;
  panel.pictures = [];
  panel.error = null;
  $("nodes").replaceChildren();
  $("previews").replaceChildren();
  $("results").replaceChildren();
  $("error").hidden = $("results-box").hidden = true;
  $("now").hidden = r === null;
  if (!r) {
    ["outcome", "prompt", "elapsed"].forEach((id) => setText($(id), ""));
    delete $("outcome").dataset.outcome;
    $("runs-box").hidden = true;
  }
}

// ---- the connection

// One word for all tries, so that it is said once.
function panelState() {
  if (link.state === "off" || link.state === "open") {
    return link.state;
  }
  return link.lostAt !== null ? "lost" : link.state === "lost" || link.tries > 1 ? "refused" : "connecting";
}

// A line for a shell that publishes something for this session.
function panelExample() {
  const event = JSON.stringify({ type: "executing", sid: settings.sid, data: { node: "3", display_node: "3", prompt_id: "p1" } });
  return `echo '${event.replaceAll("'", "'\\''")}' | comfy-publish`;
}

function panelLink() {
  const isOpen = link.state === "open", state = panelState();
  setText($("state"), STATES[state]);
  $("state").dataset.state = state;
  setText($("frame-count"), store.count.toLocaleString("en"));
  setText($("byte-count"), sizeText(store.received));
  setText($("socket-count"), String(link.opens));
  const facts = [["address", settings.relay], ["client id", settings.sid || "not yet given"],
    ["open for", isOpen ? durationText(performance.now() - link.openedAt) : "not open"],
    ["first frame", isOpen && link.firstAfter !== undefined && !link.isFirst ? `after ${durationText(link.firstAfter)}` : "–"],
    ["last close", link.lastClose ?? "–"], ["flags sent", link.flagsSent ?? "–"],
    ["flags received", link.flagsReceived ?? (isOpen ? "no answer yet" : "–")],
    ["kept", `${store.frames.length.toLocaleString("en")} of at most ${KEPT_FRAMES.toLocaleString("en")} frames, ` +
      `${sizeText(store.bytes)} of ${sizeText(KEPT_BYTES)}`]];
  if ($("link").children.length === 0) {
    $("link").append(...facts.map(([name]) => element("div", "", element("dt", "", name), element("dd"))));
  }
  facts.forEach(([, value], i) => setText($("link").children[i].lastChild, value));
}

// ---- the run

function panelRun(r) {
  setText($("outcome"), OUTCOMES[r.outcome]);
  $("outcome").dataset.outcome = r.outcome;
  setText($("prompt"), clip(r.id, 60));
  const states = [...r.nodes.values()].filter((node) => node.state === "finished" || node.state === "cached").length;
  setText($("elapsed"), `${durationText((r.ended ?? performance.now()) - r.began)}, ${states} of ${r.nodes.size} nodes` +
    `${r.cached ? `, ${r.cached} cached` : ""}${r.isWhole ? "" : ", its start was not seen"}`);
  document.title = `${OUTCOMES[r.outcome]} · comfy-relay inspector`;
}

function panelError({ error }) {
  $("error-frame").hidden = !error || !storeFind(error.frame);
  if (error === panel.error) {
    return;
  }
  panel.error = error;
  setText($("error-title"), error.title);
  setText($("error-message"), error.message);
  setText($("traceback"), error.traceback);
  $("traceback").hidden = error.traceback === "";
  $("error").hidden = false;
}

function panelNodes(r) {
  let isNew = null;
  for (const node of r.nodes.values()) {
    let row = panel.rows.get(node.id);
    if (!row && panel.rows.size < NODES_SHOWN) {
      row = panelNodeRow(node);
      panel.rows.set(node.id, row);
      $("nodes").append(row.element);
    }
    if (row && panelNode(row, node) && node.state === "running") {
      isNew = row.element;
    }
  }
  const more = r.nodes.size - panel.rows.size;
  setText($("more-nodes"), more > 0 ? `and ${more} more` : "");
  $("more-nodes").hidden = more <= 0;
  if (isNew && !$("nodes-scroll").matches(":hover, :focus-within")) {
    panelReveal($("nodes-scroll"), isNew);
  }
}

function panelReveal(box, row) {
  const bottom = row.offsetTop + row.offsetHeight - box.clientHeight;
  if (row.offsetTop < box.scrollTop || bottom > box.scrollTop) {
    box.scrollTop = bottom + 8;
  }
}

function panelNodeRow(node) {
  const bar = element("progress"), value = element("span", "value"), text = element("span", "text"), time = element("td", "number");
  bar.setAttribute("aria-label", `node ${clip(node.id, 60)}`);
  const state = element("span", "badge"), id = element("code", "", clip(node.id, 60)), display = element("span", "muted");
  const name = element("th", "", id, display);
  name.scope = "row";
  return { element: element("tr", "", name, element("td", "", state), element("td", "", bar, value, text), time),
    state, bar, value, text, time, display, key: null };
}

// True when something has changed but the time.
function panelNode(row, node) {
  const time = node.began == null ? "" : durationText((node.ended ?? performance.now()) - node.began);
  setText(row.time, time);
  const key = `${node.state} ${node.value} ${node.max} ${node.text} ${node.display}`;
  if (row.key === key) {
    return false;
  }
  row.key = key;
  setText(row.state, node.state);
  row.state.dataset.outcome = node.state;
  setText(row.display, node.display && node.display !== node.id ? ` in ${clip(node.display, 40)}` : "");
  setText(row.text, node.text);
  const hasBar = node.value !== null && node.max > 0;
  row.bar.hidden = !hasBar;
  setText(row.value, hasBar && node.max !== 1 ? `${node.value} / ${node.max}` : "");
  if (hasBar) {
    row.bar.max = node.max;
    row.bar.value = node.value;
  }
  return true;
}

function panelPreviews(r) {
  for (const preview of r.previews.values()) {
    if (preview.isNew || !panel.figures.has(preview.node)) { // the latter in a run that is shown again
      preview.isNew = false;
      preview.picture.bytes && panelPreview(panelFigure(preview.node), preview);
    }
  }
  for (const [node, figure] of panel.figures) {
    if (!r.previews.has(node)) {
      figure.element.remove();
      panel.figures.delete(node);
    }
  }
}

function panelFigure(node) {
  let figure = panel.figures.get(node);
  if (!figure) {
    const img = element("img"), caption = element("figcaption");
    img.alt = `Preview of node ${clip(node, 60)}`;
    figure = { element: element("figure", "", img, caption), img, caption };
    panel.figures.set(node, figure);
    $("previews").append(figure.element);
  }
  return figure;
}

function panelPreview({ img, caption }, { node, picture, count }) {
  const size = sizeText(picture.bytes.length);
  panelShow(img, picture, () =>
    setText(caption, `node ${clip(node, 40)}, no. ${count}, ${img.naturalWidth} × ${img.naturalHeight}, ${size}`));
}

// Its bytes need no address any more once the picture is there, or a newer one takes its place.
function panelShow(img, image, onShown = () => {}) {
  const url = URL.createObjectURL(new Blob([image.bytes], { type: image.mime }));
  URL.revokeObjectURL(img.src);
  img.onload = img.onerror = (e) => {
    URL.revokeObjectURL(url);
    e.type === "load" && onShown();
  };
  img.src = url;
}

function panelResults(r) {
  while (panel.pictures.length > 0 && panel.pictures[0].picture.bytes === null) { // shown, they take memory too
    panel.pictures.shift().img.remove();
  }
  if (panel.results === r.results.length) {
    return;
  }
  const from = Math.max(0, panel.results);
  panel.results = r.results.length;
  $("results-box").hidden = r.results.length === 0;
  $("results").append(...r.results.slice(from).map(panelResult));
  const hasFiles = r.results.some((result) => result.file);
  setText($("results-hint"), hasFiles && !settings.comfyui ? "enter ComfyUI's address above to see the images" : "");
}

function panelResult({ node, kind, file, text, picture, frame }) {
  const caption = element("span", "muted", `node ${clip(node, 40)}, ${clip(kind, 40)}`);
  if (file) {
    return panelFile(file, caption);
  }
  if (kind === "picture") {
    caption.append(` over the socket, frame ${frame}`);
    return element("li", "", ...panelPicture(picture, node), caption);
  }
  return element("li", "text", element("code", "", text), caption);
}

function panelPicture(picture, node) {
  if (picture.bytes === null) {
    return [];
  }
  const img = element("img");
  img.alt = `Picture of node ${clip(node, 40)}`;
  panelShow(img, picture);
  panel.pictures.push({ picture, img });
  return [img];
}

function panelFile(file, caption) {
  const name = [file.type, file.subfolder, file.filename].filter((part) => part !== "").join("/");
  const item = element("li", "", element("code", "", clip(name, 200)), caption), url = panelFileUrl(file);
  if (url) {
    const img = element("img"), open = element("a", "", img);
    img.src = open.href = url;
    img.alt = clip(name, 200);
    img.loading = "lazy";
    img.onerror = () => open.replaceChildren("open (not shown as an image)");
    open.target = "_blank";
    open.rel = "noreferrer noopener";
    item.prepend(open);
  }
  return item;
}

function panelFileUrl(file) {
  if (!/^https?:\/\/\S+$/i.test(settings.comfyui)) {
    return null;
  }
  return `${settings.comfyui.replace(/\/+$/, "")}/view?${new URLSearchParams(file)}`;
}

function panelRuns() {
  const shown = runShown(), runs = [...run.all.values()].reverse();
  const key = runs.map((r) => `${r.id} ${r.outcome} ${r.ended} ${r === shown}`).join("\n");
  $("runs-box").hidden = runs.length < 2;
  if (key === panel.runs) {
    return;
  }
  panel.runs = key;
  const focused = document.activeElement.closest("#runs button")?.value;
  $("runs").replaceChildren(...runs.map((r) => {
    const badge = element("span", "badge", OUTCOMES[r.outcome]), choose = element("button", "line", badge,
      element("code", "", clip(r.id, 40)), element("span", "muted", r.ended ? durationText(r.ended - r.began) : ""));
    badge.dataset.outcome = r.outcome;
    choose.value = r.id;
    choose.setAttribute("aria-pressed", r === shown);
    choose.addEventListener("click", () => {
      run.chosen = r === run.newest ? null : r;
      panelAsk();
    });
    return element("li", "", choose);
  }));
  [...$("runs").querySelectorAll("button")].find(({ value }) => value === focused)?.focus();
}

// ---- every half second

let countThen = 0;

function panelTick() {
  const rate = (store.count - countThen) * 2;
  countThen = store.count;
  setText($("rate"), rate.toLocaleString("en"));
  if (link.state !== "off") {
    draw();
  }
}

function panelStart() {
  drawers.push(panelDraw);
  setInterval(panelTick, 500);
  $("error-copy").addEventListener("click", () =>
    copyText(["error-title", "error-message", "traceback"].map((id) => $(id).textContent).join("\n")));
  $("example-copy").addEventListener("click", () => copyText(panelExample()));
  $("error-frame").addEventListener("click", () => listSelect(storeFind(panel.error.frame)));
}
