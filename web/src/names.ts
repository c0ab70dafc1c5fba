// names.ts: what frames are called. Texts of the target, so they only ever reach the page by textContent.

import { type Block, Role } from "./data";
import * as format from "./format";
import { isSteady, type Line } from "./profile";

const LEAST_SECONDS = 1; // over less time a slope says how a program begins and ends

export class Names {
  constructor(private readonly block: Block) {}

  private text(column: number[], frame: number): string {
    return this.block.strings[column[frame] ?? 0] ?? "";
  }

  get frameCount(): number {
    return this.block.frames.function.length;
  }

  function(frame: number): string {
    return frame === 0 ? "all" : this.text(this.block.frames.function, frame);
  }

  role(frame: number): Role {
    return this.block.frames.role[frame] ?? Role.Marker;
  }

  path(frame: number): string {
    return this.text(this.block.frames.path, frame);
  }

  // "cache.py:31", "libssl.so.3", "".
  place(frame: number): string {
    const place = this.text(this.block.frames.place, frame);
    const line = this.block.frames.line[frame] ?? 0;
    return line > 0 && place !== "" ? `${place}:${line}` : place;
  }

  fullPlace(frame: number): string {
    const path = this.path(frame);
    const line = this.block.frames.line[frame] ?? 0;
    return line > 0 && path !== "" ? `${path}:${line}` : path;
  }

  // "handle  cache.py:31"
  label(frame: number): string {
    const place = frame === 0 ? "" : this.place(frame);
    return place === "" ? this.function(frame) : `${this.function(frame)}  ${place}`;
  }

  // "cache.py:31 handle", as tables name a line.
  line(frame: number): string {
    const place = this.place(frame);
    return place === "" ? this.function(frame) : `${place} ${this.function(frame)}`;
  }

  // Of each frame: has its function or its path the text (in lower case) in it?
  matching(text: string): Uint8Array {
    const hits = this.block.strings.map((string) => string.toLowerCase().includes(text));
    const { function: functions, path } = this.block.frames;
    return Uint8Array.from(functions, (name, i) => (i > 0 && (hits[name] || hits[path[i] as number]) ? 1 : 0));
  }

  // The label in so much room: first the folders go, then the place, then the end of the function.
  fitted(frame: number, room: number, measure: (text: string) => number): string {
    const place = this.place(frame);
    const name = this.function(frame);
    const whole = this.label(frame);
    if (measure(whole) <= room) return whole;
    const short = `${name}  …${place.slice(place.lastIndexOf("/"))}`;
    if (place.includes("/") && measure(short) <= room) return short;
    if (measure(name) <= room) return name;
    let length = Math.min(name.length, Math.floor(room / 4));
    while (length > 1 && measure(`${name.slice(0, length)}…`) > room) length--;
    return length > 1 ? `${name.slice(0, length)}…` : "";
  }

  growth(line: Line): string {
    const seconds = this.block.stats.duration_s;
    if (Number.isNaN(line.growth)) return "–";
    const uncertain = format.ci95(line.alive.variance) > line.alive.bytes / 4;
    const steady = isSteady(line, seconds);
    if (steady && !uncertain) return "steady";
    if (steady || seconds < LEAST_SECONDS) return "–"; // as memtap leaks says it (src/export/rows_text.c)
    const minutes = seconds >= 60;
    const sign = line.growth > 0 ? "+" : "";
    return `${sign}${format.bytes(line.growth * (minutes ? 60 : 1))}/${minutes ? "min" : "s"}`;
  }

  age(line: Line): string {
    return Number.isNaN(line.age) ? "–" : format.clock(line.age);
  }
}
