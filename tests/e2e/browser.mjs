// Opens a page in Debian's Chromium, headless, until it has reported: browser.mjs URL.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE, "package.json"));
const { chromium } = require("playwright-core");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
});
try {
  const page = await browser.newPage();
  page.on("console", (m) => console.log(m.text()));
  page.on("pageerror", (e) => console.log(e.message));
  await page.goto(process.argv[2]);
  await page.waitForFunction("window.reported", null, { timeout: 60000 });
} finally {
  await browser.close();
}
