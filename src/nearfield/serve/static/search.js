// The search view: a query, conditions, hits, where the time went, and why a hit is where it is.
import { canAnswer, forget, lookForModel, render as renderAnswer, startAnswers } from "./answers.js";
import { ask, make, notice, of, quietly } from "./api.js";
import { startFiles } from "./files.js";
import { Conditions } from "./filters.js";
import { about as likes, forgetWorth, refined, route, worth } from "./likes.js";
import { picture, startPictures, thumbnail } from "./pictures.js";
import { touched } from "./tiers.js";
import { number, t } from "./words.js";

const $ = (id) => document.getElementById(id);
const STAGES = ["read", "queue", "embed", "search", "encode"];
const PICTURE = /^data:image\/(png|jpeg|webp|gif);base64,/;
let known = [];
let conditions;
let pictures;
let last = 0;
let answered = null; // what is shown: shown again when the language changes

export function show() {
  if (!conditions) start();
  render();
  renderAnswer();
  void quietly(() => lookForModel().then(label));
  pictures.render();
  void quietly(collections);
}

export function hide() {}

function start() {
  conditions = new Conditions($("conditions"));
  pictures = startPictures($("picture-row"), () => quietly(() => search(asked())));
  startFiles($("files"), () => $("collection").value);
  startAnswers(question);
  $("add-condition").addEventListener("click", () => conditions.add());
  $("collection").addEventListener("change", () => quietly(chosen));
  $("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void quietly(() => search(asked()));
  });
}

async function collections() {
  known = (await ask("GET", "v1/collections")).collections;
  const before = $("collection").value;
  $("collection").replaceChildren(...known.map((c) => make("option", {}, c.name)));
  if (!known.length) $("status").textContent = t("no-collections");
  if (known.some((c) => c.name === before)) $("collection").value = before;
  if (known.length && $("collection").value !== before) await chosen();
  label();
}

function current() {
  return known.find((c) => c.name === $("collection").value);
}

const sees = () => (current()?.takes ?? []).includes("image");
const named = () => Object.keys(current()?.parts?.vectors ?? {}).length > 0;
const isStamp = ([key, value]) => key === "source" && value?.stamp !== undefined; // by which a file is known again; not for people
const reads = () => (current()?.takes ?? []).includes("text");

function label() {
  $("picture-row").hidden = !sees();
  $("files").hidden = !reads();
  $("mode-label").hidden = !reads();
  $("ask").hidden = !reads() || !canAnswer();
  const word = reads() ? "query" : sees() ? "query-picture" : "query-vector";
  $("query-label").dataset.t = word;
  $("query-label").textContent = t(word);
}

async function chosen() {
  label();
  forget();
  forgetWorth();
  pictures.forget();
  answered = null;
  $("status").textContent = "";
  $("results").replaceChildren();
  $("latency").replaceChildren();
  $("plan").hidden = true;
  const told = await ask("GET", of($("collection").value, "/fields"));
  conditions.use(told.fields);
  $("add-condition").hidden = !told.fields.length;
}

function question() {
  return { name: $("collection").value, question: $("query").value.trim(), filter: conditions.filter() };
}

function asked() {
  const text = $("query").value.trim();
  const wanted = { k: Number($("k").value) || 10 };
  if ($("recall").value) wanted.recall = Number($("recall").value);
  const filter = conditions.filter();
  if (filter) wanted.filter = filter;
  if (sees() && picture()) wanted.image = picture().data;
  else if (reads()) {
    wanted.query = text;
    if ($("mode").value !== "dense") wanted.mode = $("mode").value;
  }
  else if (text.startsWith("[")) wanted.vector = JSON.parse(text);
  else wanted.id = text;
  return wanted;
}

async function search(wanted) {
  const name = $("collection").value;
  if (!name) return;
  const turn = ++last;
  $("status").textContent = t("searching");
  const begun = performance.now();
  let told;
  try {
    told = await ask("POST", of(name, route(wanted)), wanted);
  } catch (error) {
    if (turn === last) $("status").textContent = "";
    throw error;
  }
  if (turn !== last) return;
  answered = { told, wanted, name, took: performance.now() - begun };
  render();
}

function render() {
  if (!answered) return;
  const { told, wanted, name, took } = answered;
  const about = [likes(wanted), t("found", { n: told.hits.length, k: wanted.k })];
  if (told.hits.length < wanted.k) about.push(told.complete ? t("fewer") : t("incomplete"));
  $("status").textContent = about.filter(Boolean).join(" · ");
  latency(told.took, took);
  $("results").replaceChildren(...told.hits.map((hit, i) => shown(hit, i + 1, wanted, name)));
  $("plan").hidden = false;
  $("touched").textContent = touched(told.plan);
  $("plan").querySelector("pre").textContent = JSON.stringify(told.plan, null, 1);
}

function latency(took, whole) {
  const parts = STAGES.filter((stage) => took[stage]).map((stage) => [t(stage === "search" ? "searchstage" : stage), took[stage]]);
  const rest = whole - parts.reduce((sum, [, ms]) => sum + ms, 0);
  parts.push([t("network"), Math.max(0, rest)]);
  const bar = make("div", { class: "bar", "aria-hidden": "true" }, parts.map((_, i) => make("span", { class: `tone-${i === parts.length - 1 ? 4 : i}` })));
  parts.forEach(([, ms], i) => { bar.children[i].style.flexGrow = ms; });
  const legend = make("ul", { class: "legend" }, parts.map(([name, ms], i) =>
    make("li", { class: `tone-${i === parts.length - 1 ? 4 : i}` }, `${name} ${number(ms, 2)} ms`)));
  $("latency").replaceChildren(bar, legend, make("p", { class: "unseen" }, t("seconds", { n: number(whole, 1) })));
}

function shown(hit, rank, wanted, name) {
  const document_ = hit.document ?? {};
  const text = make("p", { class: "text short" }, document_.text ?? "");
  const metadata = Object.entries(document_.metadata ?? {});
  const picture = metadata.find(([, value]) => typeof value === "string" && PICTURE.test(value));
  const title = metadata.find(([key, value]) => key === "title" && typeof value === "string" && value);
  const passages = (hit.passages ?? []).filter((p) => p.text && p.text !== document_.text && p.text !== title?.[1]);
  text.hidden = passages.length > 0;
  const item = make("li", {},
    make("div", { class: "hit-head" },
      make("span", { class: "rank" }, `${rank}`),
      make("span", { class: "id" }, hit.id),
      make("span", { class: "score" }, number(hit.score, 4))),
    picture && make("img", { class: "thumbnail", src: picture[1], alt: hit.id }),
    title && make("p", { class: "title" }, title[1]),
    passages.map((p) => make("blockquote", { class: "passage", title: t("passage", { n: p.number + 1, name: p.name ?? "" }) }, p.text)),
    document_.text && text,
    sees() || !current()?.embedder ? make("span", { class: "unseen picture-place" }) : null,
    metadata.length > 0 && make("ul", { class: "metadata" }, metadata.filter((m) => m !== picture && m !== title && !isStamp(m)).map(([key, value]) =>
      make("li", {}, `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`))),
    make("button", { type: "button", class: "small", onclick: () => quietly(() => like(hit.id, wanted, true)) }, t("more")), " ",
    named() ? null : make("button", { type: "button", class: "small", onclick: () => quietly(() => like(hit.id, wanted, false)) }, t("less")), " ",
    wanted.like ? null : make("button", { type: "button", class: "small", onclick: (event) => quietly(() => why(event.target, item, hit, wanted, name, hit.passages?.[0]?.name)) }, t("why")));
  const place = item.querySelector(".picture-place");
  if (place) queueMicrotask(() => thumbnail(name, hit.id, place));
  if ((document_.text ?? "").length > 400 || text.hidden) {
    const open = () => {
      if (passages.length > 0) text.hidden = !text.hidden;
      else text.classList.toggle("short");
    };
    if (text.hidden) text.classList.remove("short");
    item.append(" ", make("button", { type: "button", class: "small", onclick: open }, t("whole")));
  }
  return item;
}

function like(id, wanted, liked) {
  window.scrollTo({ top: 0 });
  const { id: _, ...rest } = wanted;
  return search(refined(id, named() ? rest : wanted, liked));
}

// The scores that a score by words, or by meaning and words, is made of: explain tells of vectors alone.
function sides(hit) {
  const word = (side) => (["dense", "keyword"].includes(side) ? t(`mode-${side}`) : side);
  return Object.entries(hit.parts ?? {}).map(([side, score]) => `${word(side)} ${number(score, 4)}`).join(" · ");
}

async function why(button, item, hit, wanted, name, on) {
  const { id } = hit;
  const shown = item.querySelector(".why");
  if (shown) {
    shown.remove();
    button.setAttribute("aria-expanded", "false");
    return;
  }
  if (wanted.mode) {
    button.setAttribute("aria-expanded", "true");
    item.append(make("div", { class: "why", role: "status" }, sides(hit)));
    return;
  }
  const { k, filter, recall } = wanted;
  const told = { id, k, filter, recall };
  if (on) told.on = on;
  if (wanted.query !== undefined) told.query = wanted.query;
  else if (wanted.vector !== undefined) told.vector = wanted.vector;
  else if (wanted.image !== undefined) told.image = wanted.image;
  else {
    const like = (await ask("POST", of(name, "/get"), { ids: [wanted.id], vectors: "base64" })).documents[0];
    told.vector = like.vector ?? like.parts?.find((p) => (p.name ?? "") === (on ?? ""))?.vector;
  }
  const found = await ask("POST", of(name, "/explain"), told);
  button.setAttribute("aria-expanded", "true");
  const line = on ? null : await worth(name, hit, wanted);
  item.append(make("div", { class: "why", role: "status" }, found.text, line));
  notice(null);
}
