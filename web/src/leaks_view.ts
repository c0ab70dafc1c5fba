// leaks_view.ts: what is alive, and how much it looks like a leak: since when, how fast it grows, what of it was ever freed.
//
// Decides: nothing: suspects and scores are those of `memtap leaks` (src/analysis/leaks.h). Always of what is alive, whatever is chosen.

import type { Block } from "./data";
import { clear, find, make } from "./dom";
import * as format from "./format";
import { fillBytes, fillLine } from "./lines_view";
import type { Names } from "./names";
import type { Chosen, Line } from "./profile";
import { type Column, Table } from "./table";

export class LeaksView {
  private readonly table: Table<Line>;
  private whole = 0;

  constructor(private readonly block: Block, private readonly names: Names, private readonly picked: (line: Line) => void) {
    this.table = new Table<Line>(find("leaks-table"), "What is alive, by line", this.columns(), picked);
  }

  // chosen: what is alive of what is looked at.
  show(lines: Line[], chosen: Chosen): void {
    this.whole = chosen.sum.bytes;
    this.table.show(lines);
    this.showWords(lines, chosen);
    this.showSuspects(lines.filter((line) => line.suspect));
    find("view-leaks").dataset["bytes"] = String(lines.reduce((sum, line) => sum + line.bytes, 0));
  }

  private showWords(lines: Line[], { sum }: Chosen): void {
    const imports = lines.filter((line) => line.import).reduce((bytes, line) => bytes + line.bytes, 0);
    const words = [`${format.bytes(sum.bytes)}${format.margin(sum.variance)} alive in ${format.counted(sum.count, "block", "blocks")} ${this.block.alive}`];
    if (imports > 0) words.push(`${format.bytes(imports)} of it in imports`);
    if (this.block.sampled) words.push("suspects are not named: that takes an exact recording");
    else if (!lines.some((line) => line.suspect)) words.push("nothing looks like a leak: made often, hardly freed, over time");
    find("leaks-words").textContent = words.join(" · ");
  }

  private showSuspects(suspects: Line[]): void {
    const host = find("suspects");
    clear(host);
    for (const line of suspects) {
      const button = make("button", { type: "button" }, this.names.line(line.frame));
      button.addEventListener("click", () => this.picked(line));
      const growth = this.names.growth(line);
      const grows = growth.startsWith("+") ? `, growing ${growth}` : "";
      host.append(make("li", {}, "suspect: ", button, ` ${format.bytes(line.bytes)} in ${format.counted(line.count, "block", "blocks")}${grows}`));
    }
  }

  private columns(): Column<Line>[] {
    const number = "number";
    return [
      { name: "alive", title: "bytes", class: number, order: (l) => l.bytes, fill: (c, l) => fillBytes(c, l, false) },
      { name: "share", title: "of all that is alive", class: `${number} optional`, order: (l) => l.bytes, fill: (c, l) => (c.textContent = format.percent(l.bytes, this.whole)) },
      { name: "growth", title: "slope over the run", class: number, order: (l) => l.growth, fill: (c, l) => (c.textContent = this.names.growth(l)) },
      { name: "blocks", title: "allocations", class: `${number} optional`, order: (l) => l.count, fill: (c, l) => (c.textContent = format.count(l.count)) },
      { name: "oldest", title: "age of the oldest one", class: `${number} optional`, order: (l) => l.age, fill: (c, l) => (c.textContent = this.names.age(l)) },
      { name: "confidence", title: "that the next block from there is not freed either: 1 - (frees + 1) / (allocations + 2)", class: number, order: (l) => l.score, fill: fillScore },
      { name: "line", title: "place in the program", class: "wide", order: (l) => this.names.line(l.frame), fill: (c, l) => fillLine(c, l, this.names) },
    ];
  }
}

// Never 100 %, which nobody can know.
function fillScore(cell: HTMLTableCellElement, line: Line): void {
  cell.textContent = Number.isNaN(line.score) ? "–" : `${Math.floor(1000 * line.score) / 10} %`;
}
