// window_bar.ts: which stretch of the run is looked at, by two sliders and in words.

import type { Edges } from "./data";
import { find } from "./dom";
import { between, type Window } from "./windows";

// Calls back with the window that the sliders say; null: all of the run.
export function offerWindow(edges: Edges | null, chosen: (window: Window | null) => void): void {
  const from = find<HTMLInputElement>("window-from");
  const to = find<HTMLInputElement>("window-to");
  from.max = to.max = String((edges?.time_ns.length ?? 1) - 1);
  from.addEventListener("input", () => chosen({ from: from.valueAsNumber, to: Math.max(to.valueAsNumber, from.valueAsNumber) }));
  to.addEventListener("input", () => chosen({ from: Math.min(from.valueAsNumber, to.valueAsNumber), to: to.valueAsNumber }));
  find("window-clear").addEventListener("click", () => chosen(null));
}

export function showWindow(edges: Edges, window: Window, words: string): void {
  find<HTMLInputElement>("window-from").value = String(window.from);
  find<HTMLInputElement>("window-to").value = String(window.to);
  find("window-words").textContent = `${words}, of ${edges.time_ns.length} stored times`;
  find("window-command").textContent = `memtap table ${between(edges, window)}`;
}
