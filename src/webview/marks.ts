// The second sign of a strategy beside its colour: a circle for freeze, a diamond for finetune. Runs of one strategy differ in how it is filled.
import type { Strategy } from '../protocol/run.js';
import { svg, type Attributes } from './dom.js';

export const FILLS = ['solid', 'hollow', 'dotted', 'crossed'] as const;
export type Fill = (typeof FILLS)[number];

export interface Mark {
  readonly shape: 'circle' | 'diamond';
  readonly fill: Fill;
}

/** `nth`: of the runs with this strategy, from 0. Past the fourth the fills begin anew, and only the label tells. */
export function strategyMark(strategy: Strategy, nth = 0): Mark {
  return { shape: strategy === 'freeze' ? 'circle' : 'diamond', fill: FILLS[nth % FILLS.length] ?? 'solid' };
}

function outline(context: CanvasRenderingContext2D, shape: Mark['shape'], x: number, y: number, radius: number): void {
  context.beginPath();
  if (shape === 'circle') {
    context.arc(x, y, radius, 0, 2 * Math.PI);
  } else {
    const reach = radius * 1.3;
    context.moveTo(x, y - reach);
    context.lineTo(x + reach, y);
    context.lineTo(x, y + reach);
    context.lineTo(x - reach, y);
    context.closePath();
  }
}

/** Draws a mark on a canvas; `colour` is the strategy's, `ground` what lies behind. */
export function paintMark(context: CanvasRenderingContext2D, mark: Mark, x: number, y: number, radius: number, colour: string, ground: string): void {
  context.save();
  context.setLineDash([]);
  outline(context, mark.shape, x, y, radius);
  context.fillStyle = mark.fill === 'solid' ? colour : ground;
  context.strokeStyle = mark.fill === 'solid' ? ground : colour;
  context.lineWidth = mark.fill === 'solid' ? 1.5 : 2;
  context.fill();
  context.stroke();
  if (mark.fill === 'dotted') {
    outline(context, mark.shape, x, y, radius * 0.4);
    context.fillStyle = colour;
    context.fill();
  } else if (mark.fill === 'crossed') {
    context.beginPath();
    context.moveTo(x - radius, y);
    context.lineTo(x + radius, y);
    context.lineWidth = 1.5;
    context.stroke();
  }
  context.restore();
}

/** A line sample that looks as the line does in the chart: colour, dash and mark. */
export function swatch(line: { readonly tone: Strategy | 'train'; readonly width?: number; readonly dash?: readonly number[]; readonly mark?: Mark | undefined }): SVGSVGElement {
  const drawing = svg('svg', { class: `swatch stroke-${line.tone}`, viewBox: '0 0 28 10', 'aria-hidden': 'true' },
    svg('line', { x1: 1, y1: 5, x2: 27, y2: 5, 'stroke-width': line.width ?? 2, 'stroke-dasharray': line.dash?.join(' ') }));
  const { mark } = line;
  if (!mark) return drawing;
  const shape = (radius: number, attributes: Attributes) => (mark.shape === 'circle'
    ? svg('circle', { cx: 14, cy: 5, r: radius, ...attributes })
    : svg('path', { d: `M14 ${5 - radius * 1.27} ${14 + radius * 1.27} 5 14 ${5 + radius * 1.27} ${14 - radius * 1.27} 5Z`, ...attributes }));
  drawing.append(shape(mark.fill === 'solid' ? 3 : 3.4, { class: mark.fill === 'solid' ? 'solid' : 'hollow' }));
  if (mark.fill === 'dotted') drawing.append(shape(1.4, { class: 'solid' }));
  if (mark.fill === 'crossed') drawing.append(svg('line', { x1: 10.6, y1: 5, x2: 17.4, y2: 5, 'stroke-width': 1.5 }));
  return drawing;
}
