/** The element of this page with this id. Its absence is a defect of the page, not of the visit. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`no element #${id}`);
  return element as T;
}

/** Writes only what differs: a live region that is written anew is read out anew. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setIcon(button: HTMLElement, icon: string): void {
  const element = button.querySelector(".icon");
  if (element !== null) element.className = `icon icon-${icon}`;
}
