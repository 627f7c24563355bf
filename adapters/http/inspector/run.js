"use strict";
// What the frames tell of prompts: their nodes, previews, results and ends. And what does not fit together.

const KEPT_RUNS = 20, KEPT_NODES = 2000, KEPT_RESULTS = 200, KEPT_PREVIEWS = 6, KEPT_PICTURE_BYTES = 32 * 1024 * 1024;

const run = {
  queue: "",
  all: new Map(), // prompt id -> its state, oldest first
  newest: null,
  chosen: null, // by the person; else the newest is shown
  pictures: [], // of previews and results, oldest first; one that leaves here has no bytes any more
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
      hasStates: false, error: null, results: [], previews: new Map(), isOver: false };
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
    run.pictures = run.pictures.filter((picture) => picture.of !== oldest);
  }
}

// The prompt that an event is of. Notes when it has not been seen to start, or is over.
function runOf(id, notes) {
  if (id === undefined || id === null) { // as after a reconnect to ComfyUI's own server
    return run.newest ?? runStart("unknown");
  }
  const known = run.all.get(asId(id));
  if (!known) {
    notes.push("its prompt was not seen to start");
  } else if (known.isOver) {
    notes.push("its prompt is over");
    return known;
  }
  return runStart(asId(id));
}

function runNode(r, told) {
  const id = asId(told);
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
  status(d, notes) {
    run.queue = clip(asText(d.status?.exec_info?.queue_remaining ?? run.queue), 20);
    if (d.sid !== undefined && !link.isFirst) {
      notes.push("a status with a sid that is not the first frame: clients take that identity");
    }
  },
  execution_start(d) {
    runStart(asId(d.prompt_id)).isWhole = true;
  },
  execution_cached(d, notes) {
    const r = runOf(d.prompt_id, notes);
    r.cached = d.nodes?.length ?? 0;
    for (const id of d.nodes ?? []) {
      runNodeState(runNode(r, id), "cached");
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
    r.executing = asId(d.node);
    const node = runNode(r, r.executing);
    node.display = asId(d.display_node ?? node.display);
    if (node.state !== "finished") {
      runNodeState(node, "running");
    }
  },
  progress(d, notes) {
    const node = runNode(runOf(d.prompt_id, notes), d.node);
    if (d.value > d.max) {
      notes.push("value is above max");
    } else if (node.max === d.max && d.value < node.value && node.value < node.max) { // at its end it may begin again
      notes.push("value goes back");
    }
    Object.assign(node, { value: asNumber(d.value), max: asNumber(d.max) });
  },
  progress_state(d, notes) {
    const r = runOf(d.prompt_id, notes);
    r.hasStates = true;
    for (const [id, state] of Object.entries(d.nodes ?? {})) {
      const node = runNode(r, id);
      Object.assign(node, { value: asNumber(state.value), max: asNumber(state.max), display: asId(state.display_node_id ?? node.display) });
      runNodeState(node, clip(asText(state.state ?? node.state), 40));
    }
  },
  executed(d, notes) {
    const r = runOf(d.prompt_id, notes);
    const node = runNode(r, d.node);
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
    r.error = { title: `${asId(d.exception_type)} in node ${asId(d.node_id)} (${asId(d.node_type)})`, frame: frame.number,
      message: clip(asText(d.exception_message), 10000),
      traceback: clip(Array.isArray(d.traceback) ? d.traceback.map(asText).join("") : asText(d.traceback), 100000) };
    if (d.exception_type === "ExecutionBlocked") {
      runNodeState(runNode(r, d.node_id), "blocked");
      return;
    }
    runNodeState(runNode(r, d.node_id), "error");
    runFinish(r, "error");
  },
  execution_interrupted(d, notes) {
    if (run.all.has(asId(d.prompt_id))) { // everybody is told when the prompt has no client
      runFinish(runOf(d.prompt_id, notes), "interrupted");
    }
  },
};

function runResults(r, { node, output }) {
  const add = (result) => r.results.length < KEPT_RESULTS && !r.results.some((known) => known.key === result.key) && r.results.push(result);
  for (const [kind, values] of Object.entries(output ?? {})) {
    for (const value of Array.isArray(values) ? values : [values]) {
      const isFile = value !== null && typeof value === "object" && typeof value.filename === "string";
      const text = isFile ? null : clip(asText(value), 2000), file = isFile ? runFile(value) : null;
      add({ key: JSON.stringify([asId(node), asId(kind), file, text]), node: asId(node), kind: asId(kind), file, text });
    }
  }
}

function runFile({ filename, subfolder, type }) {
  const part = (value) => clip(asText(value), 4096); // no path is longer
  return { filename: part(filename), subfolder: part(subfolder ?? ""), type: part(type ?? "output") };
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
    const r = runOf(binary.prompt, frame.notes), node = asId(binary.node ?? r.executing ?? "?");
    const picture = { ...binary.image, of: r, isResult: binary.image.mime === "image/png" && r.results.length < KEPT_RESULTS };
    if (picture.isResult) { // SaveImageWebsocket and its like
      r.results.push({ node, kind: "picture", frame: frame.number, picture });
    }
    runPreview(r, node, picture);
    runKeep(picture);
  }
  if (binary.code === 1 && link.hasFlag) {
    frame.notes.push("a preview without metadata, although it was asked for: its publisher framed it itself, or knows no node");
  }
}

function runPreview(r, node, picture) {
  const count = (r.previews.get(node)?.count ?? 0) + 1;
  runReplace(r, node);
  r.previews.set(node, { node, picture, count, isNew: true });
  if (r.previews.size > KEPT_PREVIEWS) {
    runReplace(r, r.previews.keys().next().value);
  }
}

function runReplace(r, node) {
  const old = r.previews.get(node)?.picture;
  r.previews.delete(node);
  if (old && !old.isResult) {
    run.pictures = run.pictures.filter((picture) => picture !== old);
  }
}

// A picture is a part of its whole frame, which stays in memory for it.
function runKeep(picture) {
  run.pictures.push(picture);
  let bytes = run.pictures.reduce((sum, p) => sum + p.bytes.buffer.byteLength, 0);
  while (run.pictures.length > 1 && bytes > KEPT_PICTURE_BYTES) {
    const oldest = run.pictures.shift();
    bytes -= oldest.bytes.buffer.byteLength;
    oldest.bytes = null;
  }
}
