"use strict";
// What the frames tell of prompts: their nodes, previews, results and ends. And what does not fit together.

const KEPT_RUNS = 20, KEPT_NODES = 2000, KEPT_RESULTS = 200, KEPT_PREVIEWS = 6, KEPT_PICTURES = 32, KEPT_PICTURE_BYTES = 32 * 1024 * 1024;

const run = {
  queue: "",
  all: new Map(), // prompt id -> its state, oldest first
  newest: null,
  chosen: null, // by the person; else the newest is shown
  pictures: [], // pictures among the results that came over the socket, oldest first
};

function runClear() {
  Object.assign(run, { queue: "", newest: null, chosen: null, pictures: [] });
  run.all.clear();
}

const runShown = () => run.chosen ?? run.newest;

function runStart(id) {
  let r = run.all.get(id);
  if (!r) {
    r = { id, outcome: "running", began: performance.now(), ended: null, isWhole: false, nodes: new Map(), executing: null, cached: 0,
      hasStates: false, error: null, blocked: 0, results: [], previews: new Map(), isOver: false };
    run.all.set(id, r);
    runForgetOldest();
  }
  run.newest = r;
  return r;
}

function runForgetOldest() {
  if (run.all.size > KEPT_RUNS) {
    const [id, oldest] = run.all.entries().next().value;
    run.all.delete(id);
    run.chosen = run.chosen === oldest ? null : run.chosen;
  }
}

// The prompt that an event is of. Notes when it has not been seen to start, or is over.
function runOf(id, notes) {
  if (id === undefined || id === null) { // as after a reconnect to ComfyUI's own server
    return run.newest ?? runStart("unknown");
  }
  const known = run.all.get(asText(id));
  if (!known) {
    notes.push("its prompt was not seen to start");
  } else if (known.isOver) {
    notes.push("its prompt is over");
    return known;
  }
  return runStart(asText(id));
}

function runNode(r, id) {
  let node = r.nodes.get(id);
  if (!node && r.nodes.size < KEPT_NODES) {
    node = { id, state: "pending", value: null, max: null, began: null, ended: null, text: "", display: "" };
    r.nodes.set(id, node);
  }
  return node ?? {};
}

function runNodeState(node, state) {
  if (state === node.state || state === "finished" && node.state === "cached") {
    return;
  }
  node.state = state;
  if (state === "running") {
    node.began ??= performance.now();
  } else if (state !== "pending" && node.began != null) {
    node.ended ??= performance.now();
  }
}

function runFinish(r, outcome) {
  r.outcome = outcome;
  r.ended ??= performance.now();
  for (const node of r.nodes.values()) {
    if (node.state === "running") {
      runNodeState(node, outcome === "success" ? "finished" : outcome);
    }
  }
}

const effects = {
  status(d, notes, frame) {
    run.queue = asText(d.status?.exec_info?.queue_remaining ?? run.queue);
    if (d.sid !== undefined && !link.isFirst) {
      notes.push("a status with a sid that is not the first frame: clients take that identity");
    }
  },
  execution_start(d) {
    const r = runStart(asText(d.prompt_id));
    r.isWhole = true;
    r.timestamp = d.timestamp;
  },
  execution_cached(d, notes) {
    const r = runOf(d.prompt_id, notes);
    r.cached = d.nodes?.length ?? 0;
    for (const id of d.nodes ?? []) {
      runNodeState(runNode(r, asText(id)), "cached");
    }
  },
  executing(d, notes) {
    const r = runOf(d.prompt_id, notes);
    if (d.node === null) {
      if (r.outcome === "running") {
        notes.push("the end, without execution_success, _error or _interrupted before it");
        runFinish(r, "ended");
      }
      r.isOver = true;
      return;
    }
    if (!r.hasStates && r.executing !== null) {
      runNodeState(runNode(r, r.executing), "finished");
    }
    r.executing = asText(d.node);
    const node = runNode(r, r.executing);
    node.display = asText(d.display_node ?? node.display);
    if (node.state !== "finished") {
      runNodeState(node, "running");
    }
  },
  progress(d, notes) {
    const node = runNode(runOf(d.prompt_id, notes), asText(d.node));
    if (d.value > d.max) {
      notes.push("value is above max");
    } else if (node.max === d.max && d.value < node.value) {
      notes.push("value goes back");
    }
    Object.assign(node, { value: asNumber(d.value), max: asNumber(d.max) });
  },
  progress_state(d, notes) {
    const r = runOf(d.prompt_id, notes);
    r.hasStates = true;
    for (const [id, state] of Object.entries(d.nodes ?? {})) {
      const node = runNode(r, id);
      Object.assign(node, { value: asNumber(state.value), max: asNumber(state.max), display: asText(state.display_node_id ?? node.display) });
      runNodeState(node, asText(state.state ?? node.state));
    }
  },
  executed(d, notes) {
    const r = runOf(d.prompt_id, notes);
    const node = runNode(r, asText(d.node));
    if (node.state === "pending") {
      runNodeState(node, "cached");
    }
    runResults(r, d);
  },
  execution_success(d, notes) {
    runFinish(runOf(d.prompt_id, notes), "success");
  },
  execution_error(d, notes, frame) {
    const r = runOf(d.prompt_id, notes);
    r.error = { ...d, current_inputs: null, current_outputs: null, frame };
    if (d.exception_type === "ExecutionBlocked") {
      r.blocked++;
      runNodeState(runNode(r, asText(d.node_id)), "blocked");
      return;
    }
    runNodeState(runNode(r, asText(d.node_id)), "error");
    runFinish(r, "error");
  },
  execution_interrupted(d, notes) {
    runFinish(runOf(d.prompt_id, notes), "interrupted");
  },
};

function runResults(r, { node, output }) {
  const add = (result) => r.results.length < KEPT_RESULTS && !r.results.some((known) => known.key === result.key) && r.results.push(result);
  for (const [kind, values] of Object.entries(output ?? {})) {
    for (const value of Array.isArray(values) ? values : [values]) {
      const isFile = value !== null && typeof value === "object" && typeof value.filename === "string";
      const text = isFile ? null : clip(asText(value), 2000);
      add({ key: `${asText(node)} ${kind} ${isFile ? JSON.stringify(value) : text}`, node: asText(node), kind, file: isFile ? value : null, text });
    }
  }
}

function runApply(frame, { type, data }) {
  const effect = Object.hasOwn(effects, type) ? effects[type] : null;
  if (effect && data !== null && typeof data === "object") {
    try {
      effect(data, frame.notes, frame);
    } catch (e) {
      frame.notes.push(`its data is not what its type has: ${e.message}`);
    }
  } else if (effect) {
    frame.notes.push("its data is no object");
  }
}

function runApplyBinary(frame, binary) {
  if (binary.text !== undefined) {
    const node = runNode(runOf(undefined, frame.notes), binary.node);
    node.text = clip(binary.text, 2000);
  } else if (binary.image) {
    const r = runOf(binary.prompt, frame.notes), node = binary.node ?? r.executing ?? "?";
    runPreview(r, node, binary);
    if (binary.image.mime === "image/png") { // SaveImageWebsocket and its like
      runPicture(r, node, frame, binary.image);
    }
  }
  if (binary.code === 1 && link.hasFlag) {
    frame.notes.push("a preview without metadata, although it was asked for: its publisher framed it itself, or knows no node");
  }
}

function runPreview(r, node, { image }) {
  const count = (r.previews.get(node)?.count ?? 0) + 1;
  r.previews.delete(node);
  r.previews.set(node, { node, image, count, isNew: true });
  if (r.previews.size > KEPT_PREVIEWS) {
    r.previews.delete(r.previews.keys().next().value);
  }
}

function runPicture(r, node, frame, image) {
  const result = { key: `frame ${frame.number}`, node, kind: "picture", frame, image };
  if (r.results.length < KEPT_RESULTS) {
    r.results.push(result);
    run.pictures.push(result);
  }
  const bytes = () => run.pictures.reduce((sum, p) => sum + p.image.bytes.length, 0);
  while (run.pictures.length > KEPT_PICTURES || run.pictures.length > 1 && bytes() > KEPT_PICTURE_BYTES) {
    run.pictures.shift().image = null;
  }
}
