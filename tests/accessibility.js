() => {
  const all = (what) => [...document.querySelectorAll(what)];
  const told = (one) => one.outerHTML.slice(0, 100);
  const shown = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest(".unseen");
  const labelled = (one) => (one.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id));
  const name = (one) =>
    one.getAttribute("aria-label") ||
    [...labelled(one), ...(one.labels ?? [])].map((label) => label?.textContent ?? "").join("") ||
    one.textContent.trim() ||
    one.title;
  const operable = all("button, select, input, summary, [tabindex], a").filter(shown);

  // Contrast as WCAG 2.2 has it, of texts on what lies under them.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return channels("white");
  };
  const contrast = (one) => {
    const [front, back] = [light(channels(getComputedStyle(one).color)), light(ground(one))];
    return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
  };
  const written = all("body *").filter(
    (one) =>
      [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim()) &&
      shown(one) &&
      !one.matches(":disabled, option") &&
      !one.closest("svg"),
  );
  const low = (one) => one.getBoundingClientRect().height < 15.5 || one.getBoundingClientRect().width < 15.5;
  const ids = all("[id]").map((one) => one.id);
  return {
    nameless: operable.filter((one) => !name(one)).map(told),
    pictures: all("img:not([alt])").map(told),
    faint: written.filter((one) => contrast(one) < 4.5).map(told),
    small: operable.filter((one) => !one.matches(".skip") && low(one)).map(told),
    twice: ids.filter((id, i) => ids.indexOf(id) !== i),
    wide: document.documentElement.scrollWidth - innerWidth,
  };
};
