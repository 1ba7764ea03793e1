// Shows openapi.json: routes by what they are about, then the types they name.
import { make } from "./api.js";

const short = (ref) => ref.split("/").at(-1);

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return make("a", { href: `#${short(schema.$ref)}` }, short(schema.$ref));
  if (schema.enum) return schema.enum.map((v) => JSON.stringify(v)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const several = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (several) return make("span", {}, several.flatMap((one, i) => [i ? " | " : "", typeOf(one)]));
  if (schema.type === "array") return make("span", {}, "list of ", typeOf(schema.items) || "anything");
  if (schema.type === "object" && schema.additionalProperties) return make("span", {}, "object of ", typeOf(schema.additionalProperties) || "anything");
  const limits = [schema.minimum != null && `≥ ${schema.minimum}`, schema.exclusiveMinimum != null && `> ${schema.exclusiveMinimum}`, schema.maximum != null && `≤ ${schema.maximum}`];
  return [schema.type ?? "anything", ...limits.filter(Boolean)].join(" ");
}

function content(part) {
  return Object.entries(part?.content ?? {}).map(([type, { schema }]) => make("div", {}, `${type}: `, typeOf(schema)));
}

function route(path, method, told) {
  const parameters = (told.parameters ?? []).map((p) => make("tr", {}, make("td", {}, p.name), make("td", {}, p.in), make("td", {}, p.description ?? "")));
  const answers = Object.entries(told.responses).map(([status, answer]) => make("tr", {}, make("td", {}, status), make("td", {}, answer.description ?? ""), make("td", {}, content(answer))));
  return make("details", {}, make("summary", {}, make("span", { class: "method" }, method.toUpperCase()), make("code", {}, path), ` ${told.summary}`),
    parameters.length > 0 && make("div", { class: "scroll" }, make("table", {}, make("tbody", {}, parameters))),
    told.requestBody && make("h4", {}, "Body"), told.requestBody && content(told.requestBody),
    make("h4", {}, "Answers"), make("div", { class: "scroll" }, make("table", {}, make("tbody", {}, answers))));
}

const told = await (await fetch("openapi.json")).json();
const groups = new Map();
for (const [path, methods] of Object.entries(told.paths)) {
  for (const [method, one] of Object.entries(methods)) {
    const tag = one.tags?.[0] ?? "";
    if (!groups.has(tag)) groups.set(tag, []);
    groups.get(tag).push(route(path, method, one));
  }
}
for (const [tag, routes] of groups) document.getElementById("routes").append(make("section", {}, make("h2", {}, tag), routes));
for (const [name, schema] of Object.entries(told.components.schemas)) {
  const rows = Object.entries(schema.properties ?? {}).map(([key, one]) => make("tr", {},
    make("td", {}, make("code", {}, key), schema.required?.includes(key) ? " *" : ""), make("td", {}, typeOf(one)),
    make("td", {}, one.description ?? "", one.default !== undefined ? ` default ${JSON.stringify(one.default)}` : "")));
  document.getElementById("types").append(make("section", {}, make("h3", { id: name }, name), make("p", {}, schema.description ?? ""),
    make("div", { class: "scroll" }, make("table", {}, make("tbody", {}, rows)))));
}
