"use strict";
// The settings: from the address, whose part after # no server is ever told; to the fields; to the socket.

const settings = { relay: "", sid: "", comfyui: "", flag: true };

function settingsDefaultRelay() {
  const { protocol, host, hostname } = location, { port } = document.documentElement.dataset;
  if (protocol === "https:") { // behind a proxy, which has the socket at its usual place
    return `wss://${host}/ws`;
  }
  return port ? `ws://${hostname || "127.0.0.1"}:${port}/ws` : `ws://${host || "127.0.0.1:8190"}/ws`;
}

function settingsFromAddress() {
  const told = new URLSearchParams(`${location.search.slice(1)}&${location.hash.slice(1)}`);
  const last = (name) => told.getAll(name).at(-1);
  return { relay: last("relay") || settingsDefaultRelay(), sid: last("sid") ?? "", comfyui: last("comfyui") ?? "", flag: last("flag") !== "0" };
}

// Some of them, to their fields (in others something may stand that is not taken yet), and to the address, so that a reload and
// a bookmark come back to the same.
function settingsTake(taken) {
  Object.assign(settings, taken);
  for (const [name, value] of Object.entries(taken)) {
    $(name)[name === "flag" ? "checked" : "value"] = value;
  }
  const hash = Object.entries({ sid: settings.sid, relay: settings.relay === settingsDefaultRelay() ? "" : settings.relay,
    comfyui: settings.comfyui, flag: settings.flag ? "" : "0" }).filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}=${asUrlPart(value)}`).join("&");
  history.replaceState(null, "", location.pathname + (hash && `#${hash}`));
  settingsButton();
}

const settingsEntered = () => ({ relay: $("relay").value.trim() || settingsDefaultRelay(), sid: $("sid").value,
  comfyui: $("comfyui").value.trim(), flag: $("flag").checked });

const settingsChange = (to) => ["relay", "sid", "flag"].some((name) => to[name] !== settings[name]);

function settingsButton() {
  setText($("connect"), link.state === "off" ? "Connect" : settingsChange(settingsEntered()) ? "Reconnect" : "Disconnect");
}

function settingsConnect(to) {
  if (to.sid !== settings.sid || to.relay !== settings.relay) {
    runClear();
  }
  settingsTake(to);
  linkStart();
}

function settingsOnSubmit(e) {
  e.preventDefault();
  const to = settingsEntered();
  if (link.state === "off" || settingsChange(to)) {
    settingsConnect(to);
  } else {
    linkStop();
  }
}

// A socket tells its flags once, so a changed one needs a new socket. Images need none.
function settingsOnFlag() {
  settingsTake({ flag: $("flag").checked });
  if (link.state !== "off") {
    linkStart();
  }
}

function settingsOnImages() {
  settingsTake({ comfyui: $("comfyui").value.trim() });
  panelChange(runShown());
  panelAsk();
}

function start() {
  listStart();
  stripStart();
  detailStart();
  panelStart();
  drawers.push(settingsButton);
  $("settings").addEventListener("submit", settingsOnSubmit);
  $("settings").addEventListener("input", settingsButton);
  $("flag").addEventListener("change", settingsOnFlag);
  $("comfyui").addEventListener("change", settingsOnImages);
  addEventListener("hashchange", () => settingsConnect(settingsFromAddress()));
  settingsTake(settingsFromAddress());
  if (settings.sid !== "") {
    linkStart();
  } else {
    $("sid").focus();
  }
  draw();
}

start();
