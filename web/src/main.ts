// main.ts: begins: the page of a report has its data in it, that of a server asks for it.

import { PageSource } from "./data";
import { find } from "./dom";
import { Live } from "./live";
import { Page } from "./page";

function fail(error: unknown): void {
  const failure = find("failure");
  failure.hidden = false;
  failure.textContent = `This report cannot be shown: ${error instanceof Error ? error.message : String(error)}`;
}

async function start(): Promise<void> {
  const source = new PageSource("data");
  let page: Page | null = null;
  if (PageSource.isIn("data")) {
    const block = await source.block();
    find("app").hidden = false;
    new Page(block);
  } else {
    await new Live((block, again) => (page = new Page(block, true, again ? page : null))).begin();
  }
  document.documentElement.dataset["ready"] = "1";
}

start().catch(fail);
