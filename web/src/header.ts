// header.ts: the line above everything: what was recorded, when, how long, how; and what is wrong with it, if anything is.

import type { Block } from "./data";
import { find, make } from "./dom";
import * as format from "./format";

function factsOf(block: Block): string[] {
  const { stats } = block;
  const began = new Date(stats.start_time_s * 1000);
  const parts = [
    began.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }),
    format.clock(stats.duration_s),
    `${format.counted(stats.processes, "process", "processes")}, ${format.counted(stats.threads, "thread", "threads")}`,
    stats.mode === "sample" ? `sampled every ${format.bytes(stats.rate_bytes)}, amounts ±` : stats.mode,
  ];
  if (stats.rss_peak_bytes > 0) parts.push(`largest RSS ${format.bytes(stats.rss_peak_bytes)}`);
  if (stats.own_cpu_share !== null) parts.push(`memtap took ${(100 * stats.own_cpu_share).toFixed(1)} % of the CPU time`);
  if (block.earlier) {
    const before = new Date(block.earlier.stats.start_time_s * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    parts.unshift(`compared with ${block.earlier.program} of ${before}, ${format.clock(block.earlier.stats.duration_s)}`);
  }
  return parts;
}

// What is wrong, and nothing else.
function chipsOf(block: Block): string[] {
  const { stats } = block;
  const wrong: string[] = [];
  if ((stats.exit_code ?? 0) > 128) wrong.push(`killed by signal ${(stats.exit_code ?? 0) - 128}`);
  if (stats.dropped_events === null) wrong.push("recording ended early");
  else if (stats.dropped_events > 0) wrong.push(`${format.counted(stats.dropped_events, "event", "events")} lost`);
  return wrong;
}

export function showHeader(block: Block): void {
  document.title = `${block.program} · memtap`;
  find("program").textContent = block.program;
  find("facts").textContent = factsOf(block).join(" · ");
  for (const text of chipsOf(block)) find("chips").append(make("span", { class: "chip" }, text));
}
