// memory.ts: what the resident memory is made of, what is mapped besides, how large and how old blocks were, and who held what.

import type { Block } from "./data";
import { make } from "./dom";
import { plainTable as table } from "./plain_table";
import * as format from "./format";

interface Part {
  name: string;
  bytes: number;
  why: string;
}

interface Measures {
  bytes: number;
  count: number;
  peak_bytes: number | null;
  leaked_bytes: number;
}

function number(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

// They add up to the largest RSS.
function partsOf(block: Block): Part[] {
  const s = block.stats;
  const heap = Math.max(number(s.peak_bytes) - number(s["untouched_bytes"]), 0);
  return [
    { name: "heap", bytes: heap, why: "what the program held at the peak and had touched" },
    { name: "before", bytes: number(s["rss_before_bytes"]), why: "allocated before memtap came" },
    { name: "slack", bytes: number(s["rss_slack_bytes"]), why: "free blocks and rounding of the allocator, stacks, static data" },
    { name: "files", bytes: number(s["rss_file_bytes"]), why: "mapped files and libraries" },
    { name: "memtap", bytes: number(s["rss_own_bytes"]), why: "the recorder's own memory" },
    { name: "inherited", bytes: number(s["rss_inherited_bytes"]), why: "pages that children have from their parents (fork)" },
    { name: "unmeasured", bytes: number(s["rss_unmeasured_bytes"]), why: "of processes too short-lived to be looked into" },
  ].filter((part) => part.bytes > 0);
}

function bar(part: number, whole: number): HTMLElement {
  const fill = make("div");
  fill.style.width = `${whole > 0 ? (100 * part) / whole : 0}%`;
  return make("div", { class: "bar" }, fill);
}

function resident(block: Block): HTMLElement[] {
  const parts = partsOf(block);
  const whole = block.stats.rss_peak_bytes;
  if (whole === 0) return [make("p", {}, "How much memory was resident is not known: the recording has no measure of it.")];
  const stack = make("div", { class: "stacked", "aria-hidden": "true" });
  parts.forEach((part, i) => {
    const piece = make("div", { class: `part part-${i}`, title: `${part.name} ${format.bytes(part.bytes)}` }, part.bytes > whole / 12 ? part.name : "");
    piece.style.flexGrow = String(part.bytes);
    stack.append(piece);
  });
  const note = block.stats["rss_note"];
  return [
    stack,
    table("Parts of the largest RSS", ["part", "memory", "share", "what it is"], parts.map((p) => [p.name, format.bytes(p.bytes), format.percent(p.bytes, whole), make("span", {}, p.why)])),
    make("p", { class: "path" }, typeof note === "string" ? `${note}.` : ""),
  ];
}

function byName(block: Block, key: string, label: string, name: string): HTMLElement {
  const groups = Object.entries((block.stats[key] ?? {}) as Record<string, Measures>);
  return table(
    label,
    [name, "at the peak", "at the end", "in all", "allocations"],
    groups.map(([group, m]) => [group, m.peak_bytes === null ? "–" : format.bytes(m.peak_bytes), format.bytes(m.leaked_bytes), format.bytes(m.bytes), format.count(m.count)]),
  );
}

// Buckets of powers of two, from the first that has something to the last.
function histogram(label: string, head: string, counts: [string, number][]): HTMLElement {
  const most = counts.reduce((m, [, count]) => Math.max(m, count), 0);
  return table(label, [head, "allocations", "beside the most"], counts.map(([name, count]) => [name, format.count(count), bar(count, most)]));
}

function sizes(block: Block): [string, number][] {
  const buckets = (block.stats["size_histogram"] ?? []) as { min_bytes: number; count: number }[];
  return buckets.map((bucket) => [`from ${format.bytes(bucket.min_bytes)}`, bucket.count]);
}

function lifetime(bucket: number): string {
  const ns = bucket === 0 ? 0 : 2 ** (bucket - 1);
  const units: [number, string][] = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const [size, unit] = units.find(([least]) => ns >= least) ?? [1, "ns"];
  return ns >= 60e9 ? `from ${format.clock(ns / 1e9)}` : `from ${(ns / size).toPrecision(3)} ${unit}`;
}

function lifetimes(block: Block): [string, number][] {
  const all = block.lifetimes.map((count, bucket): [string, number] => [lifetime(bucket), count]);
  const first = block.lifetimes.findIndex((count) => count > 0);
  return first < 0 ? [] : all.slice(first, block.lifetimes.length - [...block.lifetimes].reverse().findIndex((count) => count > 0));
}

function processes(block: Block): HTMLElement[] {
  const rows = (block.stats["by_process"] ?? []) as { pid: number | null; command?: string; processes?: number; peak_bytes: number }[];
  if (rows.length < 2) return [];
  const whole = rows.reduce((sum, row) => sum + row.peak_bytes, 0);
  return [
    make("h2", {}, "Processes at the peak"),
    table(
      "Processes at the peak",
      ["process", "pid", "memory", "share"],
      rows.map((r) => [r.pid === null ? `${r.processes} others` : (r.command ?? ""), r.pid === null ? "" : String(r.pid), format.bytes(r.peak_bytes), format.percent(r.peak_bytes, whole)]),
    ),
  ];
}

export function showMemory(host: HTMLElement, block: Block): void {
  if (block.earlier) host.append(make("p", { class: "path" }, "Of the later one of the two recordings."));
  host.append(make("h2", {}, `The largest resident memory (RSS), ${format.bytes(block.stats.rss_peak_bytes)}`), ...resident(block));
  host.append(...processes(block));
  host.append(make("h2", {}, "By allocator"), byName(block, "by_allocator", "Memory by allocator", "allocator"));
  host.append(make("h2", {}, "What is mapped (only the heap counts in this report)"), byName(block, "by_storage", "Memory by storage", "mapped as"));
  if (Array.isArray(block.stats["size_histogram"])) {
    host.append(make("h2", {}, "Allocations by size"), histogram("Allocations by size", "size", sizes(block)));
  }
  const ages = lifetimes(block);
  if (ages.length > 0) host.append(make("h2", {}, "Freed blocks by lifetime"), histogram("Freed blocks by lifetime", "lifetime", ages));
}
