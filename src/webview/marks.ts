// The second sign of a strategy beside its colour: a circle for freeze, a diamond for finetune, a square for scratch. Runs of one strategy differ in how it is filled;
// of one on gray images it is hollow first, and the line is dashed.
import type { Colour, RunRecord, Strategy } from '../protocol/run.js';
import { svg, type Attributes } from './dom.js';

export type Fill = 'solid' | 'hollow' | 'dotted' | 'crossed';

export interface Mark {
  readonly shape: 'circle' | 'diamond' | 'square';
  readonly fill: Fill;
}

const SHAPES: Readonly<Record<Strategy, Mark['shape']>> = { freeze: 'circle', finetune: 'diamond', scratch: 'square' };

/** In the order in which runs take them. */
const FILLS: Readonly<Record<Colour, readonly Fill[]>> = { rgb: ['solid', 'hollow', 'dotted', 'crossed'], gray: ['hollow', 'dotted', 'crossed', 'solid'] };
/** Of the line of a run on gray images. */
const GRAY_DASH = [7, 4] as const;

type Learner = Pick<RunRecord['configuration'], 'strategy' | 'colour'>;

/** The mark of a run by itself. */
export function markOf({ strategy, colour }: Learner): Mark {
  return { shape: SHAPES[strategy], fill: FILLS[colour][0] ?? 'solid' };
}

/** Marks that tell runs apart: each takes the first fill that no earlier run of its strategy has. Past the fourth they begin anew, and only the label tells. */
export function marksOf(runs: readonly Learner[]): Mark[] {
  const taken = new Map<Strategy, Fill[]>();
  return runs.map(({ strategy, colour }) => {
    const before = taken.get(strategy) ?? [];
    const times = (fill: Fill): number => before.filter((each) => each === fill).length;
    const fewest = Math.min(...FILLS[colour].map(times));
    const fill = FILLS[colour].find((each) => times(each) === fewest) ?? 'solid';
    taken.set(strategy, [...before, fill]);
    return { shape: SHAPES[strategy], fill };
  });
}

export function dashOf({ colour }: Learner): readonly number[] | undefined {
  return colour === 'gray' ? GRAY_DASH : undefined;
}

function outline(context: CanvasRenderingContext2D, shape: Mark['shape'], x: number, y: number, radius: number): void {
  context.beginPath();
  switch (shape) {
    case 'circle':
      context.arc(x, y, radius, 0, 2 * Math.PI);
      break;
    case 'diamond': {
      const reach = radius * 1.3;
      context.moveTo(x, y - reach);
      context.lineTo(x + reach, y);
      context.lineTo(x, y + reach);
      context.lineTo(x - reach, y);
      context.closePath();
      break;
    }
    case 'square': {
      const half = radius * 0.9;
      context.rect(x - half, y - half, 2 * half, 2 * half);
      break;
    }
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
export function swatch(line: { readonly tone: Strategy | 'train'; readonly width?: number; readonly dash?: readonly number[] | undefined; readonly mark?: Mark | undefined }): SVGSVGElement {
  const drawing = svg('svg', { class: `swatch stroke-${line.tone}`, viewBox: '0 0 28 10', 'aria-hidden': 'true' },
    svg('line', { x1: 1, y1: 5, x2: 27, y2: 5, 'stroke-width': line.width ?? 2, 'stroke-dasharray': line.dash?.join(' ') }));
  const { mark } = line;
  if (!mark) return drawing;
  const shape = (radius: number, attributes: Attributes) => {
    switch (mark.shape) {
      case 'circle': return svg('circle', { cx: 14, cy: 5, r: radius, ...attributes });
      case 'diamond': return svg('path', { d: `M14 ${5 - radius * 1.27} ${14 + radius * 1.27} 5 14 ${5 + radius * 1.27} ${14 - radius * 1.27} 5Z`, ...attributes });
      case 'square': return svg('rect', { x: 14 - radius * 0.9, y: 5 - radius * 0.9, width: radius * 1.8, height: radius * 1.8, ...attributes });
    }
  };
  drawing.append(shape(mark.fill === 'solid' ? 3 : 3.4, { class: mark.fill === 'solid' ? 'solid' : 'hollow' }));
  if (mark.fill === 'dotted') drawing.append(shape(1.4, { class: 'solid' }));
  if (mark.fill === 'crossed') drawing.append(svg('line', { x1: 10.6, y1: 5, x2: 17.4, y2: 5, 'stroke-width': 1.5 }));
  return drawing;
}
