// spark.ts: a line of live bytes over the run, small.

const SPACE = "http://www.w3.org/2000/svg";

export function spark(values: Float64Array, width: number, height: number): SVGSVGElement {
  const svg = document.createElementNS(SPACE, "svg");
  const area = document.createElementNS(SPACE, "path");
  const most = values.reduce((m, v) => Math.max(m, v), 0) || 1;
  const points = Array.from(values, (value, i) => {
    const x = (i / Math.max(values.length - 1, 1)) * width;
    return `${x.toFixed(1)} ${(height - 1 - (value / most) * (height - 2)).toFixed(1)}`;
  });
  area.setAttribute("d", `M0 ${height}L${points.join("L")}L${width} ${height}Z`);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", String(width));
  svg.setAttribute("height", String(height));
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  svg.append(area);
  return svg;
}
