"use strict";
// Wires the page's controls to the formulas, and what they say to the table and to the figures, which Bokeh draws.
(async () => {
  const byId = (id) => document.getElementById(id);
  const given = JSON.parse(byId("content").textContent);
  const CURVE_POINTS = 49;
  const VALLEY_POINTS = 61;
  const WIDEST = 200; // an interval that spans this factor says nothing: a plan leaves it out, too
  const VALLEY_TOP = 12; // percent: what a size costs beyond that is out of sight
  const MOST_BANDS = 4; // bands of more corpora than these hide each other
  const SIGNS = ["●", "■", "▲", "◆", "▼", "⬢", "★", "✚"];
  const MARKERS = ["circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star", "plus"];
  const DASHES = ["solid", "dashdot", "dashed"];
  const APART = 0.09; // of ln N: runs of several corpora at one place

  const floats = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Float64Array(bytes.buffer);
  };

  // One law of one corpus under one form and one way of counting, ready for the formulas.
  const open = (law) => {
    const draws = floats(law.draws);
    const rows = new Float64Array(law.values.length + draws.length);
    rows.set(law.values);
    rows.set(draws, law.values.length);
    return { ...law, width: law.values.length, rows };
  };
  const sources = given.sources.map((source) => ({
    ...source,
    laws: source.laws.map(open),
    joint: source.joint.map((joint) => ({ ...joint, draws: floats(joint.draws), scatter: floats(joint.scatter) })),
  }));

  // ------------------------------------------------------------------ numbers as people read them
  const MISSING = "–";
  const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const power = (value, digits = 2) => {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    const tens = "10" + [...String(Number(exponent))].map((c) => SUPERSCRIPTS[c]).join("");
    const head = String(Number(mantissa));
    return head === "1" ? tens : `${head}×${tens}`;
  };
  const plain = (value, digits = 3) => {
    if (value === 0) return "0";
    if (!(Math.abs(value) >= 1e-4 && Math.abs(value) < 1e6)) return power(value, digits);
    const rounded = Number(value.toExponential(digits - 1));
    return rounded.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(rounded))))).replace("-", "−");
  };
  const si = (value, digits = 3) => {
    if (value >= 1e15) return power(value);
    for (const [scale, suffix] of [[1e12, " T"], [1e9, " B"], [1e6, " M"], [1e3, " k"]]) {
      if (value >= 0.9995 * scale) return plain(value / scale, digits) + suffix;
    }
    return plain(value, digits);
  };
  const fixed = (value) => value.toFixed(3);
  const interval = ({ low, high }, write) => (low === null ? "" : `[${write(low)}–${write(high)}]`);

  // ------------------------------------------------------------------ what is asked: controls and address
  const slider = byId("budget");
  const typed = byId("budget-number");
  const state = { flops: given.start.flops, form: given.start.form, convention: given.start.convention, off: new Set() };
  state.measures = new Map();
  for (const [s, source] of sources.entries()) {
    for (const [j, joint] of source.joint.entries()) state.measures.set(`${s}.${j}`, joint.start);
  }

  const fromAddress = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const flops = Number(asked.get("flops"));
    if (Number.isFinite(flops) && flops > 0) state.flops = flops;
    if (given.forms.some((form) => form.name === asked.get("form"))) state.form = asked.get("form");
    if (given.conventions.some((one) => one.name === asked.get("params"))) state.convention = asked.get("params");
    state.off = new Set(asked.getAll("off"));
    for (const key of state.measures.keys()) {
      const value = Number(asked.get(`measure.${key}`));
      if (asked.has(`measure.${key}`) && Number.isFinite(value)) state.measures.set(key, value);
    }
  };
  const toAddress = () => {
    const hash = new URLSearchParams();
    hash.set("flops", String(state.flops));
    if (given.forms.length > 1) hash.set("form", state.form);
    if (given.conventions.length > 1) hash.set("params", state.convention);
    for (const [key, value] of state.measures) hash.set(`measure.${key}`, String(value));
    for (const key of state.off) hash.append("off", key);
    try {
      history.replaceState(null, "", `#${hash}`);
    } catch {
      // A browser that forbids it on files shows the page all the same.
    }
  };

  // ------------------------------------------------------------------ what is shown: rows
  // A row is a corpus of a source by the form and the count that are chosen, or a data-dependent law at its measure.
  let rows = [];
  const choose = (source) => {
    const counted = source.laws.filter((law) => law.convention === state.convention);
    const own = counted.length ? counted : source.laws;
    const corpora = [...new Set(own.map((law) => law.corpus))];
    return corpora.map((corpus) => {
      const all = own.filter((law) => law.corpus === corpus);
      return all.find((law) => law.form === state.form) || all[0];
    });
  };
  const jointLaw = (joint, measure) => ({
    corpus: `any corpus of ${joint.measure} ${plain(measure)}`, form: "chinchilla", convention: joint.convention,
    width: 5, rows: Formulas.atMeasure(joint, measure), perToken: joint.perToken, domain: joint.domain, unit: joint.unit,
    remark: joint.remark,
  });
  const collect = () => {
    rows = [];
    for (const [s, source] of sources.entries()) {
      for (const law of choose(source)) rows.push({ key: `${s}:c:${law.corpus}`, source: s, law });
      for (const [j, joint] of source.joint.entries()) {
        rows.push({ key: `${s}:j:${j}`, source: s, law: jointLaw(joint, state.measures.get(`${s}.${j}`)), joint: true });
      }
    }
    for (const row of rows) Object.assign(row, { look: given.looks[row.key], on: !state.off.has(row.key) });
  };
  const curves = new Map(); // of laws that do not move: a budget's slider leaves them as they are
  const curveOf = (row) => {
    const key = [row.key, row.law.form, row.law.convention, row.joint ? row.law.corpus : ""].join("|");
    if (!curves.has(key)) {
      if (row.joint) for (const old of curves.keys()) if (old.startsWith(`${row.key}|`)) curves.delete(old);
      const [low, high] = given.budgets;
      const step = Math.log(high / low) / (CURVE_POINTS - 1);
      const budgets = Array.from({ length: CURVE_POINTS }, (_, i) => low * Math.exp(i * step));
      curves.set(key, Formulas.along(row.law, budgets).filter((point) => Number.isFinite(point.params.value)));
    }
    return curves.get(key);
  };

  // ------------------------------------------------------------------ the answer: a list, one line a corpus
  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const reach = (factor) => (factor === 1 ? "inside the runs" : `×${plain(factor, 2)} beyond the runs`);
  const unitWord = (law) => (law.unit === "bytes" ? "bytes" : "tokens");
  const part = (textContent) => element("span", { className: "part", textContent });
  const line = (row, found) => {
    const words = element("span", { className: "words" });
    if (!found) {
      words.append("no best split: the fitted loss does not fall in both directions");
      return [words];
    }
    for (const name of ["params", "tokens", "ratio", "loss"]) {
      for (const end of ["value", "low", "high"]) row.item.dataset[`${name}${end}`] = String(found[name][end]);
    }
    row.item.dataset.extrapolation = String(found.extrapolation);
    const [a, b] = [unitWord(row.law), unitWord(row.law).slice(0, -1)];
    const wide = found.ratio.low !== null && found.ratio.high > WIDEST * found.ratio.low;
    const drawn = row.law.rows.length > row.law.width; // the first row is the fit itself
    const known = wide ? `[not known within a factor of ${WIDEST}]`
      : found.ratio.low === null && drawn ? "[no interval: many draws of the law have no best split]"
      : interval(found.ratio, plain);
    words.append(
      element("strong", { textContent: `${plain(found.ratio.value)} ${a} per parameter` }),
      " ", element("span", { className: "interval", textContent: known }),
      element("span", {
        className: "split",
      }, part(`${si(found.tokens.value)} ${a} ${wide ? "" : interval(found.tokens, si)} on`), " ", part(`${si(found.params.value)} parameters ${wide ? "" : interval(found.params, si)}`)),
      element("span", {
        className: "split",
        textContent: `loss ${fixed(found.loss.value)} ${interval(found.loss, fixed)} nats per ${b}`,
      }),
    );
    const far = found.extrapolation > 1;
    const place = element("span", { className: far ? "reach far" : "reach", textContent: reach(found.extrapolation) });
    return [words, place];
  };
  const list = (s) => byId(`list-${s}`);
  const makeLists = () => {
    for (const s of sources.keys()) list(s).replaceChildren();
    for (const row of rows) {
      const box = element("input", { type: "checkbox", checked: row.on });
      box.addEventListener("change", () => {
        if (box.checked) state.off.delete(row.key);
        else state.off.add(row.key);
        update();
      });
      const sign = element("span", { className: `sign look-${row.look % 8}`, ariaHidden: "true" });
      sign.textContent = SIGNS[row.look % SIGNS.length];
      row.name = element("span", { className: "name" });
      const label = element("label", {}, box, sign, row.name);
      row.answer = element("div", { className: "line" });
      row.item = element("li", {}, label, row.answer);
      row.item.dataset.key = row.key;
      list(row.source).append(row.item);
    }
  };
  const fillLists = () => {
    for (const row of rows) {
      row.name.textContent = row.law.corpus;
      row.found = Formulas.split(row.law, state.flops);
      row.item.classList.toggle("off", !row.on);
      const remark = row.law.remark ? [element("span", { className: "remark", textContent: row.law.remark })] : [];
      row.answer.replaceChildren(...line(row, row.found), ...remark);
    }
  };

  // ------------------------------------------------------------------ the figures
  const figures = {};
  const model = (name) => {
    for (const figure of Object.values(figures)) {
      const found = figure.get_model_by_name(name);
      if (found) return found;
    }
    throw new Error(`no model ${name}`);
  };
  const put = (name, data) => {
    model(name).data = data;
  };
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (row) => css(`--look-${row.look % 8}`);
  const dash = (row) => DASHES[(row.source + 2 * Math.floor(row.look / 8)) % DASHES.length];

  // Stretches of a curve inside the runs and beyond them, each reaching to its neighbour.
  const stretches = (points) => {
    const found = [];
    for (const point of points) {
      const last = found.at(-1);
      if (last && last.inside === point.inside) last.points.push(point);
      else found.push({ inside: point.inside, points: last ? [last.points.at(-1), point] : [point] });
    }
    return found;
  };
  const tokensAt = (flops, params, law) => (flops * law.perToken) / (6 * params);
  const lines = (shown, x, y) => {
    const data = { xs: [], ys: [], colour: [], dash: [], width: [], alpha: [], name: [] };
    for (const row of shown) {
      for (const { inside, points } of stretches(curveOf(row))) {
        data.xs.push(points.map((p) => x(p, row.law)));
        data.ys.push(points.map((p) => y(p, row.law)));
        data.colour.push(colour(row));
        data.dash.push(inside ? dash(row) : "dotted");
        data.width.push(inside ? 3 : 2);
        data.alpha.push(inside ? 1 : 0.75);
        data.name.push(row.law.corpus);
      }
    }
    return data;
  };
  const bands = (shown, x, y) => {
    const data = { xs: [], ys: [], colour: [] };
    for (const row of shown.length > MOST_BANDS ? [] : shown) {
      const known = curveOf(row).filter((p) => p.params.low !== null);
      if (known.length < 2) continue;
      const [low, high] = ["low", "high"].map((end) => known.map((p) => [x(p, row.law, end), y(p, row.law, end)]));
      const around = [...low, ...high.reverse()];
      data.xs.push(around.map(([at]) => at));
      data.ys.push(around.map(([, at]) => at));
      data.colour.push(colour(row));
    }
    return data;
  };
  const drawCurves = (shown) => {
    const split = [(p) => p.params.value, (p, law) => tokensAt(p.flops, p.params.value, law)];
    put("split-lines", lines(shown, ...split));
    const ends = [(p, _, end) => p.params[end], (p, law, end) => tokensAt(p.flops, p.params[end], law)];
    put("split-bands", bands(shown, ...ends));
    put("ratio-lines", lines(shown, (p) => p.flops, (p) => p.ratio.value));
    put("ratio-bands", bands(shown, (p) => p.flops, (p, _, end) => p.ratio[end]));
    const ratios = shown.flatMap((row) => curveOf(row).filter((p) => p.inside).map((p) => p.ratio.value));
    if (ratios.length) {
      model("ratio-range").setv({ start: Math.min(...ratios) / 4, end: Math.max(...ratios) * 4 });
    }
  };
  const drawRuns = (shown) => {
    const data = { x: [], y: [], colour: [], marker: [], filled: [], run: [], corpus: [], loss: [], size: [], length: [], compute: [], about: [] };
    const trained = shown.filter((row) => !row.joint && sources[row.source].runs.length);
    for (const [place, row] of trained.entries()) {
      const aside = Math.exp(APART * (place - (trained.length - 1) / 2));
      for (const run of sources[row.source].runs) {
        if (run.corpus !== row.law.corpus || run.convention !== row.law.convention) continue;
        data.x.push(run.params * aside);
        data.y.push(run.tokens);
        data.colour.push(colour(row));
        data.marker.push(MARKERS[row.look % MARKERS.length]);
        data.filled.push(run.flags ? 0 : 0.55);
        data.run.push(run.run);
        data.corpus.push(run.corpus);
        data.loss.push(`${run.loss.toFixed(4)} nats${run.stderr === null ? "" : ` ± ${run.stderr.toFixed(4)}`}`);
        data.size.push(`${si(run.params)} parameters`);
        data.length.push(`${si(run.tokens)} ${unitWord(row.law)}`);
        data.compute.push(`${power(run.flops)} FLOPs`);
        data.about.push(run.flags || "none");
      }
    }
    put("runs", data);
  };
  // The window of the first figure: all runs with a margin, and the stars wherever they are.
  const keepInSight = (name, [low, high], places) => {
    model(name).setv({ start: Math.min(low / 4, ...places.map((x) => x / 2)), end: Math.max(high * 4, ...places.map((x) => x * 2)) });
  };
  const drawBudget = (shown) => {
    const flops = state.flops;
    const [lowest, highest] = given.params;
    const ends = [lowest / 1e3, highest * 1e6];
    const law = rows.length ? rows[0].law : { perToken: 1 };
    put("budget-line", { x: ends, y: ends.map((n) => tokensAt(flops, n, law)) });
    model("budget-mark").location = flops;
    const stars = { x: [], y: [], colour: [], name: [] };
    const bars = { xs: [], ys: [], colour: [] };
    const ratios = { x: [], y: [], low: [], high: [], colour: [], name: [] };
    const valleys = { xs: [], ys: [], colour: [], dash: [], name: [] };
    const costs = { x: [], y: [], low: [], high: [], colour: [], name: [] };
    for (const row of shown.filter((one) => one.found)) {
      const { params, tokens, ratio, loss } = row.found;
      const common = { colour: colour(row), name: row.law.corpus };
      const [low, high] = params.low === null ? [params.value, params.value] : [params.low, params.high];
      const add = (data, values) => Object.entries(values).forEach(([key, value]) => data[key].push(value));
      add(stars, { x: params.value, y: tokens.value, ...common });
      const along = [low, params.value, high];
      add(bars, { xs: along, ys: along.map((n) => tokensAt(flops, n, row.law)), colour: common.colour });
      add(ratios, { x: flops, y: ratio.value, low: ratio.low ?? ratio.value, high: ratio.high ?? ratio.value, ...common });
      add(costs, { x: params.value, y: 0, low, high, ...common });
      const xs = [];
      const ys = [];
      for (let i = 0; i < VALLEY_POINTS; i++) {
        const n = params.value * Math.exp(((2 * i) / (VALLEY_POINTS - 1) - 1) * Math.log(100));
        const cost = 100 * (Formulas.lossAt(row.law, flops, n) / loss.value - 1);
        if (cost > 3 * VALLEY_TOP) continue;
        xs.push(n);
        ys.push(cost);
      }
      add(valleys, { xs, ys, colour: common.colour, dash: dash(row), name: row.law.corpus });
    }
    put("stars", stars);
    keepInSight("split-x", given.params, stars.x);
    keepInSight("split-y", given.tokens, stars.y);
    put("bars", bars);
    put("ratio-points", ratios);
    put("valleys", valleys);
    put("costs", costs);
    const sizes = costs.x;
    if (sizes.length) {
      model("cost-range").setv({ start: Math.min(...sizes) / 12, end: Math.max(...sizes) * 12 });
    }
  };
  const drawWeighted = (shown) => {
    const data = { x: [], y: [], low: [], high: [], colour: [], name: [] };
    for (const row of shown) {
      for (const one of sources[row.source].weighted) {
        if (row.joint || one.corpus !== row.law.corpus || one.convention !== row.law.convention) continue;
        data.x.push(one.flops);
        data.y.push(one.ratio[0]);
        data.low.push(one.ratio[1]);
        data.high.push(one.ratio[2]);
        data.colour.push(colour(row));
        data.name.push(row.law.corpus);
      }
    }
    put("weighted", data);
  };
  const dress = () => {
    const [ink, muted, rule, paper] = ["--ink", "--muted", "--rule", "--paper"].map(css);
    for (const [key, figure] of Object.entries(figures)) {
      const named = (part) => figure.get_model_by_name(`${key}-${part}`);
      named("figure").setv({
        background_fill_color: paper, border_fill_color: paper, outline_line_color: null,
      });
      for (const axis of ["x", "y"]) {
        named(`${axis}axis`).setv({
          axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: muted, major_tick_line_color: muted,
          minor_tick_line_color: null,
        });
        named(`${axis}grid`).setv({ grid_line_color: rule });
      }
      for (const side of ["left", "right", "bottom", "top"]) {
        const beyond = named(`beyond-${side}`);
        if (beyond) beyond.setv({ fill_color: muted });
      }
    }
    model("budget-mark").line_color = ink;
    model("budget-line-look").line_color = ink;
    for (const name of ["stars-look", "ratio-points-look", "costs-look"]) model(name).line_color = paper;
  };
  const draw = () => {
    const shown = rows.filter((row) => row.on);
    drawCurves(shown);
    drawRuns(shown);
    drawWeighted(shown);
    drawBudget(shown);
    byId("bands-note").hidden = shown.length <= MOST_BANDS;
  };

  // ------------------------------------------------------------------ moving
  const showState = () => {
    slider.value = String(Math.log10(state.flops));
    slider.setAttribute("aria-valuetext", `${power(state.flops, 3)} FLOPs`);
    if (document.activeElement !== typed) typed.value = state.flops.toExponential(3).replace(/\.?0*e\+?/, "e");
    byId("budget-words").textContent = `${power(state.flops, 3)} FLOPs`;
    for (const name of ["form", "convention"]) {
      for (const input of document.getElementsByName(name)) input.checked = input.value === state[name];
    }
    for (const [key, value] of state.measures) {
      const input = byId(`measure-${key}`);
      input.value = String(value);
      byId(`measure-words-${key}`).textContent = plain(value);
    }
    document.body.dataset.flops = String(state.flops);
  };
  let made = "";
  let kept = [];
  let ready = false;
  const update = () => {
    collect();
    const keys = rows.map((row) => row.key).join("\n");
    if (keys !== made) {
      makeLists();
      made = keys;
      kept = rows;
    } else {
      rows.forEach((row, i) => {
        const { item, name, answer } = kept[i];
        Object.assign(row, { item, name, answer });
        item.querySelector("input").checked = row.on;
      });
      kept = rows;
    }
    fillLists();
    showState();
    if (ready) draw();
    toAddress();
  };

  slider.addEventListener("input", () => {
    state.flops = 10 ** Number(slider.value);
    update();
  });
  typed.addEventListener("change", () => {
    const flops = Number(typed.value);
    if (Number.isFinite(flops) && flops > 0) state.flops = flops;
    typed.blur();
    update();
  });
  for (const name of ["form", "convention"]) {
    for (const input of document.getElementsByName(name)) {
      input.addEventListener("change", () => {
        state[name] = input.value;
        update();
      });
    }
  }
  for (const key of state.measures.keys()) {
    byId(`measure-${key}`).addEventListener("input", (event) => {
      state.measures.set(key, Number(event.target.value));
      update();
    });
  }
  for (const button of document.querySelectorAll("[data-corpora]")) {
    button.addEventListener("click", () => {
      state.off = new Set(button.dataset.corpora === "none" ? rows.map((row) => row.key) : []);
      update();
    });
  }
  addEventListener("hashchange", () => {
    fromAddress();
    update();
  });

  fromAddress();
  update();
  for (const [key, item] of Object.entries(given.figures)) {
    const before = new Set(Bokeh.documents);
    await Bokeh.embed.embed_item(item, `figure-${key}`);
    figures[key] = Bokeh.documents.find((one) => !before.has(one));
  }
  ready = true;
  dress();
  draw();
  const runs = model("runs");
  runs.selected.change.connect(() => {
    const [place] = runs.selected.indices;
    const shown = byId("record");
    if (place === undefined) {
      shown.textContent = "Point at a run, or tap it, for its record.";
      return;
    }
    const of = (name) => runs.data[name][place];
    shown.textContent = `${of("run")}: ${of("corpus")}, ${of("size")}, ${of("length")}, ${of("compute")}, loss ${of("loss")}, flags: ${of("about")}`;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    dress();
    draw();
  });
  document.body.dataset.ready = "yes";
})();
