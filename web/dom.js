// Small help with the document. Text goes in as text: nothing here, or anywhere in this page, reads markup from outside.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id, which index.html has. */
export const $ = (id) => document.getElementById(id);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** An HTML element: its attributes (`onclick` and the like are listeners), and what is in it. */
export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same, of SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** Says something to those who listen to the page instead of looking at it, once they are done listening. */
export function announce(text) {
  const said = el("p", {}, text);
  $("announcer").append(said);
  setTimeout(() => said.remove(), 8_000);
}

/** Calls `draw` before the next frame, once, however often it is asked for until then. */
export function framed(draw) {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      draw();
    });
  };
}
