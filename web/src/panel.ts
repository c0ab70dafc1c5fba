// panel.ts: beside the views: the biggest lines, or what is selected.

import type { Block } from "./data";
import { clear, make } from "./dom";
import * as format from "./format";
import type { Names } from "./names";
import type { Chosen, Line, Tree } from "./profile";
import { spark } from "./spark";
import type { LiveLines } from "./windows";

const BIGGEST = 12;

function bar(part: number, whole: number): HTMLElement {
  const fill = make("div");
  fill.style.width = `${whole > 0 ? (100 * Math.abs(part)) / whole : 0}%`;
  return make("div", { class: "bar" }, fill);
}

function facts(pairs: [string, string][]): HTMLElement {
  const list = make("dl");
  for (const [name, value] of pairs) list.append(make("dt", {}, name), make("dd", {}, value));
  return list;
}

export interface PanelEvents {
  line(line: Line): void;
  sandwich(frame: number): void;
  focus(frame: number): void;
  hide(frame: number): void;
}

export class Panel {
  constructor(
    private readonly host: HTMLElement,
    private readonly block: Block,
    private readonly names: Names,
    private readonly live: LiveLines,
    private readonly on: PanelEvents,
  ) {}

  private amount(bytes: number, chosen: Chosen): string {
    return format.amount(bytes, chosen.before !== null);
  }

  private lineItem(line: Line, most: number, chosen: Chosen): HTMLElement {
    const growth = this.names.growth(line);
    const more = [
      line.by.length > 0 ? `← ${line.by.slice(0, 3).join(", ")}` : "",
      growth === "–" || growth === "steady" ? "" : growth,
    ].filter((text) => text !== "");
    const button = make(
      "button",
      { type: "button" },
      make("span", { class: "amount" }, make("span", {}, this.amount(line.bytes, chosen)), make("span", {}, format.percent(line.bytes, chosen.whole))),
      bar(line.bytes, most),
      make("span", {}, this.names.line(line.frame)),
      make("span", { class: "more" }, more.length > 0 ? ` ${more.join(" · ")}` : ""),
    );
    button.addEventListener("click", () => this.on.line(line));
    return make("li", {}, button);
  }

  showBiggest(lines: Line[], chosen: Chosen, what: string): void {
    clear(this.host);
    this.host.append(make("h2", {}, `${chosen.before ? "What changed most," : "Biggest lines"} ${what}`));
    if (lines.length === 0) {
      this.host.append(make("p", { class: "path" }, "Nothing: choose another measure or all threads."));
      return;
    }
    const list = make("ol");
    const most = Math.abs(lines[0]?.bytes ?? 0);
    for (const line of lines.slice(0, BIGGEST)) list.append(this.lineItem(line, most, chosen));
    this.host.append(list);
    if (lines.length > BIGGEST) {
      const rest = lines.slice(BIGGEST).reduce((sum, line) => sum + line.bytes, 0);
      this.host.append(make("p", { class: "path" }, `and ${format.counted(lines.length - BIGGEST, "more line", "more lines")} with ${this.amount(rest, chosen)}`));
    }
  }

  private copyButton(text: () => string): HTMLElement {
    const button = make("button", { type: "button" }, "Copy as text");
    button.addEventListener("click", () => {
      void navigator.clipboard.writeText(text()).then(
        () => (button.textContent = "Copied"),
        () => (button.textContent = "Copying is not allowed here"),
      );
    });
    return button;
  }

  showLine(line: Line, chosen: Chosen): void {
    const pairs: [string, string][] = [
      ["memory", `${this.amount(line.bytes, chosen)}${format.margin(line.variance)}, ${format.percent(line.bytes, chosen.whole)}`],
      ...(chosen.before ? ([["before", format.bytes(line.before.bytes)], ["after", format.bytes(line.before.bytes + line.bytes)]] as [string, string][]) : []),
      ["blocks", `${format.count(line.count)}${line.count > 0 && !chosen.before ? `, ${format.bytes(line.bytes / line.count)} each` : ""}`],
      ["growth", this.names.growth(line)],
      ["oldest", this.names.age(line)],
      ["allocated by", line.by.length > 0 ? line.by.join(", ") : "the line itself"],
      ["file", this.names.fullPlace(line.frame)],
    ];
    clear(this.host);
    this.host.append(make("h2", {}, this.names.line(line.frame)), facts(pairs));
    const live = this.live.of(line.line);
    if (live) this.host.append(spark(live, 288, 48), make("p", { class: "more" }, "live bytes over the run"));
    this.host.append(
      this.acts(line.frame, () => this.names.line(line.frame)),
      this.stacksOf(line, chosen),
    );
  }

  // The heaviest stacks behind a line.
  private stacksOf(line: Line, chosen: Chosen): HTMLElement {
    const byNode = new Map<number, number>();
    for (let i = 0; i < chosen.bytes.length; i++) {
      if (this.block.rows.line[i] !== line.line) continue;
      const node = this.block.rows.node[i] as number;
      byNode.set(node, (byNode.get(node) ?? 0) + (chosen.bytes[i] as number));
    }
    const heaviest = [...byNode].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    const holder = make("div", {}, make("h2", {}, `Stacks (${format.count(heaviest.length)})`));
    for (const [node, bytes] of heaviest.slice(0, 3)) {
      const path: number[] = [];
      for (let at = node; at !== 0; at = this.block.tree.parent[at] as number) path.push(this.block.tree.frame[at] as number);
      holder.append(make("p", {}, make("b", {}, this.amount(bytes, chosen))), this.stack(path), this.copyButton(() => this.text(path)));
    }
    return holder;
  }

  private text(path: number[]): string {
    return path.map((frame) => this.names.label(frame)).join("\n");
  }

  // Innermost first.
  private stack(path: number[]): HTMLElement {
    const list = make("ol", { class: "stack" });
    for (const frame of path) {
      list.append(make("li", {}, this.names.function(frame), " ", make("span", { class: "path" }, this.names.place(frame))));
    }
    return list;
  }

  // What can be done with a function.
  private acts(frame: number, text: () => string): HTMLElement {
    const act = (label: string, title: string, run: () => void) => {
      const button = make("button", { type: "button", title }, label);
      button.addEventListener("click", run);
      return button;
    };
    return make(
      "div",
      { class: "acts" },
      act("Sandwich", "who calls it, and what is allocated in it", () => this.on.sandwich(frame)),
      act("Focus", "only stacks through it", () => this.on.focus(frame)),
      act("Hide", "no stacks through it", () => this.on.hide(frame)),
      this.copyButton(text),
    );
  }

  showNode(tree: Tree, node: number): void {
    const frame = tree.frame[node] as number;
    const bytes = tree.bytes[node] as number;
    const count = tree.count[node] as number;
    const path = tree.path(node).map((at) => tree.frame[at] as number);
    clear(this.host);
    this.host.append(
      make("h2", {}, this.names.function(frame)),
      facts([
        ["memory", `${format.amount(bytes, tree.signed)}, ${format.percent(tree.width[node] as number, tree.width[0] as number)}${tree.signed ? " of what changed" : ""}`],
        ["exactly", `${format.count(bytes)} bytes`],
        ["of its own", format.amount(tree.own[node] as number, tree.signed)],
        ["blocks", `${format.count(count)}${count > 0 && !tree.signed ? `, ${format.bytes(bytes / count)} each` : ""}`],
        ["file", this.names.fullPlace(frame)],
      ]),
      this.acts(frame, () => this.text([...path].reverse())),
      make("h2", {}, "Stack"),
      this.stack([...path].reverse()),
    );
  }
}
