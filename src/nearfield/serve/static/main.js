// Which view is shown, language and key. Views: search.js and operations.js.
import { useKey } from "./api.js";
import { otherLanguage, translate } from "./words.js";
import * as operations from "./operations.js";
import * as search from "./search.js";

const views = { search, operations };

function show() {
  const name = location.hash.slice(1) in views ? location.hash.slice(1) : "search";
  for (const [key, view] of Object.entries(views)) {
    const shown = key === name;
    document.getElementById(`view-${key}`).hidden = !shown;
    const link = document.querySelector(`nav a[href="#${key}"]`);
    if (shown) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    if (shown) view.show();
    else view.hide();
  }
}

translate();
document.getElementById("language").addEventListener("click", () => { otherLanguage(); show(); });
document.getElementById("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = document.getElementById("key");
  useKey(input.value);
  input.value = "";
  event.target.hidden = true;
  show();
});
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    location.hash = "#search";
    document.getElementById("query").focus();
  }
});
window.addEventListener("hashchange", show);
show();
