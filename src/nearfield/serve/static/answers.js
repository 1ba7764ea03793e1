// An answer with its sources, by the chat model that the operator configured; without one nothing of this is shown.
import { ask, make, of, quietly } from "./api.js";
import { t } from "./words.js";

const $ = (id) => document.getElementById(id);
let model = null;
let last = 0;
let given = null; // what is shown: shown again when the language changes

export function startAnswers(wanted) {
  $("ask").addEventListener("click", () => quietly(() => answer(wanted())));
}

export async function lookForModel() {
  model = (await ask("GET", "v1/models")).data.find((m) => m.kind === "chat")?.id ?? null;
}

export const canAnswer = () => model !== null;

export function forget() {
  last += 1;
  given = null;
  render();
}

async function answer({ name, question, filter }) {
  if (!question) {
    $("query").focus();
    return;
  }
  const turn = ++last;
  given = { waits: true };
  render();
  const body = filter ? { question, filter } : { question };
  try {
    const told = await ask("POST", of(name, "/ask"), body);
    if (turn === last) given = told;
  } catch (error) {
    if (turn === last) given = null;
    throw error;
  } finally {
    if (turn === last) render();
  }
}

export function render() {
  const place = $("answer");
  place.hidden = !given;
  place.replaceChildren();
  if (!given) return;
  if (given.waits) {
    place.append(make("p", {}, t("asking", { model })));
    return;
  }
  if (given.answer === null) {
    place.append(make("p", {}, t("nothing-to-answer")));
    return;
  }
  const sources = given.passages.filter((p) => given.citations.some((c) => c.number === p.number));
  const items = new Map(sources.map((p) => [p.number, make("li", { tabindex: "-1" },
    make("div", { class: "hit-head" }, make("span", { class: "rank" }, `${p.number}`), make("span", { class: "id" }, p.id)),
    make("p", { class: "text short" }, p.text))]));
  const notes = [given.unknown.length > 0 && t("no-source", { n: given.unknown.join(", ") }), !sources.length && t("uncited"),
    given.finish === "length" && t("answer-cut")].filter(Boolean);
  place.append(make("p", { class: "text" }, ...marked(items)));
  if (notes.length) place.append(make("p", { class: "warning" }, notes.join(" · ")));
  if (sources.length) place.append(make("h3", {}, t("sources")), make("ul", { class: "sources" }, ...items.values()));
}

// The answer's text with its citations as buttons that lead to their source; positions count characters, not UTF-16 units.
function marked(items) {
  const text = Array.from(given.answer);
  const out = [];
  let at = 0;
  for (const c of given.citations) {
    if (c.start < at) continue;
    out.push(text.slice(at, c.start).join(""));
    const said = text.slice(c.start, c.end).join("");
    const all = given.citations.filter((other) => other.start === c.start);
    const first = all.find((other) => other.id !== null);
    if (first) {
      const source = items.get(first.number);
      out.push(make("button", { type: "button", class: "cite", title: first.id, onclick: () => source.focus() }, said));
    } else out.push(make("mark", {}, said));
    at = c.end;
  }
  out.push(text.slice(at).join(""));
  return out;
}
