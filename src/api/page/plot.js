// What is drawn rather than written: rates over time, and where blocks came from.

import { rate } from "./format.js";
import { HISTORY_SECONDS } from "./state.js";

/** Fits a canvas to its place and the screen's density. */
function canvas(element) {
  const density = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = element;
  if (element.width !== Math.round(width * density) || element.height !== Math.round(height * density)) {
    element.width = Math.round(width * density);
    element.height = Math.round(height * density);
  }
  const context = element.getContext("2d");
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

const colour = (element, name) => getComputedStyle(element).getPropertyValue(name).trim();

/** A rate over the last two minutes, newest at the right. */
export function plotRates(element, rates) {
  const { context, width, height } = canvas(element);
  if (width === 0) return;
  const most = Math.max(1, ...rates);
  const x = (at) => width - ((rates.length - 1 - at) * width) / (HISTORY_SECONDS - 1);
  const y = (value) => height - 1 - (value / most) * (height - 16);
  const line = colour(element, "--accent");
  context.beginPath();
  rates.forEach((value, at) => (at ? context.lineTo(x(at), y(value)) : context.moveTo(x(at), y(value))));
  context.strokeStyle = line;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.stroke();
  if (rates.length > 1) {
    context.lineTo(width, height);
    context.lineTo(x(0), height);
    context.globalAlpha = 0.14;
    context.fillStyle = line;
    context.fill();
    context.globalAlpha = 1;
  }
  context.fillStyle = colour(element, "--faint");
  context.font = `11px ${colour(element, "--font")}`;
  context.textBaseline = "top";
  if (most > 1) context.fillText(rate(most), 2, 1);
}

/** Hues that tell sources apart, for people who see few colours as well: by lightness, too. */
const HUES = [190, 38, 280, 110, 350, 225, 75, 310];

/** The colour of the source at `index`; of what was here before, if there is none. */
export function sourceColour(index) {
  if (index === null || index === undefined) return "var(--kept)";
  const round = Math.floor(index / HUES.length) % 3;
  return `hsl(${HUES[index % HUES.length]} 62% ${52 - round * 12}%)`;
}

/** The side of a cell, with the gap that follows it. */
const CELL = 8;
const GAP = 1;

/**
 * A map of blocks: each cell is an equal run of them, as full as it is proven, in the colour of the source
 * most of it came from.
 */
export function drawMap(element, cells) {
  const columns = Math.max(1, Math.floor((element.clientWidth + GAP) / CELL));
  element.style.height = `${Math.ceil(cells.length / columns) * CELL}px`;
  const { context, width } = canvas(element);
  if (width === 0) return;
  const missing = colour(element, "--track");
  const kept = colour(element, "--kept");
  const side = CELL - GAP;
  cells.forEach(([verified, source], at) => {
    const x = (at % columns) * CELL;
    const y = Math.floor(at / columns) * CELL;
    context.fillStyle = missing;
    context.fillRect(x, y, side, side);
    if (verified === 0) return;
    const full = Math.max(1, Math.round((side * verified) / 255));
    context.fillStyle = source === null ? kept : sourceColour(source);
    context.fillRect(x, y + side - full, side, full);
  });
}
