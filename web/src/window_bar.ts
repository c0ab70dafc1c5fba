// window_bar.ts: which stretch of the run is looked at, by two sliders, by the marks of the recording, and in words.

import type { Block, Edges, Mark } from "./data";
import { find, make } from "./dom";
import * as format from "./format";
import { between, intervalAt, instants, type Window } from "./windows";

type End = "from" | "to";

// Marks without a name of their own are counted.
function namesOf(marks: Mark[]): string[] {
  const counts = new Map<string, number>();
  return marks.map((mark) => {
    const count = (counts.get(mark.kind) ?? 0) + 1;
    counts.set(mark.kind, count);
    return `${mark.name || `${mark.kind} ${count}`} (${format.clock(mark.time_s)})`;
  });
}

// A window from a mark begins with the interval that it lies in, and one to a mark ends with it.
function offerMarks(edges: Edges, marks: Mark[], end: End, moved: () => void): void {
  const select = find<HTMLSelectElement>(`mark-${end}`);
  (select.parentElement as HTMLElement).hidden = marks.length === 0;
  select.append(make("option", { value: -1 }, `${end} a mark`));
  namesOf(marks).forEach((name, i) => select.append(make("option", { value: i }, name)));
  select.addEventListener("change", () => {
    const mark = marks[Number(select.value)];
    select.value = "-1";
    if (!mark) return;
    find<HTMLInputElement>(`window-${end}`).value = String(intervalAt(edges, mark.time_s));
    moved();
  });
}

// Calls back with the window that the sliders say; null: all of the run.
export function offerWindow(block: Block, chosen: (window: Window | null) => void, changeKind: () => void): void {
  const { edges, stats } = block;
  const from = find<HTMLInputElement>("window-from");
  const to = find<HTMLInputElement>("window-to");
  const fromMoved = () => chosen({ from: from.valueAsNumber, to: Math.max(to.valueAsNumber, from.valueAsNumber) });
  const toMoved = () => chosen({ from: Math.min(from.valueAsNumber, to.valueAsNumber), to: to.valueAsNumber });
  from.max = to.max = String((edges?.time_ns.length ?? 1) - 1);
  from.addEventListener("input", fromMoved);
  to.addEventListener("input", toMoved);
  if (edges) {
    offerMarks(edges, stats.marks ?? [], "from", fromMoved);
    offerMarks(edges, stats.marks ?? [], "to", toMoved);
  }
  find("window-clear").addEventListener("click", () => chosen(null));
  find("window-kind").addEventListener("click", changeKind);
}

export function showWindow(edges: Edges, window: Window, words: string, measure: string): void {
  find<HTMLInputElement>("window-from").value = String(window.from);
  find<HTMLInputElement>("window-to").value = String(window.to);
  find("window-words").textContent = `${words}, of ${edges.time_ns.length} stored times`;
  find("window-kind").setAttribute("aria-pressed", String(measure === "change"));
  find("window-command").textContent = measure === "change" ? `memtap diff ${instants(edges, window)}` : `memtap table ${between(edges, window)}`;
}
