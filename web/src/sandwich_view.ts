// sandwich_view.ts: two flame graphs around one function: its callers above, what it calls below.

import type { Block } from "./data";
import { clear, find, make } from "./dom";
import { Flame } from "./flame";
import * as format from "./format";
import type { Names } from "./names";
import type { Chosen, Line } from "./profile";
import { sandwich } from "./sandwich";

const OFFERED = 40;

export class SandwichView {
  private readonly callers: Flame;
  private readonly callees: Flame;

  constructor(
    private readonly block: Block,
    private readonly names: Names,
    private readonly onFrame: (frame: number) => void,
  ) {
    const none = { selected: () => undefined, zoomed: () => undefined };
    this.callers = new Flame(find("callers"), find<HTMLTableSectionElement>("mirror-callers"), names, none);
    this.callees = new Flame(find("callees"), find<HTMLTableSectionElement>("mirror-callees"), names, none);
    this.callers.upwards = true;
    this.callers.closedImports = this.callees.closedImports = false;
    const choice = find<HTMLSelectElement>("sandwich-of");
    choice.addEventListener("change", () => this.onFrame(Number(choice.value)));
  }

  // The lines that hold most, and the frame that is shown.
  private offer(lines: Line[], frame: number): void {
    const choice = find<HTMLSelectElement>("sandwich-of");
    const frames = new Set([frame, ...lines.slice(0, OFFERED).map((line) => line.frame)]);
    clear(choice);
    for (const one of frames) choice.append(make("option", { value: one }, this.names.label(one)));
    choice.value = String(frame);
  }

  // Returns the frame that is shown: the one asked for, or that of the biggest line.
  show(chosen: Chosen, lines: Line[], asked: number): number {
    const known = asked > 0 && asked < this.names.frameCount;
    const frame = known ? asked : (lines[0]?.frame ?? 0);
    const { callers, callees } = sandwich(this.block, chosen, frame);
    this.offer(lines, frame);
    this.callers.show(callers);
    this.callees.show(callees);
    const bytes = callees.bytes[0] as number;
    const sum = find("sandwich-sum");
    sum.textContent = `${format.amount(bytes, chosen.before !== null)}, ${format.percent(bytes, chosen.whole)} of what ${chosen.before !== null ? "was there before" : "is shown"}`;
    sum.dataset["bytes"] = String(bytes);
    sum.dataset["callers"] = String(callers.bytes[0]);
    return frame;
  }
}
