// filters.ts: the selects that leave only what one process, thread or allocator allocated.

import type { Block } from "./data";
import { find, make } from "./dom";
import type { State } from "./state";

type Filter = "process" | "thread" | "allocator";
const FILTERS: { id: Filter; all: string; names: (block: Block) => string[] }[] = [
  { id: "process", all: "all processes", names: processNames },
  { id: "thread", all: "all threads", names: (block) => block.threads.tid.map((_tid, i) => threadName(block, i)) },
  { id: "allocator", all: "all allocators", names: allocatorNames },
];

function threadName(block: Block, thread: number): string {
  const { threads, processes, strings } = block;
  const process = threads.process[thread] as number;
  const name = strings[threads.name[thread] as number] ?? "";
  const where = processes.pid.length > 1 ? `${processes.pid[process]}/` : "";
  return `${name} (${where}${threads.tid[thread]})`;
}

function processNames(block: Block): string[] {
  const { pid, program } = block.processes;
  return pid.map((number, i) => `${block.strings[program[i] as number]} (${number})`);
}

// Those that allocated something.
function allocatorNames(block: Block): string[] {
  const used = new Set(block.rows.allocator);
  return block.allocators.map((name, i) => (used.has(i) ? name : ""));
}

// Calls back after the state has what was chosen. A select with one choice is not shown.
export function offerFilters(block: Block, state: State, chosen: () => void): void {
  for (const filter of FILTERS) {
    const select = find<HTMLSelectElement>(filter.id);
    const names = block.earlier && filter.id !== "allocator" ? [] : filter.names(block); // other runs have other threads
    (select.parentElement as HTMLElement).hidden = names.filter((name) => name !== "").length < 2;
    select.append(make("option", { value: -1 }, filter.all));
    names.forEach((name, i) => {
      if (name !== "") select.append(make("option", { value: i }, name));
    });
    select.addEventListener("change", () => {
      state[filter.id] = Number(select.value);
      chosen();
    });
  }
}

export function showFilters(state: State): void {
  for (const { id } of FILTERS) find<HTMLSelectElement>(id).value = String(state[id]);
}
