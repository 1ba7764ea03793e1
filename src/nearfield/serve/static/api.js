// Speaks to the API; makes elements. Text from documents only ever becomes text nodes.
import { t } from "./words.js";

export class Failed extends Error {
  constructor(status, told) {
    super([told.message, told.field && `${told.field}: ${told.received ?? ""}`, told.expected && `→ ${told.expected}`, told.remedy].filter(Boolean).join("\n"));
    this.status = status;
  }
}

export function useKey(key) {
  sessionStorage.setItem("nearfield.key", key);
}

export async function ask(method, path, body) {
  const headers = {};
  const key = sessionStorage.getItem("nearfield.key");
  if (key) headers.authorization = `Bearer ${key}`;
  const file = body instanceof Blob;
  if (body !== undefined) headers["content-type"] = file ? "application/octet-stream" : "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined || file ? body : JSON.stringify(body) });
  } catch {
    throw new Failed(0, { message: t("unreachable") });
  }
  const told = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (answer.ok || (answer.status === 503 && told && "ready" in told)) return told;
  if (answer.status === 401) document.getElementById("key-form").hidden = false;
  throw new Failed(answer.status, told?.error ?? { message: `HTTP ${answer.status}` });
}

export async function blob(path) {
  const key = sessionStorage.getItem("nearfield.key");
  const answer = await fetch(path, { headers: key ? { authorization: `Bearer ${key}` } : {} });
  return answer.status === 200 ? answer.blob() : null;
}

export const of = (name, rest = "") => `v1/collections/${encodeURIComponent(name)}${rest}`;

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

export function notice(error) {
  const place = document.getElementById("notice");
  place.hidden = !error;
  place.textContent = error ? error.message : "";
}

export async function quietly(work) {
  try {
    const found = await work();
    notice(null);
    return found;
  } catch (error) {
    notice(error);
    return undefined;
  }
}
