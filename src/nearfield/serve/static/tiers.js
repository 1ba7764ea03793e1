// Where segments are kept: alarms, budgets of devices and memory as bars, each collection's tiers, and a control to pin it.
import { ask, make, of, quietly } from "./api.js";
import { number, size, t } from "./words.js";

const $ = (id) => document.getElementById(id);
export const TIERS = ["hot", "warm", "cold"];

export function showTiers(tiers) {
  alarms(tiers.alarms);
  const shown = tiers.devices.map((d) => bar(d.device, d.reserved, d.budget, d.lost));
  shown.push(bar(t("memory"), tiers.memory_used, tiers.memory, null));
  if (tiers.doing) shown.push(make("p", { class: "doing" }, t("moving", { what: tiers.doing })));
  $("tiers").replaceChildren(...shown);
}

// Told once, not at every look: whoever listens to the page would hear it every five seconds.
function alarms(told) {
  const place = $("alarms");
  if (place.dataset.told === JSON.stringify([told, t("alarm")])) return;
  place.dataset.told = JSON.stringify([told, t("alarm")]);
  place.hidden = !told.length;
  place.replaceChildren(make("strong", {}, t("alarm")), make("ul", {}, told.map((one) => make("li", {}, one))));
}

function bar(name, used, budget, lost) {
  const words = lost ? t("lost") : budget == null ? t("unlimited", { used: size(used) }) : t("used-of", { used: size(used), budget: size(budget) });
  const parts = budget != null && make("div", { class: "bar", "aria-hidden": "true" }, make("span", { class: lost ? "full" : "tone-0" }), make("span", {}));
  if (parts) {
    parts.children[0].style.flexGrow = lost ? budget : Math.min(used, budget);
    parts.children[1].style.flexGrow = lost ? 0 : Math.max(0, budget - used);
  }
  return make("div", { class: "budget" }, make("p", {}, make("strong", {}, name), " ", make("span", { class: lost ? "bad" : "" }, words)), parts);
}

// How many segments of a collection are in each tier, with their bytes and devices.
export function tiersOf(c, stats, tiers) {
  const told = TIERS.map((tier) => {
    const found = stats.segments.filter((s) => s.tier === tier);
    if (!found.length) return null;
    const devices = [...new Set(found.map((s) => s.device).filter(Boolean))].join(", ");
    const bytes = tiers.nbytes[c.name]?.[tier];
    return `${t(tier)} ${number(found.length)}${bytes == null ? "" : ` (${size(bytes)}${devices && ` · ${devices}`})`}`;
  });
  return told.filter(Boolean).join(" · ") || "–";
}

export function placeOf(s) {
  return s.device ? `${t(s.tier)}: ${s.device}, ${s.device_form}, ${size(s.device_bytes)}` : t(s.tier);
}

export function pinControl(c, stats, tiers, refresh) {
  const options = [["", t("as-asked")], ...TIERS.map((tier) => [tier, t(`pin-${tier}`)])].map(([value, word]) =>
    make("option", { value, selected: value === (stats.pin ?? ""), disabled: value === "hot" && stats.pin !== "hot" && !tiers.devices.length }, word));
  const select = make("select", { class: "pin" }, options);
  const button = make("button", { type: "button", onclick: () => quietly(async () => {
    document.activeElement?.blur();
    button.disabled = select.disabled = true;
    try {
      await ask("POST", of(c.name, "/pin"), { tier: select.value || null });
      await refresh();
    } finally {
      button.disabled = select.disabled = false;
    }
  }) }, t("pin"));
  return make("div", { class: "row" }, make("label", {}, make("span", {}, t("kept")), select), button);
}

// The tiers that a search touched, and what scanned: from the plan of its answer.
export function touched(plan) {
  const tiers = TIERS.map((tier) => [tier, plan.segments.filter((s) => s.tier === tier).length]).filter(([, n]) => n);
  const devices = [...new Set(plan.segments.map((s) => s.device).filter(Boolean))].join(", ");
  return [...tiers.map(([tier, n]) => `${t(tier)} ${number(n)}`), devices && t("scanned-by", { devices })].filter(Boolean).join(" · ");
}
