// Debian's Chromium, headless, driven by lines of JSON: {page, call, args} calls that function of Playwright's page; `open`
// makes the page. Each line is answered by one: {value} or {error}. Ends when its input does.
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
  const page = await context.newPage();
  page.on("console", (m) => console.error(m.text()));
  page.on("pageerror", (e) => console.error(e.message));
  pages.set(id, page);
}

async function answer({ page, call, args }) {
  if (call === "open") {
    return open(page);
  }
  const value = await pages.get(page)[call](...args);
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
