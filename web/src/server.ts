// server.ts: data from `memtap serve`: the block of a recording, news of it, questions. Paths are relative, so that a proxy may put the
// server anywhere; credentials are the browser's own.

import { type Block, decode, type Source } from "./data";

export interface Target {
  target: number;
  name: string;
}

export interface Answer {
  names: string[];
  columns: (string | number | null)[][];
}

async function refusal(response: Response): Promise<Error> {
  let detail = `${response.status}`;
  try {
    detail = ((await response.json()) as { detail?: string }).detail ?? detail;
  } catch {
    // not one of the server's own answers
  }
  return new Error(detail);
}

export class ServerSource implements Source {
  version = 0; // of the block that was read last

  constructor(readonly target: number) {}

  async block(): Promise<Block> {
    const response = await fetch(`page/block?target=${this.target}`);
    if (!response.ok) throw await refusal(response);
    const block = await decode(new Uint8Array(await response.arrayBuffer()));
    this.version = Number(response.headers.get("X-Memtap-Version"));
    return block;
  }

  // Calls back for each new version until the signal ends it; an interrupted connection is made again.
  async follow(changed: (version: number, growing: boolean) => void, signal: AbortSignal): Promise<void> {
    for (let pause = 500; !signal.aborted; pause = Math.min(2 * pause, 15000)) {
      try {
        const response = await fetch(`events?target=${this.target}`, { signal });
        if (!response.ok || !response.body) throw await refusal(response);
        pause = 500;
        await readEvents(response.body, changed);
      } catch {
        // gone, or ended by the signal
      }
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async query(sql: string): Promise<Answer> {
    const response = await fetch(`query/dto?target=${this.target}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ expr: sql, opts: { limit: 1000 } }),
    });
    if (!response.ok) throw await refusal(response);
    const { payload } = (await response.json()) as { payload: { value: { names: string[]; cols: Record<string, (string | number | null)[]>[] } } };
    return { names: payload.value.names, columns: payload.value.cols.map((column) => Object.values(column)[0] ?? []) };
  }
}

async function readEvents(body: ReadableStream<Uint8Array>, changed: (version: number, growing: boolean) => void): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const events = (text + part.value).split("\n\n");
    text = events.pop() ?? "";
    for (const event of events) {
      const data = /^data: (.*)$/m.exec(event);
      if (data) {
        const news = JSON.parse(data[1] as string) as { version: number; growing: boolean };
        changed(news.version, news.growing);
      }
    }
  }
}

export async function targets(): Promise<Target[]> {
  const response = await fetch("targets");
  if (!response.ok) throw await refusal(response);
  return ((await response.json()) as { targets: Target[] }).targets;
}
