"use strict";
// Draws the plots when they come into view, in the colours of the page, and walks their points by the keyboard.
(() => {
  const root = document.documentElement;
  const coarse = matchMedia("(pointer: coarse)").matches;
  const plots = [...document.querySelectorAll(".plot")];
  const figures = new Map();
  const drawn = new Set();

  const coloured = (value, style) => {
    if (typeof value === "string") {
      return value.startsWith("var(--") ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
    }
    if (Array.isArray(value)) return value.map((one) => coloured(one, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one, style)]));
  };

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
    const { data, layout } = coloured(figureOf(plot), getComputedStyle(root));
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

  // Points in the order of the arrow keys: along N, or curve by curve.
  const pointsOf = (plot) => {
    const points = plot.data.flatMap((trace, curve) =>
      trace.visible === "legendonly" ? [] : (trace.hovertext || []).map((text, number) => (
        { curve, number, text, x: trace.x[number], on: `x${(trace.yaxis || "y")}` }
      )));
    return plot.dataset.walk === "x" ? points.sort((a, b) => a.x - b.x) : points;
  };

  // Where a key leads: `at` is the place before, undefined for none.
  const next = (key, points, at, byCurve) => {
    const last = points.length - 1;
    if (at === undefined) return key === "ArrowLeft" || key === "End" ? last : 0;
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10 }[key];
    if (step) return Math.min(Math.max(at + step, 0), last);
    if (key === "Home") return 0;
    if (key === "End") return last;
    if (!byCurve) return Math.min(Math.max(at + (key === "ArrowDown" ? 1 : -1), 0), last);
    const curves = [...new Set(points.map((point) => point.curve))];
    const place = curves.indexOf(points[at].curve) + (key === "ArrowDown" ? 1 : -1);
    const curve = curves[Math.min(Math.max(place, 0), curves.length - 1)];
    const distance = (point) => (point.curve === curve ? Math.abs(point.x - points[at].x) : Infinity);
    return points.reduce((best, point, number) => (distance(point) < distance(points[best]) ? number : best),
      points.findIndex((point) => point.curve === curve));
  };

  const plain = (text) => text.replaceAll("<br>", "; ")
    .replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

  const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
  const walk = (plot) => {
    const live = plot.parentElement.querySelector(".spoken");
    let at;
    const leave = () => {
      at = undefined;
      live.textContent = "";
      if (drawn.has(plot)) Plotly.Fx.unhover(plot);
    };
    plot.addEventListener("blur", leave);
    plot.addEventListener("focus", () => { if (!drawn.has(plot)) draw(plot); });
    plot.addEventListener("keydown", (event) => {
      if (event.key === "Escape") leave();
      if (!keys.includes(event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const points = pointsOf(plot);
      if (!points.length) return;
      at = next(event.key, points, at, plot.dataset.walk === "curve");
      const point = points[at];
      Plotly.Fx.hover(plot, [{ curveNumber: point.curve, pointNumber: point.number }], [point.on]);
      live.textContent = `${at + 1} of ${points.length}: ${plain(point.text)}`;
    });
  };

  if (typeof Plotly !== "undefined") {
    const watcher = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting)
      .forEach((entry) => { watcher.unobserve(entry.target); if (!drawn.has(entry.target)) draw(entry.target); }),
    { rootMargin: "500px" });
    plots.forEach((plot) => { walk(plot); watcher.observe(plot); });
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
