// main.ts: begins: the page of a report has its data in it, that of a difference has two of them, that of a server asks for it.

import { PageSource } from "./data";
import { difference } from "./difference";
import { find } from "./dom";
import { Live } from "./live";
import { Page } from "./page";

function fail(error: unknown): void {
  const failure = find("failure");
  failure.hidden = false;
  failure.textContent = `This report cannot be shown: ${error instanceof Error ? error.message : String(error)}`;
}

async function start(): Promise<void> {
  let page: Page | null = null;
  if (PageSource.isIn("data")) {
    const block = await new PageSource("data").block();
    const before = PageSource.isIn("before") ? await new PageSource("before").block() : null;
    find("app").hidden = false;
    new Page(before ? difference(before, block) : block);
  } else {
    await new Live((block, again) => (page = new Page(block, true, again ? page : null))).begin();
  }
  document.documentElement.dataset["ready"] = "1";
}

start().catch(fail);
