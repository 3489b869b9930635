// The page behind `strbench view`. PAGE comes from data.js, see page.py for its shape. Texts enter the
// document as text nodes only.
const items = PAGE.items.map(([at, id, pictures, counts, figures, label, readings, marks, note]) =>
  ({ at, id, pictures, counts, figures, label, readings, note,
    marks: marks.map(([isTrue, verdict, flat, text, confidence, partner]) =>
      ({ side: isTrue ? "true" : "found", verdict, flat, text, confidence, partner })) }));

const $ = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
}

function drawn(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// A piece of the line that outlines of a style have, such as "true missed".
function sample(style) {
  const svg = drawn("svg", { class: "sample", viewBox: "0 0 34 14", "aria-hidden": "true" });
  svg.append(drawn("path", { d: "M3 7H31", class: `line ${style}` }));
  return svg;
}

const text = (value, className = "") => value === ""
  ? make("bdi", { className: `none ${className}` }, "(empty)")
  : make("bdi", { className, dir: "auto" }, value);
const many = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
const percent = (value) => value === null ? "–" : `${(100 * value).toFixed(1)}%`;
const sure = (value) => value === null ? "" : value.toFixed(2);
const bounded = (value, low, high) => Math.min(Math.max(value, low), high);

// ---- What is shown: filters, ranges and the order ------------------------------------------------

const chosen = { filters: new Set(), every: PAGE.layout === "grid", order: 0, ranges: new Map() };
let order = []; // places of all items, sorted
let passing = []; // those of `order` that the filters let through
let passes = []; // by place

const isNarrowed = () => chosen.filters.size > 0 || chosen.ranges.size > 0;

function letsThrough(item) {
  for (const [figure, [low, high]] of chosen.ranges) {
    const value = item.figures[figure];
    if (value === null || value < low || value > high) return false;
  }
  const wanted = [...chosen.filters];
  const has = (k) => item.counts[k] > 0;
  return !wanted.length || (chosen.every ? wanted.every(has) : wanted.some(has));
}

function compare(a, b) {
  for (const [figure, falling] of PAGE.orders[chosen.order][1]) {
    const x = items[a].figures[figure], y = items[b].figures[figure];
    if (x === y) continue;
    if (x === null || y === null) return x === null ? 1 : -1;
    return falling ? y - x : x - y;
  }
  return items[a].at - items[b].at;
}

function refresh() {
  order = items.map((_, place) => place).sort(compare);
  passes = items.map(letsThrough);
  passing = order.filter((place) => passes[place]);
  PAGE.filters.forEach((_, k) => $(`filter-${k}`).setAttribute("aria-pressed", chosen.filters.has(k)));
  $("every").hidden = chosen.filters.size < 2;
  $("every").textContent = chosen.every ? "with all of these" : "with any of these";
  $("clear").hidden = !isNarrowed();
  view.refresh();
}

function toggleFilter(k) {
  if (k >= PAGE.filters.length || $(`filter-${k}`).disabled) return;
  if (!chosen.filters.delete(k)) chosen.filters.add(k);
  refresh();
}

function clearFilters() {
  chosen.filters.clear();
  chosen.ranges.clear();
  for (const input of $("ranges").querySelectorAll("input")) input.value = "";
  refresh();
}

function setOrder(k) {
  chosen.order = k % PAGE.orders.length;
  $("order").value = chosen.order;
  refresh();
  view.end(false);
}

function buildBar() {
  for (const [name, value] of PAGE.about) {
    $("about").append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  }
  const out = PAGE.total - items.length;
  if (out) {
    const among = PAGE.filters.map(([name], k) => [PAGE.leftOut[k], name]).filter(([n]) => n > 0)
      .map(([n, name]) => `${name} ${n.toLocaleString("en")}`).join(", ");
    $("left-out").hidden = false;
    $("left-out").textContent = `${items.length.toLocaleString("en")} of ${many(PAGE.total, PAGE.noun)} are on this page ` +
      `(“${PAGE.orders[0][0]}”); ${out.toLocaleString("en")} are left out, ` +
      (among ? `among them: ${among}.` : "none of which a filter here lets through.");
  }
  PAGE.filters.forEach(([name, what, styles], k) => {
    const with_ = items.filter((item) => item.counts[k] > 0);
    const sum = with_.reduce((total, item) => total + item.counts[k], 0);
    $("filters").append(make("button", {
      id: `filter-${k}`, type: "button", disabled: !with_.length, onclick: () => toggleFilter(k),
      title: `${sum.toLocaleString("en")} ${what}, on ${many(with_.length, PAGE.noun)}`,
    }, ...styles.map(sample), `${name} `, make("span", { className: "n" }, with_.length.toLocaleString("en")), " ",
    k < 9 ? make("kbd", { ariaHidden: "true" }, k + 1) : ""));
  });
  const flip = () => { chosen.every = !chosen.every; refresh(); };
  $("filters").append(make("button", { id: "every", type: "button", onclick: flip }),
    make("button", { id: "clear", type: "button", onclick: clearFilters }, "Show all ", make("kbd", {}, "0")));
  PAGE.orders.forEach(([name], k) => $("order").append(make("option", { value: k }, name)));
  $("order").onchange = () => setOrder(Number($("order").value));
  for (const figure of PAGE.ranges) buildRange(figure);
  $("jump").onsubmit = (event) => { event.preventDefault(); find($("query").value.trim()); };
  $("previous").onclick = () => view.step(-1, isNarrowed());
  $("next").onclick = () => view.step(1, isNarrowed());
  $("show-help").onclick = () => $("help").showModal();
  $("more").onclick = () => $("more").setAttribute("aria-expanded", !$("bar").classList.toggle("closed"));
}

function buildRange(figure) {
  const values = items.map((item) => item.figures[figure]).filter((value) => value !== null);
  const ends = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
  const name = PAGE.figures[figure][0];
  const inputs = ends.map((end, k) => make("input", {
    type: "number", placeholder: Number.isFinite(end) ? end : "", ariaLabel: `${name}, ${k ? "at most" : "at least"}`,
    oninput: () => {
      const [low, high] = inputs.map((input) => input.value === "" ? null : Number(input.value));
      if (low === null && high === null) chosen.ranges.delete(figure);
      else chosen.ranges.set(figure, [low ?? -Infinity, high ?? Infinity]);
      refresh();
    },
  }));
  $("ranges").append(make("label", {}, name), inputs[0], "to", inputs[1]);
}

// A number in the file, a whole id, a part of an id, a part of a text; the next one after this.
function find(query) {
  if (!query) return;
  const folded = query.toLowerCase();
  const has = (value) => value !== null && value.toLowerCase().includes(folded);
  const from = order.indexOf(view.place()) + 1;
  const round = [...order.slice(from), ...order.slice(0, from)];
  const place = [
    (item) => item.id === query,
    (item) => /^#?\d+$/.test(query) && item.at + 1 === Number(query.replace("#", "")),
    (item) => has(item.id),
    (item) => has(item.label) || [...item.marks.map((m) => m.text), ...item.readings.map((r) => r[0])].some(has),
  ].map((test) => round.find((k) => test(items[k]))).find((found) => found !== undefined);
  if (place === undefined) return say(`No ${PAGE.noun} has “${query}” as its number, in its id or in a text.`);
  if (!passes[place] && PAGE.layout === "grid") clearFilters();
  view.go(place, true);
}

const say = (message) => { $("position").textContent = message; };

let hashing = 0;
function remember(place) { // the number in the file, so that a link can name an item
  clearTimeout(hashing); // browsers limit how often the address may change
  hashing = setTimeout(() => history.replaceState(null, "", `#${items[place].at + 1}`), 250);
}

function fromAddress() {
  const number = Number(location.hash.slice(1));
  const place = number > 0 ? items.findIndex((item) => item.at + 1 === number) : -1;
  if (place >= 0 && place !== view.place()) view.go(place, true);
}

// ---- Keys ----------------------------------------------------------------------------------------

const view = PAGE.layout === "grid" ? grid : photograph;
const unit = PAGE.layout === "grid" ? "page (word, in the large view)" : PAGE.noun;
const KEYS = [
  [["ArrowRight", "j"], `next ${unit}`, () => view.step(1, false)],
  [["ArrowLeft", "k"], `previous ${unit}`, () => view.step(-1, false)],
  [["n"], `next ${unit} that the filter lets through`, () => view.step(1, true)],
  [["p"], `previous ${unit} that the filter lets through`, () => view.step(-1, true)],
  [["Home"], "first", () => view.end(false)],
  [["End"], "last", () => view.end(true)],
  ...PAGE.filters.slice(0, 9).map(([name], k) => [[String(k + 1)], `filter: ${name}`, () => toggleFilter(k)]),
  [["a"], "any or all of the filters", () => { chosen.every = !chosen.every; refresh(); }],
  [["0"], "show all", clearFilters],
  [["s"], "next way to sort", () => setOrder(chosen.order + 1)],
  [["/", "#"], "go to a number, id or text", () => $("query").select()],
  ...(PAGE.layout === "grid" ? [
    [["z"], "large view of the first word", () => grid.open === null ? grid.enlarge(grid.first) : $("large").close()],
  ] : [
    [["z"], "zoom in, to the chosen region, or back", () => photograph.zoomKey()],
    [["+", "="], "zoom in", () => photograph.zoomBy(1.6)],
    [["-"], "zoom out", () => photograph.zoomBy(1 / 1.6)],
    [["Shift+ArrowRight"], "move right when zoomed", () => photograph.move(-80, 0)],
    [["Shift+ArrowLeft"], "move left", () => photograph.move(80, 0)],
    [["Shift+ArrowDown"], "move down", () => photograph.move(0, -80)],
    [["Shift+ArrowUp"], "move up", () => photograph.move(0, 80)],
    [["r"], "next region", () => photograph.chooseNext(1)],
    [["Shift+R"], "previous region", () => photograph.chooseNext(-1)],
    ...LAYERS.map(([key, name, letter]) => [[letter], `layer: ${name}`, () => photograph.toggleLayer(key)]),
  ]),
  [["?"], "this help", () => $("help").open ? $("help").close() : $("help").showModal()],
  [["Escape"], "close", () => document.activeElement.blur()],
];

const SIGNS = { ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓", "Shift+ArrowRight": "Shift →",
  "Shift+ArrowLeft": "Shift ←", "Shift+ArrowUp": "Shift ↑", "Shift+ArrowDown": "Shift ↓", "Shift+R": "Shift r" };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isField = event.target.closest("input, select, textarea");
  if (isField && event.key !== "Escape") return;
  if ($("help").open && event.key !== "?") return;
  if ($("large").open && !["ArrowRight", "ArrowLeft", "j", "k", "n", "p", "z"].includes(event.key)) return;
  const named = event.shiftKey && /^(Arrow|R$)/.test(event.key) ? `Shift+${event.key}` : event.key;
  const entry = KEYS.find(([names]) => names.includes(named));
  if (!entry || (named === "Escape" && !isField)) return; // a dialog closes by itself
  event.preventDefault();
  entry[2]();
}

for (const [names, what] of KEYS) {
  $("keys").append(make("div", {},
    make("dt", {}, ...names.map((name) => make("kbd", {}, SIGNS[name] ?? name))), make("dd", {}, what)));
}
buildBar();
view.start();
refresh();
fromAddress();
addEventListener("hashchange", fromAddress);
addEventListener("keydown", onKey);
