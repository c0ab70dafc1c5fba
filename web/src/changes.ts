// changes.ts: of a difference: which lines appeared, vanished, grew and shrank, each with its sum. All of them together are the difference.

import type { Block } from "./data";
import { clear, find, make } from "./dom";
import * as format from "./format";
import type { Names } from "./names";
import { plainTable } from "./plain_table";
import type { Line } from "./profile";

const SHOWN = 100; // of each kind; Lines has all

type Kind = "appeared" | "vanished" | "grew" | "shrank";
const KINDS: { kind: Kind; head: string }[] = [
  { kind: "appeared", head: "Appeared" },
  { kind: "vanished", head: "Vanished" },
  { kind: "grew", head: "Grew" },
  { kind: "shrank", head: "Shrank" },
];

// As memtap diff says it: by bytes, by blocks where bytes are equal.
function kindOf(line: Line): Kind {
  if (line.before.count === 0 && line.before.bytes === 0) return "appeared";
  if (line.before.count + line.count === 0 && line.before.bytes + line.bytes === 0) return "vanished";
  return (line.bytes !== 0 ? line.bytes : line.count) > 0 ? "grew" : "shrank";
}

function rowOf(line: Line, names: Names, picked: (line: Line) => void): (string | HTMLElement)[] {
  const button = make("button", { type: "button", title: names.fullPlace(line.frame) }, names.line(line.frame));
  button.addEventListener("click", () => picked(line));
  return [button, format.amount(line.bytes, true) + format.margin(line.variance), format.bytes(line.before.bytes), format.bytes(line.before.bytes + line.bytes), format.count(line.count)];
}

// What is folded on one side may have been there.
function doubtOf(block: Block): string {
  const share = Math.max(block.smallest_share, block.earlier?.smallest_share ?? 0);
  return share > 0 ? `Lines with less than 1/${format.count(1 / share)} of everything are in (smaller ones) on either side: what appeared or vanished may have been so small.` : "";
}

const NOTHING =
  "Nothing is compared. Of two times of this recording: brush the timeline and press c. Of two recordings: memtap flamegraph --diff OLD NEW";

// lines: of what changed; null: nothing is compared.
export function showChanges(block: Block, lines: Line[] | null, names: Names, picked: (line: Line) => void): void {
  const host = find("view-changes");
  clear(host);
  if (!lines) {
    host.append(make("p", { class: "empty" }, NOTHING));
    return;
  }
  for (const { kind, head } of KINDS) {
    const some = lines.filter((line) => kindOf(line) === kind);
    const bytes = some.reduce((sum, line) => sum + line.bytes, 0);
    host.append(make("h2", { id: `changes-${kind}`, "data-bytes": bytes, "data-lines": some.length }, `${head}: ${format.counted(some.length, "line", "lines")}, ${format.amount(bytes, true)}`));
    if (some.length === 0) continue;
    const rows = some.slice(0, SHOWN).map((line) => rowOf(line, names, picked));
    host.append(plainTable(head, ["line", "change", "before", "after", "blocks"], rows));
    if (some.length > SHOWN) host.append(make("p", { class: "path" }, `and ${format.count(some.length - SHOWN)} more: see Lines`));
  }
  const doubt = doubtOf(block);
  if (doubt !== "") host.append(make("p", { class: "path" }, doubt));
}
