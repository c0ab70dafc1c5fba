// views.ts: the views and the measures of memory that a page offers, in their order.

import type { Block } from "./data";
import type { MeasureName } from "./profile";
import type { ViewName } from "./state";

export const MEASURES: { name: MeasureName; label: string; words: string }[] = [
  { name: "peak", label: "At the peak", words: "at the peak" },
  { name: "live", label: "Alive at the end", words: "alive at the end" },
  { name: "total", label: "Allocated in all", words: "allocated in all" },
  { name: "temporary", label: "Temporary", words: "freed at once" },
  { name: "window", label: "Between two times", words: "allocated between two times and alive at the second" },
  { name: "change", label: "Change between two times", words: "more alive at the second of two times" },
];

// A difference has no leaks of its own, SQL takes a server, and changes something to compare.
export function offers(block: Block, served: boolean, view: ViewName): boolean {
  if (view === "sql") return served;
  if (view === "leaks") return block.earlier === undefined;
  return view !== "changes" || block.earlier !== undefined || block.edges !== null;
}

export function isWindowed(measure: string): measure is "window" | "change" {
  return measure === "window" || measure === "change";
}

// What is alive is so at the end of a recording, or now.
export function labelOf(measure: (typeof MEASURES)[number], alive: string): string {
  return measure.name === "live" && alive === "now" ? "Alive now" : measure.label;
}

export function wordsOf(name: string, alive: string): string {
  return name === "live" ? `alive ${alive}` : (MEASURES.find((measure) => measure.name === name)?.words ?? "");
}

export const VIEWS: { name: ViewName; label: string }[] = [
  { name: "flame", label: "Flame graph" },
  { name: "sandwich", label: "Sandwich" },
  { name: "lines", label: "Lines" },
  { name: "leaks", label: "Leaks" },
  { name: "changes", label: "Changes" },
  { name: "memory", label: "Memory" },
  { name: "sql", label: "SQL" },
  { name: "about", label: "About" },
];
