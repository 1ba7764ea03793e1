// Pictures in the search view: one chosen or dropped to search with, and thumbnails of what was found.
import { blob, make, notice, of } from "./api.js";
import { t } from "./words.js";

const PLAIN = 3 << 20; // bytes of a file that is sent as it is; a larger one is made smaller here
const SIDE = 1600;
let chosen = null; // { name, data: base64, url }

export const picture = () => chosen;

export function startPictures(place, use) {
  const input = make("input", { type: "file", accept: "image/*", id: "picture", class: "unseen" });
  const label = make("label", { class: "picture", for: "picture" });
  const clear = make("button", { type: "button", class: "small", id: "picture-clear", hidden: true });
  const shown = make("img", { class: "thumbnail", id: "picture-shown", alt: "", hidden: true });
  place.append(label, input, shown, clear);
  const render = () => {
    label.textContent = t(chosen ? "picture-other" : "picture-choose");
    clear.textContent = t("picture-clear");
    clear.hidden = shown.hidden = !chosen;
    if (chosen) Object.assign(shown, { src: chosen.url, alt: chosen.name });
    else shown.removeAttribute("src");
  };
  const forget = () => {
    if (chosen) URL.revokeObjectURL(chosen.url);
    chosen = null;
    input.value = "";
    render();
  };
  const take = async (file) => {
    let data;
    try {
      data = await encoded(file);
    } catch {
      notice(new Error(t("picture-unreadable", { name: file.name })));
      return;
    }
    forget();
    chosen = { name: file.name, data, url: URL.createObjectURL(file) };
    render();
    use();
  };
  input.addEventListener("change", () => { if (input.files[0]) void take(input.files[0]); });
  clear.addEventListener("click", forget);
  const view = place.closest("section");
  view.addEventListener("dragover", (event) => { if (!place.hidden) { event.preventDefault(); place.classList.add("over"); } });
  view.addEventListener("dragleave", () => place.classList.remove("over"));
  view.addEventListener("drop", (event) => {
    if (place.hidden) return;
    event.preventDefault();
    place.classList.remove("over");
    const file = [...event.dataTransfer.files].find((f) => f.type.startsWith("image/"));
    if (file) void take(file);
  });
  render();
  return { render, forget };
}

async function encoded(file) {
  let sent = file;
  if (file.size > PLAIN) {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = make("canvas", { width: Math.max(1, Math.round(bitmap.width * scale)), height: Math.max(1, Math.round(bitmap.height * scale)) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    sent = await new Promise((done, fail) => canvas.toBlob((made) => (made ? done(made) : fail(new Error("no picture"))), "image/jpeg", 0.92));
  }
  const url = await new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => fail(reader.error);
    reader.readAsDataURL(sent);
  });
  return url.slice(url.indexOf(",") + 1);
}

// A document's thumbnail, put before `before` once it is there; nothing where it has none.
export async function thumbnail(name, id, before) {
  try {
    const found = await blob(of(name, `/thumbnails/${encodeURIComponent(id)}`));
    if (!found || !before.isConnected) return;
    const url = URL.createObjectURL(found);
    const image = make("img", { class: "thumbnail", alt: t("picture-of", { id }) });
    image.addEventListener("load", () => URL.revokeObjectURL(url));
    image.src = url;
    before.before(image);
  } catch {
    // a hit is shown without its picture
  }
}
