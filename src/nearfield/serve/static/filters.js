// Builds a filter from rows of field, condition and value; the fields are those that the collection's documents have.
import { make } from "./api.js";
import { t } from "./words.js";

const SIGNS = { $eq: "=", $ne: "≠", $gt: ">", $gte: "≥", $lt: "<", $lte: "≤", $in: "∈ a, b, c", $contains: "∋", $exists: "∃" };
const BY_TYPE = {
  number: ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$exists"],
  string: ["$eq", "$ne", "$contains", "$in", "$gte", "$lte", "$exists"],
  bool: ["$eq", "$exists"],
  other: ["$exists"],
};

export function typeOf(field) {
  const types = { ...field.types, ...field.elements };
  if (types.string) return "string";
  if (types.int || types.float) return "number";
  return types.bool ? "bool" : "other";
}

export class Conditions {
  constructor(place) {
    this.place = place;
    this.fields = [];
    this.rows = [];
  }

  use(fields) {
    this.fields = fields;
    this.rows = [];
    this.place.replaceChildren();
  }

  add() {
    if (!this.fields.length) return;
    const row = {};
    row.field = make("select", { "aria-label": t("field") }, this.fields.map((f) => make("option", { value: f.name }, f.name)));
    row.operator = make("select", { "aria-label": t("operator") });
    row.holder = make("span");
    row.element = make("div", { class: "row condition" }, row.field, row.operator, row.holder,
      make("button", { type: "button", class: "small", onclick: () => this.remove(row) }, t("remove")));
    row.field.addEventListener("change", () => this.typed(row));
    row.operator.addEventListener("change", () => this.valued(row));
    this.rows.push(row);
    this.place.append(row.element);
    this.typed(row);
    row.field.focus();
  }

  remove(row) {
    this.rows = this.rows.filter((other) => other !== row);
    row.element.remove();
    document.getElementById("add-condition").focus();
  }

  typed(row) {
    row.about = this.fields.find((f) => f.name === row.field.value);
    row.type = typeOf(row.about);
    row.operator.replaceChildren(...BY_TYPE[row.type].map((name) => make("option", { value: name }, SIGNS[name])));
    this.valued(row);
  }

  valued(row) {
    const flag = row.operator.value === "$exists" || row.type === "bool";
    if (flag) {
      row.value = make("select", { "aria-label": t("value") }, make("option", { value: "true" }, t("yes")), make("option", { value: "false" }, t("no")));
      row.holder.replaceChildren(row.value);
      return;
    }
    const list = `words-${this.rows.indexOf(row)}`;
    const { least, greatest, words } = row.about;
    const hint = row.type === "number" && least != null ? `${least} … ${greatest}` : "";
    row.value = make("input", { "aria-label": t("value"), list: row.type === "string" ? list : null, placeholder: hint, required: true });
    const known = Object.entries(words ?? {}).map(([word, count]) => make("option", { value: word }, `${count}`));
    row.holder.replaceChildren(row.value, make("datalist", { id: list }, known));
  }

  // The filter, or undefined where there is no condition; throws where a number is none.
  filter() {
    const parts = this.rows.map((row) => ({ [row.field.value]: { [row.operator.value]: read(row) } }));
    return parts.length > 1 ? { $and: parts } : parts[0];
  }
}

function read(row) {
  const text = row.value.value;
  if (row.operator.value === "$exists" || row.type === "bool") return text === "true";
  const one = (value) => (row.type === "number" ? numeric(value) : value);
  return row.operator.value === "$in" ? text.split(",").map((part) => one(part.trim())) : one(text);
}

function numeric(text) {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new Error(t("not-number", { value: text }));
  return value;
}
