// views.ts: the views and the measures of memory that a page offers, in their order.

import type { Measure } from "./data";
import type { ViewName } from "./state";

export type MeasureName = Measure | "window";

export const MEASURES: { name: MeasureName; label: string; words: string }[] = [
  { name: "peak", label: "At the peak", words: "at the peak" },
  { name: "live", label: "Alive at the end", words: "alive at the end" },
  { name: "total", label: "Allocated in all", words: "allocated in all" },
  { name: "temporary", label: "Temporary", words: "freed at once" },
  { name: "window", label: "Between two times", words: "allocated between two times and alive at the second" },
];

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
  { name: "memory", label: "Memory" },
  { name: "sql", label: "SQL" },
  { name: "about", label: "About" },
];
