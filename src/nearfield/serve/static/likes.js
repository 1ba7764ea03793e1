// More and less like a hit: what a search turns into, and what a score is worth.
import { ask, make, of } from "./api.js";
import { number, t } from "./words.js";

const MOST = 20;
const backgrounds = new Map();

// What is searched by, as examples: the text, the vector, the document, or the likes so far.
function examples(wanted) {
  if (wanted.like) return wanted.like;
  if (wanted.id !== undefined) return [wanted.id];
  if (wanted.query !== undefined) return [{ text: wanted.query }];
  return wanted.vector === undefined ? [] : [{ vector: wanted.vector }];
}

// The search after a click: by one document as before, or a recommendation by all that was liked and disliked.
export function refined(id, wanted, liked) {
  const { query, vector, image, id: before, like: _, unlike = [], strategy, mode, ...rest } = wanted;
  const others = unlike.filter((one) => one !== id);
  const first = liked && !wanted.like && wanted.id === undefined;
  const like = (first ? [] : examples(wanted)).filter((one) => one !== id);
  if (liked && !like.length && !others.length) return { ...rest, id };
  const made = { ...rest, like: (liked ? [...like, id] : like).slice(-MOST), unlike: (liked ? others : [...others, id]).slice(-MOST) };
  return made.like.length ? made : { ...made, strategy: "best" };
}

export function about(wanted) {
  const named = (several) => several.map((one) => (typeof one === "string" ? one : one.text ?? t("a-vector"))).join(", ");
  if (wanted.id !== undefined) return t("like", { id: wanted.id });
  if (!wanted.like) return null;
  return [wanted.like.length && t("like", { id: named(wanted.like) }), wanted.unlike.length && t("unlike", { id: named(wanted.unlike) })]
    .filter(Boolean).join(" · ");
}

export const route = (wanted) => (wanted.like ? "/recommend" : "/search");

// A line about a score; null where it compares nothing, or there are too few documents to say.
export async function worth(name, hit, wanted) {
  if (hit.parts || wanted.strategy || wanted.mode) return null;
  if (!backgrounds.has(name)) backgrounds.set(name, ask("GET", of(name, "/background")).catch(() => null));
  const told = await backgrounds.get(name);
  const below = Object.entries(told?.quantiles ?? {}).filter(([, score]) => score < hit.score).map(([percent]) => Number(percent));
  if (!below.length) return null;
  return make("p", { class: "worth" }, t("worth", { n: number(Math.max(...below), 2).replace(/[.,]?0+$/, ""), pairs: number(told.pairs) }));
}

export function forgetWorth() {
  backgrounds.clear();
}
