// Photographs, one at a time: outlines, layers, zoom and pan, and the strip of all of them.

const VERDICTS = ["missed", "matched", "split", "merged", "ignored"];
const SAID = {
  true: ["missed", "matched", "split", "merged", "don't-care"],
  found: ["false", "matched", "split", "merged", "don't-care"],
};
const FIRST_SHOWN = [0, 4, 2, 3, 5]; // the list begins with errors: missed and false, split, merged, matched
const LAYERS = [ // key, name, letter, what its lines look like
  ["true", "True", "g", "true matched"], ["found", "Found", "d", "found matched"],
  ["matched", "Matched", "m", ""], ["ignored", "Don't-care", "c", "ignored"], ["texts", "Texts", "t", ""],
];
const MOST_ZOOM = 24; // times the size that fits

const photograph = {
  at: 0, // in `order`
  loaded: new Map(), // place -> images of this item and its neighbours
  zoom: { times: 1, x: 0.5, y: 0.5 }, // x, y: the part of the picture in the middle of the stage
  hidden: new Set(["texts"]),
  region: null, // the chosen row of the list

  place: () => order[photograph.at],

  start() {
    document.body.classList.add("one");
    $("photograph").hidden = false;
    $("strip").hidden = PAGE.strip === null;
    for (const [key, name, letter, style] of LAYERS) {
      $("layers").append(make("button", { id: `layer-${key}`, type: "button", onclick: () => this.toggleLayer(key) },
        style ? sample(style) : "", `${name} `, make("kbd", { ariaHidden: "true" }, letter)));
    }
    $("in").onclick = () => this.zoomBy(1.6);
    $("out").onclick = () => this.zoomBy(1 / 1.6);
    $("fit").onclick = () => this.zoomTo(1);
    $("strip").onclick = (event) => this.show(this.columns()[event.offsetX]?.[0] ?? this.at);
    followPointers(this);
    new ResizeObserver(() => { this.lay(); this.drawStrip(); }).observe($("stage"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawStrip());
  },

  refresh() {
    this.at = Math.max(order.indexOf(this.current), 0);
    if (isNarrowed() && passing.length && !passes[order[this.at]]) this.at = this.seek(1) ?? this.at;
    this.show(this.at);
  },

  // Where the next item is that the filters let through, going round at the ends.
  seek(by) {
    for (let k = 1; k <= order.length; k++) {
      const at = (this.at + by * k + order.length * k) % order.length;
      if (passes[order[at]]) return at;
    }
    return null;
  },

  step(by, matching) {
    const at = matching ? this.seek(by) : bounded(this.at + by, 0, order.length - 1);
    if (at !== null && at !== this.at) this.show(at);
  },

  end(last) {
    const some = passing.length ? passing : order;
    this.show(order.indexOf(some[last ? some.length - 1 : 0]));
  },

  go: (place) => photograph.show(order.indexOf(place)),

  show(at) {
    if (!order.length) return say("There is no photograph.");
    this.at = at;
    const place = order[at], item = items[place];
    const none = isNarrowed() && !passing.length ? ` No ${PAGE.noun} passes the filter.` : "";
    say(`${at + 1} of ${order.length.toLocaleString("en")}` + (isNarrowed() ? `, ${passing.length.toLocaleString("en")} match.` : "") + none);
    $("previous").textContent = isNarrowed() ? "‹ Previous match" : "‹ Previous";
    $("next").textContent = isNarrowed() ? "Next match ›" : "Next ›";
    if (place !== this.current) {
      this.current = place;
      this.region = null;
      this.zoom = { times: 1, x: 0.5, y: 0.5 };
      this.fill(item);
      remember(place);
    }
    this.drawStrip();
    this.load();
  },

  fill(item) {
    const [, , width, height] = item.pictures[0];
    $("stage").style.setProperty("--shape", `calc((100vw - 1.2rem) * ${height / width})`);
    $("name").replaceChildren(make("bdi", {}, item.id), make("small", {}, ` number ${item.at + 1}`));
    $("note").textContent = item.note;
    $("figures").replaceChildren(...PAGE.figures.flatMap(([name, unit], k) => unit === "" ? [] : [make("div", {},
      make("dt", {}, name), make("dd", {}, unit === "share" ? percent(item.figures[k]) : item.figures[k] ?? "–"))]));
    const svg = $("outlines");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren();
    item.rows = rowsOf(item);
    // Don't-care at the bottom, found ones above true ones: the thinner line stays in sight.
    const layers = [...item.marks].sort((a, b) => (b.verdict === 4) - (a.verdict === 4));
    for (const mark of layers) {
      const d = path(mark.flat);
      const classes = `${mark.side} ${VERDICTS[mark.verdict]}`;
      mark.line = drawn("path", { d, class: `${classes} line` });
      mark.line.onclick = () => this.choose(item.rows.find((row) => row.includes(mark)));
      svg.append(drawn("path", { d, class: `${mark.side} ${VERDICTS[mark.verdict]} halo` }), mark.line);
    }
    $("regions").replaceChildren(...item.rows.map((row) => this.row(row)));
    this.drawLayers();
    this.lay();
  },

  row(row) {
    const [mark, other] = row;
    const said = SAID[mark.side][mark.verdict];
    const texts = make("span", { className: "texts" });
    if (mark.text !== null) texts.append(text(mark.text, mark.side === "true" ? "" : "read"));
    if (other && other.text !== null && other.text !== mark.text) texts.append(" read ", text(other.text, "read"));
    row.button = make("button", { type: "button", onclick: () => this.choose(row) },
      sample(`${mark.side} ${VERDICTS[mark.verdict]}`), make("span", { className: "what" }, said), texts,
      make("span", { className: "n" }, sure((other ?? mark).confidence)));
    row.button.onmouseenter = () => this.mark(row, true);
    row.button.onmouseleave = () => this.mark(row, row === this.region);
    return make("li", {}, row.button);
  },

  mark(row, on) {
    for (const mark of row) mark.line.classList.toggle("chosen", on);
  },

  choose(row) {
    if (this.region) this.mark(this.region, false);
    this.region?.button.setAttribute("aria-pressed", false);
    this.region = row === this.region ? null : row;
    if (this.region) {
      this.mark(row, true);
      row.button.setAttribute("aria-pressed", true);
      row.button.scrollIntoView({ block: "nearest" });
    }
    this.drawTags();
  },

  chooseNext(by) {
    const rows = items[this.place()].rows;
    if (!rows.length) return;
    const at = rows.indexOf(this.region);
    this.choose(rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : (at + by + rows.length) % rows.length]);
  },

  toggleLayer(key) {
    if (!this.hidden.delete(key)) this.hidden.add(key);
    this.drawLayers();
  },

  drawLayers() {
    for (const [key] of LAYERS) {
      $("frame").classList.toggle(`hide-${key}`, this.hidden.has(key));
      $(`layer-${key}`).setAttribute("aria-pressed", !this.hidden.has(key));
    }
    this.drawTags();
  },

  // Texts stand above true outlines and below found ones; of the chosen region always.
  drawTags() {
    const item = items[this.current];
    const [, , width, height] = item.pictures[0];
    const marks = this.hidden.has("texts") ? this.region ?? [] : item.marks;
    $("tags").replaceChildren(...marks.flatMap((mark) => {
      if (!mark.flat.length || (mark.text === null && mark.confidence === null)) return [];
      const xs = mark.flat.filter((_, k) => k % 2 === 0), ys = mark.flat.filter((_, k) => k % 2);
      const tag = text(mark.text ?? "", `${mark.side} ${VERDICTS[mark.verdict]}`);
      if (mark.text === null) tag.textContent = "";
      if (mark.confidence !== null) tag.append(` ${sure(mark.confidence)}`);
      tag.style.left = `${100 * Math.min(...xs) / width}%`;
      tag.style.top = `${100 * (mark.side === "true" ? Math.min(...ys) : Math.max(...ys)) / height}%`;
      return [tag];
    }));
  },

  // Only this item and its neighbours, in the order and among those that pass, are in memory.
  load() {
    const near = [this.at, this.at + 1, this.at - 1, this.seek(1), this.seek(-1)];
    const places = new Set(near.map((at) => order[at]).filter((place) => place !== undefined));
    for (const place of this.loaded.keys()) if (!places.has(place)) this.loaded.delete(place);
    for (const place of places) {
      if (this.loaded.has(place)) continue;
      const image = make("img", { alt: "", draggable: false, decoding: place === this.current ? "sync" : "async" });
      image.src = `images/${items[place].pictures[0][1]}`;
      this.loaded.set(place, image);
      image.decode().catch(() => { image.alt = "The picture cannot be shown."; });
    }
    const image = this.loaded.get(this.current);
    if ($("frame").firstChild !== image) {
      $("frame").querySelector("img")?.remove();
      $("frame").prepend(image);
      this.lay();
    }
  },

  // The size and place of the frame from the zoom. No CSS transform: outlines keep their width.
  lay() {
    if (this.current === undefined) return;
    const [, , width, height] = items[this.current].pictures[0];
    const room = { width: $("stage").clientWidth, height: $("stage").clientHeight };
    const scale = Math.min(room.width / width, room.height / height) * this.zoom.times;
    const [w, h] = [width * scale, height * scale];
    const left = (wide, all, part) => wide <= all ? (all - wide) / 2 : bounded(all / 2 - part * wide, all - wide, 0);
    const x = left(w, room.width, this.zoom.x), y = left(h, room.height, this.zoom.y);
    Object.assign(this.zoom, { x: (room.width / 2 - x) / w, y: (room.height / 2 - y) / h, w, h });
    Object.assign($("frame").style, { left: `${x}px`, top: `${y}px`, width: `${w}px`, height: `${h}px` });
    $("stage").classList.toggle("zoomed", this.zoom.times > 1);
    $("frame").querySelector("img")?.classList.toggle("coarse", scale > 3);
  },

  // Zoom to some times the size that fits; the point (x, y) of the stage stays where it is.
  zoomTo(times, x = $("stage").clientWidth / 2, y = $("stage").clientHeight / 2) {
    const frame = $("frame");
    const part = [(x - frame.offsetLeft) / this.zoom.w, (y - frame.offsetTop) / this.zoom.h];
    const ratio = bounded(times, 1, MOST_ZOOM) / this.zoom.times;
    this.zoom.times *= ratio;
    this.zoom.x = part[0] + ($("stage").clientWidth / 2 - x) / (this.zoom.w * ratio);
    this.zoom.y = part[1] + ($("stage").clientHeight / 2 - y) / (this.zoom.h * ratio);
    this.lay();
  },

  zoomBy: (factor, x, y) => photograph.zoomTo(photograph.zoom.times * factor, x, y),

  move(dx, dy) {
    this.zoom.x -= dx / this.zoom.w;
    this.zoom.y -= dy / this.zoom.h;
    this.lay();
  },

  // To the chosen region, or three times as near; and back.
  zoomKey() {
    if (this.zoom.times > 1) return this.zoomTo(1);
    const flat = this.region ? this.region.flatMap((mark) => mark.flat) : [];
    if (!flat.length) return this.zoomTo(3);
    const [, , width, height] = items[this.current].pictures[0];
    const ends = [0, 1].map((k) => flat.filter((_, n) => n % 2 === k)).map((v) => [Math.min(...v), Math.max(...v)]);
    const share = Math.max((ends[0][1] - ends[0][0]) / width, (ends[1][1] - ends[1][0]) / height, 1e-3);
    this.zoom.times = bounded(0.5 / share, 1.5, MOST_ZOOM);
    this.zoom.x = (ends[0][0] + ends[0][1]) / 2 / width;
    this.zoom.y = (ends[1][0] + ends[1][1]) / 2 / height;
    this.lay();
  },

  // For each pixel of the strip, the places in `order` that it stands for.
  columns() {
    const wide = Math.max($("strip").clientWidth, 1);
    return Array.from({ length: wide }, (_, x) => [Math.floor(x * order.length / wide),
      Math.max(Math.ceil((x + 1) * order.length / wide), Math.floor(x * order.length / wide) + 1)]);
  },

  drawStrip() {
    if (PAGE.strip === null) return;
    const strip = $("strip"), pen = strip.getContext("2d"), dense = devicePixelRatio || 1;
    strip.title = `${PAGE.figures[PAGE.strip][0]} of every ${PAGE.noun}, in this order; click to go there`;
    const [wide, high] = [strip.clientWidth, strip.clientHeight];
    strip.width = wide * dense;
    strip.height = high * dense;
    pen.scale(dense, dense);
    const css = getComputedStyle(document.documentElement);
    const [full, faint, now] = ["--accent", "--line", "--wrong"].map((name) => css.getPropertyValue(name));
    this.columns().forEach(([from, to], x) => {
      const some = order.slice(from, to);
      const values = some.map((place) => items[place].figures[PAGE.strip]).filter((value) => value !== null);
      pen.fillStyle = some.some((place) => passes[place]) ? full : faint;
      const value = values.length ? Math.min(...values) : 0;
      pen.fillRect(x, high - Math.max(value * (high - 6), 1), 1, high);
    });
    pen.fillStyle = now;
    const x = bounded((this.at + 0.5) * wide / order.length, 2, wide - 2);
    pen.fillRect(x - 1.5, 0, 3, high);
  },
};

// A true region and the found one that matches it are one row.
function rowsOf(item) {
  const taken = new Set();
  const rows = item.marks.flatMap((mark) => {
    if (taken.has(mark)) return [];
    const others = mark.side === "true" ? item.marks.filter((m) => m.partner >= 0 && item.marks[m.partner] === mark) : [];
    others.forEach((other) => taken.add(other));
    return [[mark, ...others]];
  });
  const rank = ([mark]) => FIRST_SHOWN[mark.verdict] + (mark.verdict === 0 && mark.side === "found" ? 1 : 0);
  return rows.sort((a, b) => rank(a) - rank(b));
}

function path(flat) {
  const points = [];
  for (let k = 0; k + 1 < flat.length; k += 2) points.push(`${flat[k]} ${flat[k + 1]}`);
  return points.length ? `M${points.join("L")}Z` : "";
}

// Wheel, drag, pinch and double click zoom and pan; a swipe pages.
function followPointers(photo) {
  const stage = $("stage"), down = new Map();
  let start = null, gap = 0;
  const here = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  stage.addEventListener("wheel", (event) => {
    const scrolls = document.documentElement.scrollHeight > innerHeight;
    if (scrolls && !event.ctrlKey && photo.zoom.times === 1) return;
    event.preventDefault();
    photo.zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), ...here(event));
  }, { passive: false });
  stage.ondblclick = (event) => {
    if (!event.target.closest("#zooming")) photo.zoomTo(photo.zoom.times > 1 ? 1 : 3, ...here(event));
  };
  stage.onpointerdown = (event) => {
    if (event.target.closest("#zooming")) return;
    down.set(event.pointerId, here(event));
    start = down.size === 1 ? here(event) : null;
    gap = 0;
  };
  stage.onpointermove = (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const now = here(event);
    if (start && Math.hypot(now[0] - start[0], now[1] - start[1]) < 4) return;
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("moving");
    down.set(event.pointerId, now);
    if (down.size === 1) photo.move(now[0] - before[0], now[1] - before[1]);
    if (down.size !== 2) return;
    const [a, b] = down.values();
    const wide = Math.hypot(a[0] - b[0], a[1] - b[1]);
    if (gap) photo.zoomBy(wide / gap, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
    gap = wide;
  };
  stage.onpointerup = stage.onpointercancel = (event) => {
    const [x] = here(event);
    const isSwipe = event.type === "pointerup" && event.pointerType === "touch" && start && photo.zoom.times === 1;
    if (isSwipe && Math.abs(x - start[0]) > 60) photo.step(x < start[0] ? 1 : -1, isNarrowed());
    down.delete(event.pointerId);
    stage.classList.remove("moving");
  };
}
