// measures.ts: a button for each measure of memory that a recording knows, with its sum over everything.

import type { Block } from "./data";
import { find, make } from "./dom";
import * as format from "./format";
import { choose, type Chosen, type MeasureName } from "./profile";
import { isWindowed, labelOf, MEASURES } from "./views";
import type { Window } from "./windows";

export function isKnown(block: Block, measure: string): boolean {
  return isWindowed(measure) ? block.edges !== null : Object.keys(block.measures).includes(measure);
}

export class Measures {
  private readonly buttons = new Map<MeasureName, HTMLButtonElement>();

  constructor(private readonly block: Block, chosen: (measure: MeasureName) => void) {
    MEASURES.forEach((measure, i) => {
      if (!isKnown(block, measure.name)) return;
      const button = make(
        "button",
        { type: "button", role: "radio", id: `measure-${measure.name}`, "data-key": i + 1 },
        make("b"),
        make("span", {}, labelOf(measure, block.alive)),
      );
      button.addEventListener("click", () => chosen(measure.name));
      this.buttons.set(measure.name, button);
      find("measures").append(button);
      if (!isWindowed(measure.name)) this.put(button, this.all(measure.name, { from: 0, to: 0 }));
    });
  }

  private all(measure: MeasureName, window: Window): Chosen {
    return choose(this.block, { measure, window, process: -1, thread: -1, allocator: -1, nodes: null });
  }

  private put(button: HTMLButtonElement, { sum, before }: Chosen): void {
    button.dataset["bytes"] = String(sum.bytes);
    button.dataset["count"] = String(sum.count);
    button.title = `${format.count(sum.bytes)} bytes (${button.dataset["key"]})`;
    (button.firstElementChild as HTMLElement).textContent = `${format.amount(sum.bytes, before !== null)}${format.margin(sum.variance)}`;
  }

  // Of a window only the measure that is chosen is shown.
  show(measure: string, window: Window): void {
    for (const [name, button] of this.buttons) {
      button.setAttribute("aria-checked", String(name === measure));
      if (isWindowed(name)) button.hidden = name !== measure;
      if (isWindowed(name) && name === measure) this.put(button, this.all(name, window));
    }
  }
}
