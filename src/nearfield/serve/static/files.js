// Files into a collection: chosen or dropped, sent one after the other, each with what became of it.
import { ask, make, of } from "./api.js";
import { t } from "./words.js";

export function startFiles(place, collection) {
  const list = place.querySelector("ul");
  const input = place.querySelector("input");
  const area = place.querySelector("label");
  let sending = Promise.resolve();

  function send(files) {
    const name = collection();
    for (const file of files) {
      const line = make("li", {}, t("file-waiting", { file: file.name }));
      list.prepend(line);
      sending = sending.then(async () => {
        line.textContent = t("file-sending", { file: file.name });
        try {
          const told = await ask("POST", of(name, `/files?file=${encodeURIComponent(file.name)}`), file);
          line.textContent = outcome(file.name, name, told);
        } catch (error) {
          line.className = "bad";
          line.textContent = `${file.name}: ${error.message}`;
        }
      });
    }
  }

  input.addEventListener("change", () => {
    send([...input.files]);
    input.value = "";
  });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    area.addEventListener(kind, (event) => {
      event.preventDefault();
      area.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop") send([...event.dataTransfer.files]);
    });
  }
}

function outcome(file, collection, told) {
  const written = (told.added ?? 0) + (told.replaced ?? 0);
  const parts = [];
  if (written) parts.push(t("file-written", { n: written, collection }));
  if (told.unchanged) parts.push(t("file-unchanged", { n: told.unchanged }));
  if (told.deleted) parts.push(t("file-deleted", { n: told.deleted }));
  if (told.failed) parts.push(t("file-failed", { n: told.failed, why: told.errors?.[0]?.reason ?? "" }));
  return `${file}: ${parts.join(", ") || t("file-empty")}`;
}
