// Runs one prompt with a client library as its own readme says: clients.mjs LIBRARY HOST:PORT OUTPUT_NODE...
// Prints what the library says it got, as JSON, and leaves.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE, "package.json"));
const [library, host, ...outputs] = process.argv.slice(2);
const workflow = Object.fromEntries(outputs.map((id) => [id, { class_type: "PreviewImage", inputs: {} }]));

async function comfyUiClient() {
  const { ComfyUIClient } = require("comfy-ui-client");
  const client = new ComfyUIClient(host, "e2e-comfy-ui-client");
  await client.connect();
  const images = await client.getImages(workflow);
  await client.disconnect();
  return { images: Object.fromEntries(Object.entries(images).map(([id, list]) => [id, list.length])) };
}

async function stableCanvas() {
  const { Client } = require("@stable-canvas/comfyui-client");
  const { WebSocket } = require("ws");
  const seen = { progress: 0, previews: 0 };
  const client = new Client({ api_host: host, clientId: "e2e-stable-canvas", WebSocket, fetch });
  client.on("b_preview", () => seen.previews++);
  await client.connect();
  const result = await client.enqueue(workflow, { progress: () => seen.progress++ });
  client.close();
  return { prompt_id: result.prompt_id, images: result.images.length, ...seen };
}

async function saintno() {
  const { ComfyApi, CallWrapper, PromptBuilder } = require("@saintno/comfyui-sdk");
  const api = await new ComfyApi(`http://${host}`, "e2e-saintno").init().waitForReady();
  const seen = { progress: 0, previews: 0, failed: null };
  const builder = outputs.reduce((b, id) => b.setOutputNode(id, id), new PromptBuilder(workflow, [], outputs));
  const result = await new Promise((resolve, reject) => {
    new CallWrapper(api, builder)
      .onProgress(() => seen.progress++)
      .onPreview(() => seen.previews++)
      .onFinished(resolve)
      .onFailed(reject)
      .run();
  });
  api.destroy();
  return { images: Object.fromEntries(outputs.map((id) => [id, result[id].images.length])), ...seen };
}

const libraries = { "comfy-ui-client": comfyUiClient, "@stable-canvas/comfyui-client": stableCanvas,
                    "@saintno/comfyui-sdk": saintno };
const result = await libraries[library]();
process.stdout.write(`\nRESULT ${JSON.stringify(result)}\n`, () => process.exit(0));
