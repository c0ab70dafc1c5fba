// colors.ts: hues by what a frame is to the person whose program it is; lightness by file. Both themes.

import { Role } from "./data";

export interface Palette {
  dark: boolean;
  text: string;
  faint: string;
  line: string;
  background: string;
  accent: string;
}

export function palette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string) => style.getPropertyValue(name).trim();
  return {
    dark: value("--scheme") === "dark",
    text: value("--text"),
    faint: value("--faint"),
    line: value("--line"),
    background: value("--background"),
    accent: value("--accent"),
  };
}

function hash(text: string): number {
  let h = 7;
  for (let i = 0; i < text.length; i++) h = (h * 31 + text.charCodeAt(i)) | 0;
  return (h >>> 0) / 2 ** 32;
}

// What grew is orange, what shrank is blue, more so the more of it; balance: from -1 (all of it shrank) to 1. Safe for colour-blind eyes.
export function changeFill(balance: number, dark: boolean): string {
  const strength = Math.min(Math.abs(balance), 1);
  const [hue, saturation] = balance >= 0 ? [28, 30 + 65 * strength] : [212, 25 + 60 * strength];
  return `hsl(${hue} ${saturation}% ${dark ? 24 + 12 * strength : 88 - 18 * strength}%)`;
}

export function fill(role: Role, path: string, dark: boolean): string {
  const step = hash(path);
  switch (role) {
    case Role.Program:
      return dark ? `hsl(26 62% ${30 + 10 * step}%)` : `hsl(30 95% ${68 + 10 * step}%)`;
    case Role.Library:
      return dark ? `hsl(210 28% ${25 + 8 * step}%)` : `hsl(210 42% ${81 + 8 * step}%)`;
    case Role.Wrapper:
      return dark ? `hsl(262 14% ${29 + 6 * step}%)` : `hsl(262 24% ${83 + 6 * step}%)`;
    default:
      return dark ? "hsl(220 5% 20%)" : "hsl(220 10% 93%)";
  }
}
