// about.ts: the recording's own account: what it is of, what it cost, and what it lacks.

import type { Block } from "./data";
import { make } from "./dom";
import * as format from "./format";

function number(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function pairs(block: Block): [string, string][] {
  const { stats } = block;
  const lost = stats.dropped_events === null ? "not known: the recording ended before the program" : format.counted(stats.dropped_events, "event", "events");
  const own = stats.own_cpu_share === null ? "not measured" : `${(100 * stats.own_cpu_share).toFixed(1)} % of the processor time`;
  return [
    ["command", stats.command],
    ["begun", new Date(stats.start_time_s * 1000).toISOString().replace("T", " ").slice(0, 19) + " UTC"],
    ["lasted", format.clock(stats.duration_s)],
    ["mode", stats.mode + (stats.rate_bytes > 0 ? `, one sample every ${format.bytes(stats.rate_bytes)}; amounts are estimates` : "")],
    ["processes", format.count(stats.processes)],
    ["threads", format.count(stats.threads)],
    ["events", format.count(number(stats["events"]))],
    ["largest RSS", stats.rss_peak_bytes > 0 ? format.bytes(stats.rss_peak_bytes) : "not known"],
    ["lost", lost],
    ["stacks cut", format.count(number(stats["truncated_stacks"]))],
    ["memtap's own cost", own],
    ["shown as (smaller ones)", block.smallest_share > 0 ? `stacks with less than 1/${format.count(1 / block.smallest_share)} of everything` : "nothing"],
    ["trace", format.bytes(number(stats["trace_bytes"]))],
  ];
}

export function showAbout(host: HTMLElement, block: Block): void {
  const list = make("dl");
  for (const [name, value] of pairs(block)) list.append(make("dt", {}, name), make("dd", {}, value));
  const notes = make("ul");
  for (const warning of block.stats.warnings) notes.append(make("li", {}, warning));
  host.append(make("h2", {}, block.earlier ? "The later one of the two recordings" : "This recording"), list);
  if (block.stats.warnings.length > 0) host.append(make("h2", {}, "What to know"), notes);
}
