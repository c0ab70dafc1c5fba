// sql.ts: a box for SQL, over the recording as the server has it now.

import { clear, find, make } from "./dom";
import type { Answer, ServerSource } from "./server";

// What was asked last and what came of it outlive the elements, which are made anew for new data.
const kept = { text: "SELECT line, by, bytes, count FROM leaks LIMIT 20", answer: null as Answer | null, failure: "" };

function tableOf(answer: Answer): HTMLTableElement {
  const head = make("tr", {}, ...answer.names.map((name) => make("th", { scope: "col" }, name)));
  const rows = (answer.columns[0] ?? []).map((_first, row) => {
    const cells = answer.columns.map((column) => {
      const value = column[row] ?? null;
      return make("td", { class: typeof value === "number" ? "number" : "wide" }, value === null ? "" : String(value));
    });
    return make("tr", {}, ...cells);
  });
  return make("table", { "aria-label": "Answer" }, make("thead", {}, head), make("tbody", {}, ...rows));
}

function show(): void {
  const host = find("sql-answer");
  clear(host);
  find("sql-failure").textContent = kept.failure;
  if (kept.answer) host.append(tableOf(kept.answer));
  const count = kept.answer?.columns[0]?.length ?? 0;
  find("sql-count").textContent = kept.answer ? `${count} ${count === 1 ? "row" : "rows"}` : "";
}

async function ask(source: ServerSource): Promise<void> {
  try {
    kept.answer = await source.query(kept.text);
    kept.failure = "";
  } catch (error) {
    kept.answer = null;
    kept.failure = error instanceof Error ? error.message : String(error);
  }
  show();
}

export function showSql(source: ServerSource): void {
  const text = find<HTMLTextAreaElement>("sql-text");
  text.value = kept.text;
  text.addEventListener("input", () => (kept.text = text.value));
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void ask(source);
  });
  find("sql-ask").addEventListener("click", () => void ask(source));
  show();
}
