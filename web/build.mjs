// build.mjs: makes dist/report.html, the page without data, from src/. `make web` runs it.
//
// The page's policy allows its own script and style by their hashes and nothing else. The last line is a hash of all sources, which
// tools/check-web compares without npm.

import { createHash } from "node:crypto";
import { readFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { execFileSync } from "node:child_process";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "dist", "report.html");

async function bundled(entry, loader) {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: ["chrome103", "firefox113", "safari16.4"],
    legalComments: "none",
    charset: "utf8",
    loader,
  });
  return result.outputFiles[0].text.trim();
}

const hash = (text) => `'sha256-${createHash("sha256").update(text, "utf8").digest("base64")}'`;

const script = (await bundled(join(here, "src/main.ts"), {})).replaceAll("</script", "<\\/script");
const style = `${readFileSync(join(here, "node_modules/uplot/dist/uPlot.min.css"), "utf8").trim()}\n${await bundled(join(here, "src/style.css"), { ".css": "css" })}`;
const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; img-src data:; base-uri 'none'; form-action 'none'`;
const sources = execFileSync(join(here, "../tools/check-web"), ["--hash"], { encoding: "utf8" }).trim();

const page = readFileSync(join(here, "src/page.html"), "utf8")
  .replace("@POLICY@", () => policy)
  .replace("@STYLE@", () => style)
  .replace("@SCRIPT@", () => script);
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, `${page.trimEnd()}\n<!-- memtap page, sources ${sources}. uPlot: MIT, (c) Leon Sorokin -->\n`);
console.log(`${out}: ${Buffer.byteLength(page)} bytes`);
