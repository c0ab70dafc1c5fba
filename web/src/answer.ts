// answer.ts: the one sentence most people came for.

import { Role } from "./data";
import { clear, find, make } from "./dom";
import * as format from "./format";
import type { Names } from "./names";
import type { Chosen, Line } from "./profile";

const HELD = new Set(["peak", "live"]);

function verbOf(measure: string, line: Line, chosen: Chosen): string {
  return chosen.before ? (line.bytes < 0 ? "shrank by" : "grew by") : HELD.has(measure) ? "holds" : "allocated";
}

function wholeOf({ sum, before, whole }: Chosen): string {
  return before
    ? `; all in all ${format.amount(sum.bytes, true)}${format.margin(sum.variance)} from ${format.bytes(whole)}`
    : ` of the ${format.bytes(sum.bytes)} in ${format.counted(sum.count, "block", "blocks")}`;
}

// measure: its name, and in words.
export function showAnswer(lines: Line[], chosen: Chosen, names: Names, measure: { name: string; words: string }, picked: (line: Line) => void): void {
  const host = find("answer");
  const line = lines.find((l) => !l.import && names.role(l.frame) !== Role.Marker) ?? lines[0];
  clear(host);
  if (!line) {
    host.append(chosen.before ? `Nothing changed of what was ${measure.words}.` : `Nothing was ${measure.words}.`);
    return;
  }
  const name = make("button", { type: "button" }, names.line(line.frame));
  name.addEventListener("click", () => picked(line));
  const growth = names.growth(line);
  const grows = measure.name === "live" && !chosen.before && growth.startsWith("+") ? `, growing ${growth}` : "";
  const bytes = format.bytes(chosen.before ? Math.abs(line.bytes) : line.bytes);
  const share = chosen.before ? "" : `, ${format.percent(line.bytes, chosen.whole)}`;
  host.append(name, ` ${verbOf(measure.name, line, chosen)} ${bytes}${format.margin(line.variance)}${share}${wholeOf(chosen)} ${measure.words}${grows}`);
}
