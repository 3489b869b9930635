// Words, many at a time, and one of them large.

const PER_PAGE = 60;

const grid = {
  first: 0, // in `passing`, a multiple of PER_PAGE
  open: null, // in `passing`, the word in the dialog

  place: () => passing[grid.open ?? grid.first],

  start() {
    $("grid").hidden = false;
    $("large").onclose = () => { this.cardOf(this.open)?.focus(); this.open = null; };
  },

  refresh() { this.show(0); },
  pages: () => Math.max(Math.ceil(passing.length / PER_PAGE), 1),

  step(by) {
    if (this.open !== null) return this.enlarge(bounded(this.open + by, 0, passing.length - 1));
    this.show(bounded(this.first + by * PER_PAGE, 0, (this.pages() - 1) * PER_PAGE));
  },

  end: (last) => grid.show(last ? (grid.pages() - 1) * PER_PAGE : 0),

  go(place) {
    const at = passing.indexOf(place);
    this.show(at - at % PER_PAGE);
    this.enlarge(at);
  },

  show(first) {
    const moved = first !== this.first;
    this.first = first;
    const some = passing.slice(first, first + PER_PAGE);
    const page = first / PER_PAGE + 1;
    const range = some.length ? `${(first + 1).toLocaleString("en")} to ${(first + some.length).toLocaleString("en")} of ` : "";
    say(`Page ${page} of ${this.pages().toLocaleString("en")}: ${range}${many(passing.length, PAGE.noun)}`);
    $("previous").disabled = page === 1;
    $("next").disabled = page === this.pages();
    $("grid").replaceChildren(...some.map((place, k) => this.card(items[place], first + k)));
    if (!some.length) $("grid").append(make("p", { className: "empty" }, `No ${PAGE.noun} passes the filter.`));
    if (moved) scrollTo(0, 0);
  },

  cardOf: (at) => at === null ? null : $("grid").children[at - grid.first],

  card(item, at) {
    const isWrong = item.readings.some(([, , isRight]) => isRight === false);
    return make("button", { type: "button", className: `card${isWrong ? " wrong" : ""}`, onclick: () => this.enlarge(at) },
      ...item.pictures.map((_, k) => crop(item, k)), lines(item),
      make("small", {}, [item.id, item.note].filter(Boolean).join(" · ")));
  },

  enlarge(at) {
    if (at < 0 || at >= passing.length) return;
    const item = items[passing[at]];
    if (at < this.first || at >= this.first + PER_PAGE) this.show(at - at % PER_PAGE);
    this.open = at;
    remember(passing[at]);
    const [width, height] = item.pictures[0].slice(-2);
    const focused = [...$("large").querySelectorAll("button")].indexOf(document.activeElement);
    $("large").replaceChildren(
      ...item.pictures.map((_, k) => crop(item, k)),
      lines(item),
      make("p", {}, make("small", {}, [item.id, `number ${item.at + 1}`, `${width} × ${height} pixels`, item.note].filter(Boolean).join(" · "))),
      make("nav", {}, make("button", { type: "button", onclick: () => this.step(-1), disabled: at === 0 }, "‹ Previous"),
        make("button", { type: "button", onclick: () => $("large").close() }, "Close"),
        make("button", { type: "button", onclick: () => this.step(1), disabled: at === passing.length - 1 }, "Next ›")));
    if (!$("large").open) $("large").showModal();
    const button = $("large").querySelectorAll("button")[focused];
    if (button) (button.disabled ? $("large") : button).focus();
  },
};

// A part of a sheet, as large as its holder allows. Percentages, so that it scales with its box.
function crop(item, k) {
  const [role, sheet, width, height, x, y] = item.pictures[k];
  const [file, wide, high] = PAGE.sheets[sheet];
  const at = (offset, all, part) => all === part ? 0 : 100 * offset / (all - part);
  const node = make("div", { className: "crop", role: "img", ariaLabel: role || `Image of ${item.id}` });
  Object.assign(node.style, {
    aspectRatio: `${width} / ${height}`, backgroundImage: `url(images/${file})`,
    backgroundSize: `${100 * wide / width}% ${100 * high / height}%`,
    backgroundPosition: `${at(x, wide, width)}% ${at(y, high, height)}%`,
  });
  node.style.width = `min(100%, var(--room) * ${width / height})`;
  return make("div", { className: "holder" }, node, role ? make("span", { className: "role" }, role) : "");
}

function lines(item) {
  const node = make("div", { className: "lines" });
  const add = (who, said, verdict = "", className = "") => node.append(make("div", {},
    make("span", { className: "who" }, who, " ", make("span", { className }, verdict)), said));
  if (item.label !== null) add("label", text(item.label));
  item.readings.forEach(([said, confidence, isRight], k) => {
    const [sign, className] = isRight === null ? ["not scored", ""] : isRight ? ["✓ right", "is-right"] : ["✗ wrong", "is-wrong"];
    add(PAGE.models[k], isRight ? text(said) : compared(item.label ?? "", said), `${sign} ${sure(confidence)}`, className);
  });
  return node;
}

const segmenter = self.Intl && Intl.Segmenter ? new Intl.Segmenter() : null;
const letters = (value) => segmenter ? [...segmenter.segment(value)].map((s) => s.segment) : [...value];

// What was read, with the characters marked that a longest common subsequence with the label lacks.
function compared(label, said) {
  if (said === "" || said === label) return text(said);
  const a = letters(label), b = letters(said);
  if (a.length * b.length > 40000) return text(said);
  const best = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
    }
  }
  const node = make("bdi", { dir: "auto" });
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { node.append(b[j]); i++; j++; continue; }
    let off = "", missing = 0; // a run of what is too much and what is missing
    while ((i < a.length || j < b.length) && !(i < a.length && j < b.length && a[i] === b[j])) {
      if (j < b.length && (i === a.length || best[i][j + 1] >= best[i + 1][j])) off += b[j++];
      else { missing++; i++; }
    }
    if (off) node.append(make("span", { className: "off" }, off));
    else if (missing) node.append(make("span", { className: "gap", title: `${missing} missing` }));
  }
  return node;
}
