// plain_table.ts: a table of few rows, as it is. The first column is what a row is of; texts behind it are numbers.

import { make } from "./dom";

export function plainTable(label: string, heads: string[], rows: (string | HTMLElement)[][]): HTMLElement {
  const head = make("tr");
  heads.forEach((name, i) => head.append(make("th", { scope: "col", class: i > 0 && typeof rows[0]?.[i] === "string" ? "number" : "" }, name)));
  const body = make("tbody");
  for (const row of rows) {
    const line = make("tr");
    row.forEach((cell, i) => line.append(make("td", { class: i > 0 && typeof cell === "string" ? "number" : "" }, cell)));
    body.append(line);
  }
  return make("table", { class: "rows plain", "aria-label": label }, make("thead", {}, head), body);
}
