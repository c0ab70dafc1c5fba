// lines_view.ts: the lines of the program as a table.

import { find, make } from "./dom";
import * as format from "./format";
import type { Names } from "./names";
import type { Chosen, Line } from "./profile";
import { spark } from "./spark";
import { type Column, Table } from "./table";
import type { LiveLines } from "./windows";

export class LinesView {
  private readonly table: Table<Line>;
  private whole = 0;
  private signed = false;

  constructor(private readonly names: Names, private readonly live: LiveLines, picked: (line: Line) => void) {
    this.table = new Table<Line>(find("view-lines"), "Lines of the program by memory", this.columns(), picked);
  }

  show(lines: Line[], chosen: Chosen): void {
    this.whole = chosen.whole;
    this.signed = chosen.before !== null;
    this.table.show(lines);
    find("view-lines").dataset["bytes"] = String(lines.reduce((sum, line) => sum + line.bytes, 0));
  }

  private columns(): Column<Line>[] {
    const number = "number";
    return [
      { name: "memory", title: "bytes of the chosen measure", class: number, order: (l) => l.bytes, fill: (c, l) => fillBytes(c, l, this.signed) },
      { name: "share", title: "of all, or of what there was before", class: number, order: (l) => l.bytes, fill: (c, l) => (c.textContent = format.percent(l.bytes, this.whole)) },
      { name: "blocks", title: "allocations", class: `${number} optional`, order: (l) => l.count, fill: (c, l) => (c.textContent = format.count(l.count)) },
      { name: "growth", title: "of what is alive at the end", class: `${number} optional`, order: (l) => l.growth, fill: (c, l) => (c.textContent = this.names.growth(l)) },
      { name: "oldest", title: "age of the oldest alive at the end", class: `${number} optional`, order: (l) => l.age, fill: (c, l) => (c.textContent = this.names.age(l)) },
      { name: "over time", title: "live bytes", class: "optional", fill: (c, l) => this.fillSpark(c, l) },
      { name: "line", title: "place in the program", class: "wide", order: (l) => this.names.line(l.frame), fill: (c, l) => fillLine(c, l, this.names) },
    ];
  }

  private fillSpark(cell: HTMLTableCellElement, line: Line): void {
    const live = this.live.of(line.line);
    if (live) cell.append(spark(live, 96, 20));
  }
}

export function fillBytes(cell: HTMLTableCellElement, line: Line, signed: boolean): void {
  cell.textContent = `${format.amount(line.bytes, signed)}${format.margin(line.variance)}`;
  cell.title = `${format.count(line.bytes)} bytes`;
}

export function fillLine(cell: HTMLTableCellElement, line: Line, names: Names): void {
  cell.title = names.fullPlace(line.frame);
  cell.append(names.line(line.frame));
  if (line.by.length > 0) cell.append(make("span", { class: "by" }, `  ← ${line.by.slice(0, 3).join(", ")}`));
}
