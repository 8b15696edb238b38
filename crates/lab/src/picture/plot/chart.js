"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const axis = (text) => {
    const [from, to, scale, unit] = text.split(" ");
    return { from: +from, to: +to, log: scale === "log", unit };
  };
  const chart = (svg) => {
    const [left, top, right, bottom] = svg.dataset.frame.split(" ").map(Number);
    const paths = [...svg.querySelectorAll(".area path")].map((path) => ({
      path, d: path.getAttribute("d"), fixed: !path.classList.contains("series"),
    }));
    return { svg, left, top, right, bottom, paths, x: axis(svg.dataset.x), y: axis(svg.dataset.y), fits: svg.dataset.fits === "1",
      pointer: svg.querySelector(".pointer"), view: [left, right], tall: [top, bottom] };
  };
  const charts = [...document.querySelectorAll("svg.chart")].filter((svg) => svg.dataset.group).map(chart);
  const group = (one) => charts.filter((other) => other.svg.dataset.group === one.svg.dataset.group);

  // From pixels of the whole chart to values, and back.
  const value = (axis, share) => axis.log ? axis.from * Math.pow(axis.to / axis.from, share) : axis.from + (axis.to - axis.from) * share;
  const share = (axis, value) => axis.log ? Math.log(value / axis.from) / Math.log(axis.to / axis.from) : (value - axis.from) / (axis.to - axis.from);
  const stepOf = (span, count) => {
    const rough = span / count, power = Math.pow(10, Math.floor(Math.log10(rough))), f = rough / power;
    return (f > 5 + 1e-6 ? 10 : f > 2 + 1e-6 ? 5 : f > 1 + 1e-6 ? 2 : 1) * power;
  };
  const PREFIXES = {
    Seconds: [[1, " s"], [1e-3, " ms"], [1e-6, " µs"]], Number: [[1, ""]], Percent: [[0.01, " %"]],
    Bytes: [[1e9, " GB"], [1e6, " MB"], [1e3, " kB"], [1, " B"]],
    BitsPerSecond: [[1e9, " Gbit/s"], [1e6, " Mbit/s"], [1e3, " kbit/s"], [1, " bit/s"]],
  };
  const text = (unit, number, step, most) => {
    const prefixes = PREFIXES[unit], [factor, name] = prefixes.find(([f]) => most >= f * 0.9999) || prefixes[prefixes.length - 1];
    const digits = Math.min(9, Math.max(0, -Math.floor(Math.log10(step / factor * 1.0001))));
    return (number / factor).toFixed(digits) + name;
  };
  const element = (name, attributes, parent, words) => {
    const node = document.createElementNS(SVG, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (words !== undefined) node.textContent = words;
    parent.append(node);
  };

  const COMMANDS = /([MLHV])(-?[\d.]+)(?: (-?[\d.]+))?/g;
  const moveX = (c, x) => c.left + (x - c.view[0]) / (c.view[1] - c.view[0]) * (c.right - c.left);
  const moveY = (c, y) => c.top + (y - c.tall[0]) / (c.tall[1] - c.tall[0]) * (c.bottom - c.top);
  const short = (number) => Math.round(Math.max(-1e4, Math.min(1e4, number)) * 100) / 100;

  const fit = (c) => {
    c.tall = [c.top, c.bottom];
    const whole = c.view[0] === c.left && c.view[1] === c.right;
    if (!c.fits || whole) return;
    let low = Infinity, high = -Infinity, x = 0;
    for (const { path, d, fixed } of c.paths) {
      if (fixed || path.classList.contains("off") || path.classList.contains("dashes")) continue;
      for (const [, command, a, b] of d.matchAll(COMMANDS)) {
        if (command !== "V") x = +a;
        const y = command === "V" ? +a : command === "H" ? NaN : +b;
        if (x >= c.view[0] && x <= c.view[1] && y >= c.top - 1 && y <= c.bottom + 1) { low = Math.min(low, y); high = Math.max(high, y); }
      }
    }
    if (high > low) c.tall = [Math.max(c.top, low - (high - low) * 0.06), Math.min(c.bottom, high + (high - low) * 0.06)];
  };
  const labels = (c) => {
    const ends = (axis, from, to) => [value(axis, from), value(axis, to)];
    const ax = c.svg.querySelector(".ax"), wide = c.right - c.left, high = c.bottom - c.top;
    const [x0, x1] = ends(c.x, (c.view[0] - c.left) / wide, (c.view[1] - c.left) / wide), stepX = stepOf(x1 - x0, 10);
    ax.replaceChildren();
    for (let v = Math.ceil(x0 / stepX) * stepX; v <= x1 * (1 + 1e-12); v += stepX) {
      const x = short(moveX(c, c.left + share(c.x, v) * wide));
      element("path", { d: `M${x} ${c.top}V${c.bottom}` }, ax);
      element("text", { x, y: c.bottom + 15 }, ax, text(c.x.unit, v, stepX, x1));
    }
    if (!c.fits) return;
    const ay = c.svg.querySelector(".ay"), count = Math.max(2, Math.floor(high / 42));
    const [y0, y1] = ends(c.y, (c.bottom - c.tall[1]) / high, (c.bottom - c.tall[0]) / high), stepY = stepOf(y1 - y0, count);
    ay.replaceChildren();
    for (let v = Math.ceil(y0 / stepY) * stepY; v <= y1; v += stepY) {
      const y = short(moveY(c, c.bottom - share(c.y, v) * high));
      element("path", { d: `M${c.left} ${y}H${c.right}` }, ay);
      element("text", { x: c.left - 6, y: y + 4 }, ay, text(c.y.unit, v, stepY, y1));
    }
  };
  const draw = (c) => {
    fit(c);
    for (const { path, d, fixed } of c.paths) {
      path.setAttribute("d", d.replace(COMMANDS, (_, command, a, b) => {
        if (command === "V") return "V" + short(moveY(c, +a));
        const x = short(moveX(c, +a));
        return b === undefined ? command + x : `${command}${x} ${fixed ? b : short(moveY(c, +b))}`;
      }));
    }
    labels(c);
  };
  const look = (one, view) => group(one).forEach((c) => {
    const scale = (c.right - c.left) / (one.right - one.left);
    c.view = view ? view.map((x) => c.left + (x - one.left) * scale) : [c.left, c.right];
    draw(c);
  });

  const at = (c, event) => {
    const box = c.svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * c.svg.viewBox.baseVal.width;
    return Math.max(c.left, Math.min(c.right, x));
  };
  const whole = (c, x) => c.view[0] + (x - c.left) / (c.right - c.left) * (c.view[1] - c.view[0]);
  // What a line says at a place: its last point before it.
  const says = (c, { d }, place) => {
    let y;
    for (const [, command, a, b] of d.matchAll(COMMANDS)) {
      if (command !== "V" && +a > place) break;
      if (command === "V") y = +a; else if (b !== undefined) y = +b;
    }
    return y;
  };
  const point = (one, x, from) => group(one).forEach((c) => {
    const here = c.left + (x - one.left) * (c.right - c.left) / (one.right - one.left);
    c.pointer.replaceChildren();
    if (from !== undefined) element("rect", { x: Math.min(here, from), y: c.top, width: Math.abs(here - from), height: c.bottom - c.top }, c.pointer);
    element("path", { d: `M${here} ${c.top}V${c.bottom}` }, c.pointer);
    const place = whole(c, here), time = value(c.x, (place - c.left) / (c.right - c.left));
    const words = [text(c.x.unit, time, (c.x.to - c.x.from) * (c.view[1] - c.view[0]) / (c.right - c.left) / 1000, time)];
    for (const known of c.paths) {
      const { path, fixed } = known, kind = path.classList;
      if (fixed || kind.contains("off") || !(kind.contains("line") || kind.contains("dashes"))) continue;
      const y = says(c, known, place);
      if (y === undefined) continue;
      const number = value(c.y, (c.bottom - y) / (c.bottom - c.top));
      words.push(`${path.dataset.of}: ${text(c.y.unit, number, Math.max(Math.abs(number), 1e-9) / 200, Math.abs(number))}`);
    }
    const right = here > (c.left + c.right) / 2;
    words.forEach((line, index) => element("text", {
      x: here + (right ? -6 : 6), y: c.top + 13 + index * 15, "text-anchor": right ? "end" : "start",
    }, c.pointer, line));
  });
  charts.forEach((c) => {
    let from;
    c.svg.style.cursor = "crosshair";
    c.svg.addEventListener("pointermove", (event) => point(c, at(c, event), from));
    c.svg.addEventListener("pointerleave", () => { from = undefined; group(c).forEach((other) => other.pointer.replaceChildren()); });
    c.svg.addEventListener("pointerdown", (event) => { from = at(c, event); });
    c.svg.addEventListener("pointerup", (event) => {
      const to = at(c, event), start = from;
      from = undefined;
      if (start !== undefined && Math.abs(to - start) > 4) look(c, [whole(c, Math.min(start, to)), whole(c, Math.max(start, to))]);
    });
    c.svg.addEventListener("dblclick", () => look(c));
  });
  document.querySelectorAll("[data-from]").forEach((link) => link.addEventListener("click", () => {
    const c = charts.find((one) => one.svg.dataset.group === link.dataset.zoom);
    if (!c) return;
    const wide = c.right - c.left, place = (time) => c.left + share(c.x, +time) * wide;
    look(c, [Math.max(c.left, place(link.dataset.from)), Math.min(c.right, place(link.dataset.to))]);
  }));
  document.querySelectorAll("ul.legend li").forEach((entry) => entry.addEventListener("click", () => {
    const hidden = entry.classList.toggle("hidden");
    entry.closest("figure").querySelectorAll("svg [data-of]").forEach((path) => {
      if (path.dataset.of === entry.dataset.of) path.classList.toggle("off", hidden);
    });
  }));
  document.body.classList.add("can-toggle", "scripted");
})();
