// Runs one prompt with a client library that is interrupted on the way: reconnect.mjs LIBRARY HOST:PORT OUTPUT_NODE...
// Prints the text frames that it has had and its result, as JSON, and leaves.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE, "package.json"));
const [library, host, ...outputs] = process.argv.slice(2);
const workflow = Object.fromEntries(outputs.map((id) => [id, { class_type: "PreviewImage", inputs: {} }]));
const texts = [];
let end;
const ended = new Promise((resolve) => { end = resolve; });

function told(message) {
  texts.push(message);
  if (message.type === "executing" && message.data.node === null) {
    end();
  }
}

const counts = (images) => Object.fromEntries(Object.entries(images).map(([id, list]) => [id, list.length]));

// It does not come back by itself: whoever uses it opens it again.
async function comfyUiClient() {
  const { ComfyUIClient } = require("comfy-ui-client");
  const client = new ComfyUIClient(host, "e2e-comfy-ui-client");
  const open = () => {
    const opening = client.connect();
    client.ws.on("message", (data, isBinary) => isBinary || told(JSON.parse(data.toString())));
    client.ws.on("close", async () => {
      await client.disconnect();
      open();
    });
    return opening;
  };
  await open();
  const { prompt_id } = await client.queuePrompt(workflow);
  await ended;
  const history = await client.getHistory(prompt_id);
  return counts(Object.fromEntries(Object.entries(history[prompt_id].outputs).map(([id, o]) => [id, o.images])));
}

async function stableCanvas() {
  const { Client } = require("@stable-canvas/comfyui-client");
  const { WebSocket } = require("ws");
  const client = new Client({ api_host: host, clientId: "e2e-stable-canvas", WebSocket, fetch });
  client.on("message", ({ data }) => typeof data === "string" && told(JSON.parse(data)));
  await client.connect();
  const { prompt_id } = await client.enqueue(workflow);
  await ended;
  client.close();
  return { prompt_id };
}

// With a shorter patience than its 10 s: without data for so long it opens a new socket, then closes the old one.
async function saintno() {
  const { ComfyApi, CallWrapper, PromptBuilder } = require("@saintno/comfyui-sdk");
  const api = await new ComfyApi(`http://${host}`, "e2e-saintno", { wsTimeout: 2000 }).init().waitForReady();
  api.on("all", ({ detail }) => told(detail));
  const builder = outputs.reduce((b, id) => b.setOutputNode(id, id), new PromptBuilder(workflow, [], outputs));
  const result = await new Promise((resolve) => {
    new CallWrapper(api, builder).onFinished(resolve).onFailed((e) => console.error(e)).run();
  });
  await ended;
  api.destroy();
  return counts(Object.fromEntries(outputs.map((id) => [id, result[id].images])));
}

const libraries = { "comfy-ui-client": comfyUiClient, "@stable-canvas/comfyui-client": stableCanvas,
                    "@saintno/comfyui-sdk": saintno };
const result = await libraries[library]();
process.stdout.write(`\nRESULT ${JSON.stringify({ texts, result })}\n`, () => process.exit(0));
