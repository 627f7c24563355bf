// Debian's Chromium, headless, driven by lines of JSON: {page, call, args} calls that function of Playwright's page (`a.b` that of
// its a); `open` makes the page, `told` tells what it has requested and complained of, `cpu` how many seconds of the processor its
// tasks have had since the first call. Each line is answered by one: {value} or {error}. Ends when its input does.
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(join(process.env.NODE, "package.json"));
const { chromium } = require("playwright-core");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
});
const context = await browser.newContext();
const pages = new Map();

async function open(id) {
  const page = await context.newPage(), told = { requests: [], complaints: [] };
  const complain = (text) => {
    told.complaints.push(text);
    console.error(text);
  };
  page.on("console", (m) => ["error", "warning"].includes(m.type()) ? complain(m.text()) : console.error(m.text()));
  page.on("pageerror", (e) => complain(e.message));
  page.on("request", (r) => told.requests.push(r.url()));
  page.on("websocket", (s) => told.requests.push(s.url()));
  pages.set(id, { page, told });
}

async function cpu(page) {
  if (!page.meter) {
    page.meter = await context.newCDPSession(page);
    await page.meter.send("Performance.enable", { timeDomain: "threadTicks" });
  }
  const { metrics } = await page.meter.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "TaskDuration").value;
}

async function answer({ page: id, call, args }) {
  if (call === "open") {
    return open(id);
  }
  const { page, told } = pages.get(id);
  if (call === "told") {
    return told;
  }
  if (call === "cpu") {
    return cpu(page);
  }
  const path = call.split("."), name = path.pop(), owner = path.reduce((o, part) => o[part], page);
  const value = await owner[name](...args);
  return call === "evaluate" ? value : undefined;
}

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const reply = await answer(JSON.parse(line)).then((value) => ({ value: value ?? null }), (e) => ({ error: e.message }));
    console.log(JSON.stringify(reply));
  }
} finally {
  await browser.close();
}
