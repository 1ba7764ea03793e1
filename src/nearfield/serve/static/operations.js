// The operations view: figures, tiers, collections with their indexes and live recall, jobs. Asked anew while it is shown.
import { ask, make, of, quietly } from "./api.js";
import { chart } from "./charts.js";
import { pinControl, placeOf, showTiers, tiersOf } from "./tiers.js";
import { number, size, t } from "./words.js";

const $ = (id) => document.getElementById(id);
const EVERY = 5000;
const SEARCH = "route=POST /v1/collections/{name}/search";
const opened = new Set();
let timer = null;

export function show() {
  hide();
  const turn = async () => {
    await quietly(refresh);
    if (timer !== null) timer = setTimeout(turn, EVERY);
  };
  timer = 0;
  void turn();
}

export function hide() {
  if (timer) clearTimeout(timer);
  timer = null;
}

async function refresh() {
  const [ready, summary, { collections }, { jobs }, tiers] = await Promise.all([
    ask("GET", "readyz"), ask("GET", "metrics-summary"), ask("GET", "v1/collections"), ask("GET", "v1/jobs"), ask("GET", "v1/tiers"),
  ]);
  figures(ready, summary, collections);
  showTiers(tiers);
  const panels = await Promise.all(collections.map(async (c) => {
    const [stats, recall] = await Promise.all([ask("GET", of(c.name, "/stats")), ask("GET", of(c.name, "/recall"))]);
    return panel(c, stats, recall, tiers);
  }));
  if (!$("collections").contains(document.activeElement)) $("collections").replaceChildren(...panels);
  if (!$("jobs").contains(document.activeElement)) $("jobs").replaceChildren(table(jobs));
}

function figures(ready, summary, collections) {
  const search = summary.request_seconds?.[SEARCH];
  const answered = Object.values(summary.requests ?? {}).reduce((sum, n) => sum + n, 0);
  const milliseconds = (seconds) => (seconds == null ? "–" : `${number(1000 * seconds, 2)} ms`);
  const rows = [
    [t("ready"), ready.ready ? t("yes") : t("waiting", { count: ready.waiting ?? 0 })],
    [t("documents"), number(collections.reduce((sum, c) => sum + c.documents, 0))],
    [t("requests"), number(answered)],
    [t("p50"), milliseconds(search?.p50)],
    [t("p99"), milliseconds(search?.p99)],
    [t("resident"), size(summary.process_resident_bytes?.all ?? 0)],
  ];
  $("figures").replaceChildren(...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function panel(c, stats, recall, tiers) {
  const indexes = stats.segments.filter((s) => s.index);
  const sum = (values) => values.reduce((all, v) => all + v, 0);
  const rows = [
    [t("documents"), `${number(c.documents)} · dim ${c.dim} · ${c.metric} · ${c.embedder ?? "–"}`],
    [t("pending"), number(stats.pending)],
    [t("dead"), number(stats.tombstones)],
    [t("disk"), size(sum(stats.segments.map((s) => s.nbytes)))],
    [t("index-disk"), size(sum(indexes.map((s) => s.index.nbytes)))],
    [t("index-memory"), size(sum(indexes.map((s) => s.index.resident_bytes)))],
    [t("tiers"), tiersOf(c, stats, tiers)],
    [t("target"), `${c.recall}` + (recall.margin ? ` · ${t("margin", { n: recall.margin })}` : "")],
    [t("live"), live(recall)],
  ];
  const segments = stats.segments.map((s) => {
    const name = s.index ? `${s.index.recipe} (${size(s.index.nbytes)})` : t("scan");
    const key = `${c.name}/${s.number}`;
    const curve = s.index && curveOf(s.index, c.recall);
    const details = make("details", { open: opened.has(key), ontoggle: (e) => (e.target.open ? opened.add(key) : opened.delete(key)) },
      make("summary", {}, `${t("segment")} ${s.number}: ${number(s.live)} ${t("rows")}, ${name} · ${placeOf(s)}`),
      s.index && make("p", {}, s.index.reason), curve);
    return details;
  });
  return make("section", { class: "panel" }, make("h3", {}, c.name),
    make("div", { class: "scroll" }, make("table", {}, make("tbody", {}, rows.map(([name, value]) =>
      make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)))))),
    segments, pinControl(c, stats, tiers, refresh), actions(c));
}

function live(recall) {
  const found = Object.entries(recall.traffic ?? {});
  if (!found.length) return t("unmeasured");
  return make("span", {}, found.map(([traffic, r], i) => make("span", { class: r.lower >= recall.target ? "good" : r.upper < recall.target ? "bad" : "" },
    `${i ? " · " : ""}${t(traffic)} ${number(r.recall, 3)} (${number(r.lower, 3)} – ${number(r.upper, 3)}, ${number(r.samples)} ${t("samples")}${r.bounded ? `, ${t("bounded")}` : ""})`)));
}

function curveOf(index, target) {
  const all = (index.curve.points ?? []).filter((p) => p.k === 10 && (p.share ?? 1) === 1 && p.seconds > 0);
  const real = all.filter((p) => p.source !== "held-out rows");
  const points = (real.length ? real : all).map((p) => ({
    x: 1000 * p.seconds, y: p.recall, low: p.bound,
    title: `${Object.entries(p.effort).map(([k, v]) => `${k}=${v}`).join(" ")}: ${number(p.recall, 4)} (≥ ${number(p.bound, 4)}), ${number(1000 * p.seconds, 3)} ms, ${p.source}`,
  })).sort((a, b) => a.x - b.x);
  if (!points.length) return null;
  return make("figure", {}, chart(points, { title: t("curve"), x: t("msaxis"), y: t("recallaxis", { k: 10 }), logx: true, target, line: true }), make("figcaption", {}, t("curve")));
}

function actions(c) {
  const minutes = make("input", { type: "number", min: "0.1", step: "any", value: "5", "aria-label": t("minutes") });
  const apply = make("input", { type: "checkbox" });
  const start = (path, body) => () => quietly(async () => {
    document.activeElement?.blur();
    await ask("POST", of(c.name, path), body());
    await refresh();
  });
  return make("div", { class: "row" },
    make("label", {}, make("span", {}, `${t("tune")}: ${t("minutes")}`), minutes),
    make("label", {}, make("span", {}, t("apply")), apply),
    make("button", { type: "button", onclick: start("/tune", () => ({ minutes: Number(minutes.value), apply: apply.checked })) }, t("tune")),
    make("button", { type: "button", onclick: start("/rebuild", () => ({})) }, t("rebuild")),
    make("button", { type: "button", onclick: start("/optimize", () => ({})) }, t("optimize")));
}

function table(jobs) {
  if (!jobs.length) return make("p", {}, t("no-jobs"));
  const head = ["job", "collection", "state", "progress"].map((name) => make("th", { scope: "col" }, t(name)));
  const rows = jobs.map((job) => {
    const told = job.error ? `${t("why_failed")}: ${job.error.message}` : (job.progress ?? []).at(-1) ?? "";
    const front = job.kind === "tune" && job.result ? frontOf(job.result) : null;
    return make("tr", {}, make("td", {}, job.kind), make("td", {}, job.collection ?? ""),
      make("td", { class: job.state === "failed" ? "bad" : job.state === "done" ? "good" : "" }, t(job.state === "waiting" ? "state-waiting" : job.state)),
      make("td", {}, told, front, job.state === "waiting" && make("button", { type: "button", class: "small", onclick: () => quietly(() => ask("DELETE", `v1/jobs/${job.id}`)) }, t("cancel"))));
  });
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows)));
}

function frontOf(result) {
  const best = JSON.stringify(result.best.kind);
  const points = result.measured.filter((m) => m.seconds > 0 && m.recall > 0 && m.effort).map((m) => ({
    x: m.recall, y: m.qps || 1 / m.seconds, kind: JSON.stringify(m.kind) === best ? "best" : m.whole ? "" : "off",
    title: `${JSON.stringify(m.kind)} ${JSON.stringify(m.effort)}: ${number(m.recall, 4)}, ${number(m.qps || 1 / m.seconds)}/s, ${size(m.resident)}`,
  }));
  return make("div", {}, make("p", {}, result.best.reason),
    points.length > 0 && make("figure", {}, chart(points, { title: t("front"), x: t("recallaxis", { k: result.goal.k }), y: t("qpsaxis"), logy: true, targetx: result.goal.recall }), make("figcaption", {}, t("front"))));
}
