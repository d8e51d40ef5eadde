"use strict";
// What all pages with plots share: plots in the colours of the page, whose points the keyboard walks.
const sweepPlots = (() => {
  const coloured = (value, style) => {
    if (typeof value === "string") {
      return value.startsWith("var(--") ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
    }
    if (Array.isArray(value)) return value.map((one) => coloured(one, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one, style)]));
  };

  // Points in the order of the arrow keys: along N (x), row by row (y), or curve by curve.
  const pointsOf = (plot) => {
    const points = plot.data.flatMap((trace, curve) =>
      trace.visible === "legendonly" ? [] : (trace.hovertext || []).map((text, number) => (
        { curve, number, text, x: trace.x[number], y: trace.y[number], on: `x${(trace.yaxis || "y")}` }
      )));
    const along = plot.dataset.walk;
    return along === "curve" ? points : points.sort((a, b) => a[along] - b[along]);
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
  const walk = (plot, draw) => {
    const live = plot.parentElement.querySelector(".spoken");
    let at;
    const leave = () => {
      at = undefined;
      live.textContent = "";
      if (plot.data) Plotly.Fx.unhover(plot);
    };
    plot.addEventListener("blur", leave);
    plot.addEventListener("focus", () => { if (!plot.data) draw(plot); });
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

  return { coloured, walk };
})();
