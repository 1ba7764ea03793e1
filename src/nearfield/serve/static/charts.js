// Charts as SVG elements: points with a title each, axes with few ticks. Colours come from style.css.
import { number } from "./words.js";

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 480, HEIGHT = 240, LEFT = 66, RIGHT = 14, TOP = 12, BOTTOM = 38;

function svg(tag, attributes = {}, text) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text != null) element.textContent = text;
  return element;
}

function scale(values, log) {
  const f = log ? Math.log10 : (v) => v;
  let low = Math.min(...values), high = Math.max(...values);
  if (low === high) { low = log ? low / 2 : low - 0.05; high = log ? high * 2 : high + 0.05; }
  return { low, high, at: (v) => (f(v) - f(low)) / (f(high) - f(low)), ticks: ticks(low, high, log) };
}

function ticks(low, high, log) {
  if (log) {
    const all = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e += 1) for (const m of [1, 2, 5]) all.push(m * 10 ** e);
    const found = all.filter((v) => v >= low && v <= high);
    return found.length > 1 ? found : [low, high];
  }
  const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5].find((s) => (high - low) / s <= 5) ?? (high - low) / 4;
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, i) => first + i * step);
}

const digits = (v) => (v >= 100 ? 0 : v >= 10 ? 1 : v >= 1 ? 2 : 3);

// points: {x, y, low, title, kind}; options: title, x, y (axis names), logx, logy, target (of y), targetx, line.
export function chart(points, options) {
  const xs = scale([...points.map((p) => p.x), ...(options.targetx ? [options.targetx] : [])], options.logx);
  const ys = scale([...points.flatMap((p) => (p.low == null ? [p.y] : [p.y, p.low])), ...(options.target ? [options.target] : [])], options.logy);
  const X = (v) => LEFT + xs.at(v) * (WIDTH - LEFT - RIGHT), Y = (v) => HEIGHT - BOTTOM - ys.at(v) * (HEIGHT - TOP - BOTTOM);
  const root = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": options.title });
  for (const v of xs.ticks) {
    root.append(svg("line", { class: "axis", x1: X(v), x2: X(v), y1: TOP, y2: HEIGHT - BOTTOM }));
    root.append(svg("text", { x: X(v), y: HEIGHT - BOTTOM + 14, "text-anchor": "middle" }, number(v, digits(v))));
  }
  for (const v of ys.ticks) {
    root.append(svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: Y(v), y2: Y(v) }));
    root.append(svg("text", { x: LEFT - 6, y: Y(v) + 4, "text-anchor": "end" }, number(v, digits(v))));
  }
  root.append(svg("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, options.x));
  root.append(svg("text", { x: 12, y: (HEIGHT - BOTTOM) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(HEIGHT - BOTTOM) / 2})` }, options.y));
  if (options.target) root.append(svg("line", { class: "target", x1: LEFT, x2: WIDTH - RIGHT, y1: Y(options.target), y2: Y(options.target) }));
  if (options.targetx) root.append(svg("line", { class: "target", x1: X(options.targetx), x2: X(options.targetx), y1: TOP, y2: HEIGHT - BOTTOM }));
  if (options.line) {
    root.append(svg("polyline", { class: "line", points: points.map((p) => `${X(p.x)},${Y(p.y)}`).join(" ") }));
    const lower = points.filter((p) => p.low != null);
    if (lower.length) root.append(svg("polyline", { class: "bound", points: lower.map((p) => `${X(p.x)},${Y(p.low)}`).join(" ") }));
  }
  for (const p of points) {
    const dot = svg("circle", { class: `dot ${p.kind ?? ""}`, cx: X(p.x), cy: Y(p.y), r: p.kind === "best" ? 6 : 4 });
    dot.append(svg("title", {}, p.title));
    root.append(dot);
  }
  return root;
}
