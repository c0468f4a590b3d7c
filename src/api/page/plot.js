// Drawings: rates over time, and the sources of blocks.

import { rate } from "./format.js";
import { HISTORY_SECONDS } from "./state.js";

/** Clears a canvas and fits it to its size and the density of the screen. */
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

/** Plots rates of the last two minutes, the newest at the right. */
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

/** Hues of sources. Further sources differ in lightness, which also helps colour-blind people. */
const HUES = [190, 38, 280, 110, 350, 225, 75, 310];

/** The colour of the source at `index`; without one, that of data from earlier runs. */
export function sourceColour(index) {
  if (index === null || index === undefined) return "var(--kept)";
  const round = Math.floor(index / HUES.length) % 3;
  return `hsl(${HUES[index % HUES.length]} 62% ${52 - round * 12}%)`;
}

/** The side of a cell with the gap after it, in pixels. */
const CELL = 8;
const GAP = 1;

/**
 * Draws a map of blocks. Each cell is a run of blocks, filled as far as it is verified, in the
 * colour of the source that sent its latest block.
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
