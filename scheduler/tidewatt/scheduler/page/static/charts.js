"use strict";
// Charts of numbers that the page's own JSON brings; colours come from the style sheet, so both themes work.
(() => {
  const charts = new Map();  // element: its state
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const LINES = ["--line-0", "--line-1", "--line-2", "--line-3", "--line-4", "--line-5"];
  const DASH = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [1, 4]];
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const font = size => `${size}px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif`;
  const clock = new Intl.DateTimeFormat("en-GB", {weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false, timeZoneName: "short"});

  const axes = unit => [
    {stroke: colour("--soft"), font: font(12), grid: {stroke: colour("--rule"), width: 1}, ticks: {stroke: colour("--rule"), width: 1, size: 5}, space: 64, gap: 6,
     values: [[86400, "{D} {MMM}", null, null, null, null, null, null, 1], [3600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1], [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]]},
    {stroke: colour("--soft"), font: font(12), grid: {stroke: colour("--rule"), width: 1}, ticks: {show: false}, size: 56, gap: 6,
     values: (chart, found) => found.map((value, at) => at === found.length - 1 ? `${value} ${unit}`.replace(/ (.*)/, "") : `${value}`)},
  ];

  const steps = curves => {  // one row for each border of any curve
    const borders = new Set();
    for (const curve of curves) for (const [start, end] of curve.points) { borders.add(start); borders.add(end); }
    const times = [...borders].sort((a, b) => a - b);
    const place = new Map(times.map((time, at) => [time, at]));
    const columns = [];
    for (const curve of curves) {
      const made = [0, 1, 2].map(() => new Array(times.length).fill(null));
      for (const [start, end, value, low, high] of curve.points)
        for (let at = place.get(start); at <= place.get(end); at++) { made[0][at] = value; made[1][at] = high; made[2][at] = low; }
      for (const [start, , value, low, high] of curve.points) { const at = place.get(start); made[0][at] = value; made[1][at] = high; made[2][at] = low; }
      columns.push(...made);
    }
    return [times, ...columns];
  };

  const nowLine = (now, named = true) => chart => {
    const x = chart.valToPos(now, "x", true), {ctx, bbox} = chart;
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    const dpr = devicePixelRatio || 1;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--ink");
    ctx.lineWidth = dpr;
    ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
    if (!named) { ctx.restore(); return; }
    ctx.font = font(12 * dpr);
    ctx.textAlign = x > bbox.left + bbox.width - 40 * dpr ? "right" : "left";
    ctx.textBaseline = "top";
    ctx.fillText("now", x + (ctx.textAlign === "right" ? -5 : 5) * dpr, bbox.top + 3 * dpr);
    ctx.restore();
  };

  const laneOf = bars => {
    const keys = [...new Set(bars.map(bar => bar.key))];
    return new Map(keys.map((key, at) => [key, at]));
  };

  const drawLanes = (bars, lanes) => chart => {
    const {ctx, bbox} = chart, dpr = devicePixelRatio || 1, high = bbox.height / lanes.size;
    ctx.save();
    ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
    ctx.textBaseline = "middle";
    ctx.font = font(12 * dpr);
    const last = new Map();
    for (const bar of bars) {
      const left = Math.max(chart.valToPos(bar.start, "x", true), bbox.left), right = Math.min(chart.valToPos(bar.end, "x", true), bbox.left + bbox.width);
      const top = bbox.top + lanes.get(bar.key) * high + high * 0.16, tall = high * 0.68;
      if (right < bbox.left || left > bbox.left + bbox.width) continue;
      const planned = bar.state !== "ran" && bar.state !== "running", wide = Math.max(right - left, 2 * dpr);
      ctx.fillStyle = colour(bar.state === "ran" ? "--past" : planned ? "--plan" : "--accent");
      ctx.fillRect(left, top, wide, tall);
      if (planned) { ctx.strokeStyle = colour("--accent"); ctx.lineWidth = dpr; ctx.strokeRect(left + dpr / 2, top + dpr / 2, wide - dpr, tall - dpr); }
      if (!last.has(bar.key) || last.get(bar.key).right < right) last.set(bar.key, {left, right, middle: top + tall / 2, bar});
    }
    for (const {left, right, middle, bar} of last.values()) {
      const room = bbox.left + bbox.width - right, space = Math.max(right - left, room, left - bbox.left) - 8 * dpr;
      let text = `${bar.key}  ${bar.name}`.slice(0, 60);
      while (text.length > 4 && ctx.measureText(text).width > space) text = `${text.slice(0, -2).trimEnd()}\u2026`;
      const wide = ctx.measureText(text).width + 8 * dpr;
      const dark = bar.state === "running" ? "--on-accent" : "--ink";
      if (wide <= right - left) { ctx.fillStyle = colour(dark); ctx.textAlign = "left"; ctx.fillText(text, left + 6 * dpr, middle); }
      else if (wide <= room) { ctx.fillStyle = colour("--ink"); ctx.textAlign = "left"; ctx.fillText(text, right + 6 * dpr, middle); }
      else { ctx.fillStyle = colour("--ink"); ctx.textAlign = "right"; ctx.fillText(text, left - 6 * dpr, middle); }
    }
    ctx.restore();
  };

  const grid = (element, found) => {
    const width = element.clientWidth, height = Number(element.dataset.height) || 260;
    const data = steps(found.curves), begun = data[0].length ? data[0][0] : -Infinity;
    const bars = found.bars.filter(bar => bar.end > bar.start && bar.end > begun);
    const times = [...data[0], ...bars.flatMap(bar => [bar.start, bar.end]), found.now];
    const first = data[0].length ? data[0][0] : Math.min(...times), last = Math.max(...times);
    const range = [first, Math.min(last, Math.max(data[0].at(-1) || last, found.now + 3600))];
    const sync = {key: element.dataset.src};
    const made = [];
    const series = [{value: (chart, at) => at == null ? "–" : clock.format(new Date(at * 1000))}], bands = [];
    found.curves.forEach((curve, at) => {
      const stroke = colour(LINES[at % 6]), path = uPlot.paths.stepped({align: 1});
      const value = (chart, each) => each == null ? "–" : `${Math.round(each)} g/kWh`;
      series.push({label: curve.label, stroke, width: 2, dash: DASH[Math.floor(at / 1) % 6], paths: path, points: {show: false}, value});
      series.push({label: "90th percentile", class: "edge", stroke: "transparent", width: 0, paths: path, points: {show: false}, value});
      series.push({label: "10th percentile", class: "edge", stroke: "transparent", width: 0, paths: path, points: {show: false}, value});
      bands.push({series: [at * 3 + 2, at * 3 + 3], fill: colour(`${LINES[at % 6]}-band`)});
    });
    const say = document.createElement("p");
    say.className = "unit-line";
    say.textContent = found.curves.length ? "gCO\u2082 per kWh" : "No zone is known here, so there is no curve: `tidewatt zones` finds yours.";
    element.append(say);
    if (found.curves.length) {
      const low = Math.min(...data.slice(1).flat().filter(each => each != null));
      made.push(new uPlot({
        width, height, series, bands, axes: axes("g"), cursor: {sync, drag: {x: false, y: false}, points: {show: false}},
        scales: {x: {range: () => range}, y: {range: (chart, least, most) => [Math.max(0, Math.min(low, least) * 0.85), most * 1.08 || 1]}},
        legend: {show: true, live: width > 500}, padding: [8, 12, 0, 0], hooks: {draw: [nowLine(found.now)]},
      }, data, element));
    }
    if (bars.length) {
      const lanes = laneOf(bars);
      const plain = axes("");
      plain[1] = {show: true, size: 56, values: () => [], grid: {show: false}, ticks: {show: false}};
      if (made.length) plain[0] = Object.assign({}, plain[0], {values: (chart, found) => found.map(() => ""), size: 8, ticks: {show: false}});
      made.push(new uPlot({
        width, height: Math.max(lanes.size * (width < 500 ? 26 : 30), 34) + (made.length ? 10 : 52), axes: plain, series: [{}, {show: false}],
        cursor: {sync, drag: {x: false, y: false}, points: {show: false}, y: false}, legend: {show: false}, padding: [2, 12, 0, 0],
        scales: {x: {range: () => range}, y: {range: () => [0, 1]}}, hooks: {draw: [drawLanes(bars, lanes), nowLine(found.now, !made.length)]},
      }, [range, [0, 0]], element));
    }
    return made;
  };

  const power = (element, found) => {
    if (!found.start.length || !found.watts.some(each => each != null)) return [];
    const stroke = colour("--accent");
    return [new uPlot({
      width: element.clientWidth, height: Number(element.dataset.height) || 150, axes: axes("W"), legend: {show: false}, padding: [8, 12, 0, 0],
      cursor: {drag: {x: false, y: false}}, scales: {y: {range: (chart, least, most) => [0, most * 1.15 || 1]}},
      series: [{}, {label: "power", stroke, width: 2, fill: colour("--line-0-band"), paths: uPlot.paths.stepped({align: 1}), points: {show: false}}],
    }, [found.start, found.watts], element)];
  };

  const rows = (title, words, lines) => {
    const made = document.createElement("table"), caption = made.createCaption();
    caption.textContent = title;
    const head = made.createTHead().insertRow();
    for (const word of words) {
      const cell = document.createElement("th");
      cell.scope = "col"; cell.textContent = word; head.append(cell);
    }
    const body = made.createTBody();
    for (const [start, ...values] of lines) {
      const row = body.insertRow(), name = document.createElement("th");
      name.scope = "row"; name.textContent = clock.format(new Date(start * 1000)); row.append(name);
      for (const each of values) row.insertCell().textContent = each == null ? "\u2013" : each;
    }
    return made;
  };

  const table = (element, found) => {
    const place = element.parentNode.querySelector("[data-table]");
    if (!place) return;
    const whole = each => each == null ? null : String(Math.round(each));
    if (found.watts) {
      const lines = found.start.map((start, at) => [start, found.watts[at] == null ? null : found.watts[at].toFixed(1)]);
      place.replaceChildren(rows("Mean power by step, W", ["From", "Power"], lines.reverse()));
      return;
    }
    place.replaceChildren(...found.curves.map(curve => rows(`${curve.label}, g/kWh`, ["From", "Intensity", "10th percentile", "90th percentile"],
      curve.points.map(([start, , value, low, high]) => [start, whole(value), whole(low), whole(high)]))));
  };

  const drawn = (element, found) => {
    const state = charts.get(element) || {};
    (state.made || []).forEach(chart => chart.destroy());
    element.replaceChildren();
    const made = {grid, power}[element.dataset.chart](element, found);
    charts.set(element, {...state, made, found, width: element.clientWidth});
    element.classList.add("drawn");
    table(element, found);
  };

  const load = async element => {
    if (!element.isConnected || document.hidden && charts.get(element)?.found) return;
    try {
      const answer = await fetch(element.dataset.src, {headers: {Accept: "application/json"}, credentials: "same-origin"});
      if (!answer.ok) throw new Error(`the daemon answered ${answer.status}`);
      drawn(element, await answer.json());
    } catch (error) {
      if (charts.get(element)?.found) return;  // the last picture stays
      element.textContent = `The chart could not be drawn: ${error.message}. The table below has the numbers.`;
    }
  };

  const begin = () => {
    for (const element of charts.keys()) if (!element.isConnected) { clearInterval(charts.get(element).timer); charts.delete(element); }
    for (const element of document.querySelectorAll("[data-chart]")) {
      if (charts.has(element)) continue;
      const every = Number(element.dataset.every);
      charts.set(element, {timer: every ? setInterval(() => load(element), every * 1000) : 0});
      load(element);
    }
  };
  const again = () => { for (const [element, state] of charts) if (state.found && element.isConnected) drawn(element, state.found); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => { for (const [element, state] of charts) if (state.found && element.clientWidth !== state.width) drawn(element, state.found); }, still ? 0 : 120); });
  document.addEventListener("page:changed", begin);
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", begin) : begin();
})();
