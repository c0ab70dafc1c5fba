// views.ts: the views and the measures of memory that a page offers, in their order.

import type { Measure } from "./data";
import type { ViewName } from "./state";

export type MeasureName = Measure | "window";

export const MEASURES: { name: MeasureName; label: string; words: string }[] = [
  { name: "peak", label: "At the peak", words: "at the peak" },
  { name: "live", label: "Alive at the end", words: "alive when the program ended" },
  { name: "total", label: "Allocated in all", words: "allocated in all" },
  { name: "temporary", label: "Temporary", words: "freed at once" },
  { name: "window", label: "Between two times", words: "allocated between two times and alive at the second" },
];

export const VIEWS: { name: ViewName; label: string }[] = [
  { name: "flame", label: "Flame graph" },
  { name: "sandwich", label: "Sandwich" },
  { name: "lines", label: "Lines" },
  { name: "memory", label: "Memory" },
  { name: "sql", label: "SQL" },
  { name: "about", label: "About" },
];
