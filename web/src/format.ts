// format.ts: numbers as people read them, the same way the terminal writes them (src/util/human.c).

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

function threeDigits(value: number): string {
  return value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

export function bytes(amount: number): string {
  let size = Math.abs(amount);
  let unit = 0;
  while (size >= (unit === 0 ? 1023.5 : 999.5) && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  const text = unit === 0 ? size.toFixed(0) : threeDigits(size);
  return `${amount < 0 ? "-" : ""}${text} ${UNITS[unit]}`;
}

// With a sign where it is a change.
export function amount(bytesOf: number, signed: boolean): string {
  return signed && bytesOf > 0 ? `+${bytes(bytesOf)}` : bytes(bytesOf);
}

export function count(amount: number): string {
  return Math.round(amount).toLocaleString("en-US");
}

export function counted(amount: number, one: string, many: string): string {
  return `${count(amount)} ${Math.round(amount) === 1 ? one : many}`;
}

export function percent(part: number, whole: number): string {
  if (part < 0) return percent(-part, whole).replace(/^(?=[1-9]|0\.)/, "-");
  const share = whole > 0 ? (100 * part) / whole : 0;
  return share >= 9.95 || share === 0 ? `${share.toFixed(0)} %` : share >= 0.095 ? `${share.toFixed(1)} %` : "<0.1 %";
}

// "463 ms", "7.2 s", "4:55", "2:05:10".
export function clock(seconds: number): string {
  if (seconds < 1) {
    return `${Math.max(seconds * 1000, 0).toFixed(0)} ms`;
  }
  if (seconds < 60) {
    return `${seconds.toFixed(1)} s`;
  }
  const whole = Math.floor(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = `${two(whole % 60)}`;
  return hours > 0 ? `${hours}:${two(Math.floor(whole / 60) % 60)}:${rest}` : `${Math.floor(whole / 60)}:${rest}`;
}

export function ci95(variance: number): number {
  return variance > 0 ? 1.959963984540054 * Math.sqrt(variance) : 0;
}

// " ±1.20 MiB" of an estimate; nothing of what is exact.
export function margin(variance: number): string {
  return variance > 0 ? ` ±${bytes(ci95(variance))}` : "";
}
