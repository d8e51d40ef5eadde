// Draws the plots of a report when they come into view.
(() => {
  const root = document.documentElement;
  const coarse = matchMedia("(pointer: coarse)").matches;
  const plots = [...document.querySelectorAll(".plot")];
  const figures = new Map();
  const drawn = new Set();

  const figureOf = (plot) => {
    if (!figures.has(plot)) {
      figures.set(plot, JSON.parse(document.getElementById(`${plot.id}-data`).textContent));
    }
    return figures.get(plot);
  };

  // So many labels as a narrow plot has room for: of those in its range, every second or third.
  const thinned = (axis, width) => {
    if (!axis.tickvals || !axis.range) return;
    const inside = axis.tickvals.map((_, at) => at)
      .filter((at) => Math.log10(axis.tickvals[at]) >= axis.range[0] && Math.log10(axis.tickvals[at]) <= axis.range[1]);
    const every = Math.ceil(inside.length / Math.max(Math.floor(width / 60), 2));
    axis.ticktext = axis.ticktext.map((text, at) => (inside.indexOf(at) % every ? "" : text));
    axis.tickangle = 0;
  };

  const draw = (plot) => {
    const { data, layout } = sweepPlots.coloured(figureOf(plot), getComputedStyle(root));
    layout.dragmode = coarse ? false : "zoom"; // a finger scrolls the page
    thinned(layout.xaxis, plot.clientWidth);
    drawn.add(plot);
    return Plotly.react(plot, data, layout, {
      responsive: true,
      displaylogo: false,
      displayModeBar: coarse || plot.clientWidth < 480 ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  };

  const redraw = () => Promise.all([...drawn].map(draw));

  if (typeof Plotly !== "undefined") {
    const watcher = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting)
      .forEach((entry) => { watcher.unobserve(entry.target); if (!drawn.has(entry.target)) draw(entry.target); }),
    { rootMargin: "500px" });
    plots.forEach((plot) => { sweepPlots.walk(plot, draw); watcher.observe(plot); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  // On paper: light, everything drawn as wide as the page, and the tables open that belong there.
  addEventListener("beforeprint", () => {
    root.dataset.theme = "light";
    document.querySelectorAll("details[data-print]").forEach((one) => { one.dataset.was = one.open; one.open = true; });
    plots.forEach((plot) => { draw(plot); Plotly.relayout(plot, { width: Math.min(plot.clientWidth, 680) }); });
  });
  addEventListener("afterprint", () => {
    delete root.dataset.theme;
    document.querySelectorAll("details[data-print]").forEach((one) => { one.open = one.dataset.was === "true"; });
    plots.forEach((plot) => { Plotly.relayout(plot, { width: null, autosize: true }); draw(plot); });
  });
})();
