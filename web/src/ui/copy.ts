import { byId } from "./dom.js";

const FEEDBACK_MS = 2_000;

/** Brings every `data-copy="id of an input"` button to life. */
export function wireCopyButtons(): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-copy]")) wire(button);
}

function wire(button: HTMLButtonElement): void {
  const input = byId<HTMLInputElement>(button.dataset.copy ?? "");
  const what = document.querySelector(`label[for="${input.id}"]`)?.textContent ?? "address";
  let timer = 0;
  const show = (icon: string, word: string) => {
    button.innerHTML = `<span class="icon icon-${icon}"></span>`;
    button.append(word);
  };
  const rest = () => {
    delete button.dataset.copied;
    button.ariaLabel = `Copy ${what.toLowerCase()}`;
    show("copy", "Copy");
  };
  button.ariaLive = "polite";
  button.addEventListener("click", async () => {
    const copied = await copy(input);
    button.dataset.copied = "";
    button.ariaLabel = copied ? "Copied" : "Selected, press the copy keys";
    show(copied ? "check" : "copy", copied ? "Copied" : "Selected");
    clearTimeout(timer);
    timer = window.setTimeout(rest, FEEDBACK_MS);
  });
  input.addEventListener("focus", () => input.select());
  rest();
}

/** The clipboard belongs to secure pages; elsewhere the text is selected, ready to be copied by hand. */
async function copy(input: HTMLInputElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    input.select();
    return false;
  }
}
