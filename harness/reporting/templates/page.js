"use strict";

// Tables: a click on a heading sorts by its column, upwards, downwards, and then as before. Missing values stay last.
// Tables whose rows are quantities, with an empty first heading, have nothing to sort.
const number = /^[[~+]*(-?\d+(?:\.\d+)?)/;

function key(row, column) {
  const text = row.cells[column].textContent.trim();
  const found = text.replaceAll(",", "").replaceAll("−", "-").match(number);
  return text === "" || text === "–" ? null : found ? Number(found[1]) : text;
}

function compare(one, other) {
  if (typeof one === typeof other) {
    return typeof one === "number" ? one - other : one.localeCompare(other, "en");
  }
  return typeof one === "number" ? -1 : 1;
}

function sortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  if (!body || body.rows.length < 2 || heads[0].textContent.trim() === "") return;
  const original = [...body.rows];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" };
      const order = next[head.getAttribute("aria-sort") ?? "none"];
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      if (order === "none") return body.append(...original);
      head.setAttribute("aria-sort", order);
      const keyed = original.map((row) => [key(row, column), row]);
      const known = keyed.filter(([value]) => value !== null);
      const missing = keyed.filter(([value]) => value === null);
      known.sort(([one], [other]) => (order === "ascending" ? 1 : -1) * compare(one, other));
      body.append(...[...known, ...missing].map(([, row]) => row));
    });
  });
}

// Pictures: the point nearest to the pointer, or the one chosen with the arrow keys, shows its network on a card, and
// all points of this network are ringed.
const card = document.getElementById("card");
const REACH = 14;

function middle(point) {
  const box = point.querySelector("use").getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
}

function hide() {
  card.hidden = true;
  document.querySelectorAll(".ring").forEach((ring) => ring.remove());
}

function ring(point) {
  const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  const [x, y] = ["x", "y"].map((axis) => point.querySelector("use").getAttribute(axis));
  Object.entries({ class: "ring", cx: x, cy: y, r: 8 }).forEach(([name, value]) => circle.setAttribute(name, value));
  point.append(circle);
}

function show(point) {
  hide();
  const same = `[data-network="${CSS.escape(point.dataset.network)}"]`;
  document.querySelectorAll(same).forEach(ring);
  card.replaceChildren(
    ...point.dataset.text.split("\n").map((line) => {
      const part = document.createElement("div");
      part.textContent = line;
      return part;
    }),
  );
  card.hidden = false;
  const [x, y] = middle(point);
  const left = x + REACH + card.offsetWidth > innerWidth ? x - REACH - card.offsetWidth : x + REACH;
  card.style.left = `${Math.max(4, left)}px`;
  card.style.top = `${Math.max(4, Math.min(y + REACH, innerHeight - card.offsetHeight - 4))}px`;
}

function nearest(points, x, y) {
  const distances = points.map((point) => Math.hypot(...middle(point).map((at, axis) => at - [x, y][axis])));
  const least = Math.min(...distances);
  return least <= REACH ? points[distances.indexOf(least)] : null;
}

function explorable(svg) {
  const points = [...svg.querySelectorAll(".point")].sort((one, other) => middle(one)[0] - middle(other)[0]);
  if (points.length === 0) return;
  for (const point of points) {
    const title = point.querySelector("title");
    point.dataset.text = title.textContent;
    point.setAttribute("role", "img");
    point.setAttribute("aria-label", title.textContent);
    point.setAttribute("tabindex", point === points[0] ? "0" : "-1");
    title.remove();
  }
  const hint = document.createElement("small");
  hint.className = "hint";
  hint.textContent = "Point at a network, or choose one with the arrow keys, to see what is known of it.";
  svg.after(hint);
  svg.addEventListener("pointermove", (event) => {
    const point = nearest(points, event.clientX, event.clientY);
    point ? show(point) : hide();
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("focusin", (event) => show(event.target.closest(".point")));
  svg.addEventListener("focusout", hide);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    const next = step && points[points.indexOf(event.target.closest(".point")) + step];
    if (event.key === "Escape") hide();
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}

// A link to a folded section opens it.
function unfold() {
  const details = document.getElementById(location.hash.slice(1))?.querySelector(":scope > details");
  if (details) details.open = true;
}

document.querySelectorAll("table").forEach(sortable);
document.querySelectorAll("svg").forEach(explorable);
addEventListener("hashchange", unfold);
addEventListener("scroll", hide);
unfold();
