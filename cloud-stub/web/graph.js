// A day of pings as a line. Colours come from the page's style, so that they fit light and dark.

import uPlot from "uplot";

import { clock } from "../../firmware/assets/web/figures.js";

/** How tall it is, CSS pixels. */
const HEIGHT = 180;

/** Draws into an element, as wide as that is.
 * @param {HTMLElement} place
 * @param {[number[], (number | null)[]]} columns
 * @param {[number, number]} range milliseconds since 1970
 * @param {string} language
 * @param {string} label */
export function draw(place, columns, range, language, label) {
  const style = getComputedStyle(place);
  /** @param {string} name */
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const width = () => Math.max(200, place.clientWidth);
  const plot = new uPlot(
    {
      width: width(),
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: true, range: [range[0] / 1000, range[1] / 1000] }, y: { range: (_, __, top) => [0, Math.max(10, top * 1.1)] } },
      axes: [{ ...axis, space: 70, values: (_, ticks) => ticks.map((tick) => clock(tick * 1000, tick * 1000, language)) }, { ...axis, size: 48 }],
      series: [{}, { label, stroke: colour("--accent"), width: 1.5, points: { show: false } }],
    },
    columns,
    place,
  );
  const fit = new ResizeObserver(() => plot.setSize({ width: width(), height: HEIGHT }));
  fit.observe(place);
  return {
    /** @param {[number[], (number | null)[]]} fresh */
    show: (fresh) => plot.setData(fresh),
    end: () => {
      fit.disconnect();
      plot.destroy();
    },
  };
}
