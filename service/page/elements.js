// Making and finding elements of the page.

/** Returns the element of an id, which must be there. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no element ${id}.`);
  return found;
}

/**
 * Makes an element. Names that begin with "on" are listeners, names with a dash and "role" are attributes, all others
 * are properties.
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Returns a copy of an icon of the page, which says nothing to those who listen. */
export function icon(name) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.classList.add("icon");
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  drawing.append(use);
  return drawing;
}

/** Fills a list to choose from, [value, text] each, and keeps the choice where it is still there. */
export function fillSelect(select, options, chosen = select.value) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

/** Returns a number as people write it, with at most so many decimals. */
export function written(number, decimals = 1) {
  return number.toLocaleString("en", { maximumFractionDigits: decimals });
}

/** Returns "1 move", "2 moves". */
export function counted(number, noun) {
  return `${written(number, 0)} ${noun}${number === 1 ? "" : "s"}`;
}
