// The dashboard: filters by click, a plot for each benchmark, a table that follows, and a file of what is shown.
(() => {
  const { points, columns, measures, facets, benchmarks, looks, layout: baseLayout, rowsDrawn } =
    JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const coarse = matchMedia("(pointer: coarse)").matches;
  const form = document.getElementById("filters");
  const plots = document.getElementById("plots");
  const body = document.querySelector("#table tbody");
  const headings = [...document.querySelectorAll("#table th")];
  const rows = [...body.rows];
  const panels = new Map();
  const sorted = { key: null, down: false };

  const inputs = (name) => [...form.querySelectorAll(`input[name="${name}"]`)];
  const picked = (name) => inputs(name).filter((one) => one.checked).map((one) => one.value);
  const isMineKept = () => inputs("mine").some((one) => one.checked);
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  // What the form says. Of a filter without a choice, everything passes.
  const read = () => ({
    measure: measures.find((one) => one.key === picked("show")[0]),
    chosen: Object.fromEntries(facets.map(({ key }) => [key, new Set(picked(key))])),
    perAccelerator: picked("per")[0] === "accelerator",
    log: picked("scale")[0] === "log",
    keepsMine: isMineKept(),
  });

  const passes = (point, state, except) => point.measure === state.measure.key && facets.every(({ key, holdsMine }) =>
    key === except || !state.chosen[key].size || state.chosen[key].has(point.facets[key])
    || (holdsMine && point.mine && state.keepsMine));

  const valueOf = (point, state) => (state.perAccelerator ? point.per : point.value);

  const figure = (value) => (Math.abs(value) >= 1000 || Number.isInteger(value)
    ? value.toLocaleString("en-US", { maximumFractionDigits: 0 }) : String(Number(value.toPrecision(4))));

  // A name as long as there is room for: what tells systems of one maker apart is at its end.
  const cut = (text, most) => {
    if (text.length <= most) return text;
    const tail = Math.floor(0.45 * (most - 1));
    return `${text.slice(0, most - 1 - tail)}…${text.slice(text.length - tail)}`;
  };

  // Round ticks between two values of a logarithmic axis, as many as there is room for.
  const ticksOf = (low, high, room) => {
    const from = Math.floor(Math.log10(low));
    const to = Math.ceil(Math.log10(high));
    const within = (steps) => Array.from({ length: to - from + 1 }, (_, at) => steps.map((step) => step * 10 ** (from + at)))
      .flat().filter((tick) => tick >= low && tick <= high);
    const tens = within([1]);
    const every = Math.ceil(tens.length / room);
    return [[1, 2, 5], [1, 3], [1]].map(within).find((ticks) => ticks.length <= room) || tens.filter((_, at) => at % every === 0);
  };

  // The rows of one plot, the best first: of too many those, and one's own.
  const rowsOf = (drawn, state) => {
    const sign = state.measure.lower_is_better ? 1 : -1;
    const best = [...drawn].sort((a, b) => sign * (valueOf(a, state) - valueOf(b, state)));
    return best.filter((point, at) => at < rowsDrawn || point.mine);
  };

  const figureOf = (drawn, state, width) => {
    const shown = rowsOf(drawn, state);
    const place = new Map(shown.map((point, at) => [point, at]));
    const isNarrow = width < 480; // names stand above their rows then, not beside them
    const characters = isNarrow ? Math.floor((width - 24) / 7) : Math.max(20, Math.min(60, Math.floor((0.52 * width) / 6.6)));
    const labels = shown.map(({ label, more }) => cut(label, Math.max(8, characters - more.length)) + more);
    const names = shown.map((point, at) => (point.mine ? `<b>${escaped(labels[at])}</b>` : escaped(labels[at])));
    const area = width - 30 - (isNarrow ? 0 : 6.8 * Math.max(...labels.map((text) => text.length)));
    const beside = Math.min(0.6, 56 / area); // share of the axis that the figure of the best needs
    const data = Object.keys(looks).map((name) => {
      const own = shown.filter((point) => point.look === name);
      const { symbol, color, size } = looks[name];
      const isFilled = !symbol.endsWith("-open");
      const values = own.map((point) => valueOf(point, state));
      return {
        type: "scatter", mode: "markers+text", name,
        x: values, y: own.map((point) => place.get(point)),
        text: values.map((value) => ` ${figure(value)}`), textposition: "middle right",
        textfont: { size: 12, color: "var(--text)" }, cliponaxis: false,
        hovertext: own.map((point) => point.hover), hovertemplate: "%{hovertext}<extra></extra>",
        marker: { symbol, color, size, line: { width: isFilled && own.some((one) => one.mine) ? 1.5 : isFilled ? 0 : 2.5,
          color: isFilled ? "var(--text)" : color } },
      };
    }).filter((trace) => trace.x.length);
    const values = shown.map((point) => valueOf(point, state));
    const low = Math.min(...values);
    const high = Math.max(...values);
    const layout = structuredClone(baseLayout);
    const unit = state.measure.unit + (state.perAccelerator ? " per accelerator" : "");
    const from = Math.log10(low / 1.25);
    const to = from + (Math.log10(high * 1.05) - from) / (1 - beside);
    const ticks = state.log ? ticksOf(10 ** from, 10 ** to, Math.max(2, Math.floor(area / 60))) : [];
    const isLog = ticks.length > 1; // else there is nothing to read a logarithm by
    Object.assign(layout.xaxis, isLog
      ? { type: "log", range: [from, to], tickmode: "array", tickvals: ticks, ticktext: ticks.map(figure), minor: {} }
      : { type: "linear", range: [0, high / (1 - beside)], nticks: Math.max(3, Math.floor(area / 80)), tickformat: ",~r" });
    layout.xaxis.title.text = unit;
    layout.xaxis.tickangle = 0;
    layout.xaxis.fixedrange = true;
    Object.assign(layout.yaxis, {
      range: [shown.length - 0.4, isNarrow ? -0.9 : -0.6], tickmode: "array", tickvals: names.map((_, at) => at),
      ticktext: names, ticks: "", showline: false, fixedrange: true, tickfont: { size: 12 }, showticklabels: !isNarrow,
    });
    layout.annotations = !isNarrow ? [] : names.map((text, at) => (
      { text, xref: "paper", x: 0, xanchor: "left", y: at, yshift: 15, showarrow: false, font: { size: 12 } }));
    layout.margin = { l: 8, r: 16, t: 4, b: 46 };
    layout.height = (isNarrow ? 42 : 24) * shown.length + 66;
    layout.dragmode = false;
    return { data, layout, shown: shown.length };
  };

  const panelOf = (benchmark) => {
    if (panels.has(benchmark)) return panels.get(benchmark);
    const card = document.createElement("figure");
    card.className = "card";
    const title = document.createElement("h3");
    title.id = `plot-${panels.size}-title`;
    const plot = document.createElement("div");
    plot.className = "plot";
    plot.id = `plot-${panels.size}`;
    plot.tabIndex = 0;
    plot.dataset.walk = "y";
    plot.dataset.benchmark = benchmark;
    plot.setAttribute("role", "application");
    plot.setAttribute("aria-roledescription", "plot");
    const spoken = document.createElement("p");
    spoken.className = "spoken";
    spoken.setAttribute("aria-live", "polite");
    card.setAttribute("aria-labelledby", title.id);
    card.append(title, plot, spoken);
    const panel = { card, title, plot };
    panels.set(benchmark, panel);
    sweepPlots.walk(plot, () => {});
    return panel;
  };

  const draw = (panel, paperWidth) => {
    const { drawn, state, plot, benchmark, title } = panel;
    const made = figureOf(drawn, state, paperWidth || plot.clientWidth);
    if (paperWidth) made.layout.width = paperWidth;
    const { data, layout } = sweepPlots.coloured(made, getComputedStyle(root));
    const count = document.createElement("span");
    count.className = "count";
    count.textContent = made.shown === drawn.length ? ` ${drawn.length}` : ` best ${made.shown} of ${drawn.length}`;
    title.replaceChildren(benchmark, count);
    plot.setAttribute("aria-label", `${benchmark}, ${state.measure.label}${state.perAccelerator ? " per accelerator" : ""}: `
      + `${made.shown} results, the best first. Up and down arrow keys go from result to result.`);
    plot.style.height = `${layout.height}px`;
    return Plotly.react(plot, data, layout, { responsive: true, displayModeBar: false });
  };

  const drawAll = (paperWidth) => [...plots.children].forEach((card) => (
    draw([...panels.values()].find((one) => one.card === card), paperWidth)));

  const order = (list) => {
    if (!sorted.key) return list;
    const sign = sorted.down ? -1 : 1;
    const of = (point) => point.row[sorted.key];
    const isMissing = (value) => value === null || value === "";
    return [...list].sort((a, b) => {
      const [one, other] = [of(a), of(b)];
      if (isMissing(one) || isMissing(other)) return isMissing(one) - isMissing(other); // last, either way
      return sign * (typeof one === "number" ? one - other : String(one).localeCompare(String(other), "en", { numeric: true }));
    });
  };

  // The points of the table, in its order.
  const inTable = () => {
    const state = read();
    return order(points.filter((point) => passes(point, state)));
  };

  const fillTable = () => {
    const list = inTable();
    rows.forEach((row) => { row.hidden = true; });
    const place = new Map(points.map((point, at) => [point, at]));
    list.forEach((point) => {
      const row = rows[place.get(point)];
      row.hidden = false;
      body.append(row);
    });
    headings.forEach((heading) => {
      if (heading.dataset.key === sorted.key) heading.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    });
  };

  // How many points each choice would show, with the other filters as they are.
  const countChoices = (state) => facets.forEach(({ key }) => {
    const counts = new Map();
    points.filter((point) => passes(point, state, key)).forEach((point) => {
      counts.set(point.facets[key], (counts.get(point.facets[key]) || 0) + 1);
    });
    const there = new Set(points.filter((point) => point.measure === state.measure.key).map((point) => point.facets[key]));
    inputs(key).forEach((input) => {
      const label = input.closest(".pick");
      const count = counts.get(input.value) || 0;
      label.querySelector(".count").textContent = count;
      label.classList.toggle("empty", !count);
      label.hidden = !there.has(input.value) && !input.checked;
    });
    const fieldset = inputs(key)[0].closest("fieldset");
    fieldset.hidden = inputs(key).filter((input) => !input.closest(".pick").hidden).length < 2 && !state.chosen[key].size;
  });

  const render = () => {
    const state = read();
    if (state.measure.lower_is_better && state.perAccelerator) state.perAccelerator = false; // a latency is not shared out
    inputs("per").forEach((one) => { one.disabled = state.measure.lower_is_better; });
    const shown = points.filter((point) => passes(point, state));
    const total = points.filter((point) => point.measure === state.measure.key).length;
    const drawn = shown.filter((point) => valueOf(point, state) !== null);
    const left = shown.length - drawn.length;
    document.getElementById("count").textContent = `${shown.length} of ${total} points`
      + (left ? `; ${left} not drawn: no accelerators, or not known how many` : "") + (state.measure.lower_is_better ? "; lower is better" : "");
    countChoices(state);
    const visible = benchmarks.filter((name) => drawn.some((point) => point.facets.benchmark === name)).map((name) => {
      const panel = panelOf(name);
      Object.assign(panel, { benchmark: name, state, drawn: drawn.filter((point) => point.facets.benchmark === name) });
      return panel;
    });
    plots.replaceChildren(...visible.map((panel) => panel.card));
    drawAll();
    fillTable();
  };

  // The view is in the page's address, so that it can be kept and sent.
  const settings = ["show", "per", "scale", "mine"];
  const first = Object.fromEntries(settings.map((name) => [name, picked(name).join()]));
  const write = () => {
    const view = new URLSearchParams();
    settings.filter((name) => picked(name).join() !== first[name])
      .forEach((name) => view.append(name, picked(name)[0] || "filtered"));
    facets.forEach(({ key }) => picked(key).forEach((value) => view.append(key, value)));
    if (sorted.key) view.append("sort", (sorted.down ? "-" : "") + sorted.key);
    history.replaceState(null, "", `#${view}`);
  };

  const restore = () => {
    const text = location.hash.slice(1);
    if (text && !text.includes("=")) return; // a place on the page
    const view = new URLSearchParams(text);
    ["show", "per", "scale"].forEach((name) => {
      const known = inputs(name).map((one) => one.value);
      const value = known.includes(view.get(name)) ? view.get(name) : first[name];
      inputs(name).forEach((one) => { one.checked = one.value === value; });
    });
    inputs("mine").forEach((one) => { one.checked = view.get("mine") !== "filtered"; });
    facets.forEach(({ key }) => {
      const values = view.getAll(key);
      inputs(key).forEach((one) => { one.checked = values.includes(one.value); });
    });
    const sort = view.get("sort") || "";
    sorted.key = headings.some((one) => one.dataset.key === sort.replace(/^-/, "")) ? sort.replace(/^-/, "") : null;
    sorted.down = sort.startsWith("-");
  };

  const csvCell = (value) => {
    const plain = value === null ? "" : String(value);
    // Spreadsheets calculate with text that begins so; figures are no text.
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(plain) ? `'${plain}` : plain;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const download = () => {
    const lines = [columns, ...inTable().map((point) => columns.map((name) => point.row[name]))];
    const text = lines.map((line) => `${line.map(csvCell).join(",")}\r\n`).join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    link.download = "dashboard.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  headings.forEach((heading) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    button.addEventListener("click", () => {
      const isNumber = points.some((point) => typeof point.row[heading.dataset.key] === "number");
      sorted.down = sorted.key === heading.dataset.key ? !sorted.down : isNumber;
      sorted.key = heading.dataset.key;
      write();
      fillTable();
    });
    heading.replaceChildren(button);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => { write(); render(); });
  document.getElementById("reset").addEventListener("click", () => {
    history.replaceState(null, "", "#");
    restore();
    render();
  });
  document.getElementById("download").addEventListener("click", download);
  addEventListener("hashchange", () => { restore(); render(); });
  let waiting;
  let width = plots.clientWidth;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (plots.clientWidth === width) return;
      width = plots.clientWidth;
      drawAll();
    }, 120);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  addEventListener("beforeprint", () => { root.dataset.theme = "light"; drawAll(Math.min(plots.clientWidth, 660)); });
  addEventListener("afterprint", () => { delete root.dataset.theme; drawAll(); });
  restore();
  render();
})();
